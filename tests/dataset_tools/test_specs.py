# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions: the same for the same seed, plain data, physically possible, and drawn without global state."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import dataset_tools.specs
from dataset_tools.description.covering import Covering
from dataset_tools.description.lighting import light_metadata
from dataset_tools.description.sampling import DARKEST, LIGHTEST
from dataset_tools.description.scene import Camera, Object, Scene, Tile
from dataset_tools.description.seeds import SPLITS, split
from dataset_tools.errors import UserError
from dataset_tools.materials.library import FAMILIES
from dataset_tools.sources import Sources
from dataset_tools.sources.scanned import find_scans, fingerprint, group_of
from dataset_tools.specs import DATASETS, describe
from dataset_tools.specs.coverings import METAL_SHARE
from tests.dataset_tools.described import Described

SCENES = Described("primeshapes", 3, 200)
TILES = Described("materials", 3, 400)


@pytest.mark.slow
def test_equal_inputs_give_equal_scenes_alone_or_in_a_batch() -> None:
    assert [describe("primeshapes", 3, index) for index in (7, 150, 7)] == [SCENES[7], SCENES[150], SCENES[7]]


@pytest.mark.parametrize("dataset", ["primeshapes", "materials"])
def test_a_redrawn_description_is_another_and_says_so(dataset: str) -> None:
    first, second, third = (describe(dataset, 3, 5, attempt) for attempt in range(3))
    assert [scene.attempt for scene in (first, second, third)] == [0, 1, 2]
    assert len({json.dumps([asdict(scene.lights[0]), asdict(scene.fill)]) for scene in (first, second, third)}) == 3


def test_seed_and_index_both_matter() -> None:
    assert describe("primeshapes", 0, 1) != describe("primeshapes", 1, 0)
    assert len({scene.noise_seed for scene in SCENES}) == len(SCENES)


@pytest.mark.slow
def test_a_scene_survives_json() -> None:
    for scene in (*SCENES, *TILES):
        assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene


def test_unknown_dataset_and_negative_index_are_refused() -> None:
    with pytest.raises(UserError, match=f"choose one of: {', '.join(DATASETS)}"):
        describe("faces", 0, 0)
    with pytest.raises(UserError, match="zero or more"):
        describe("primeshapes", 0, -1)


def _footprint(item: Object) -> float:
    size = item.dimensions
    if item.shape == "cube":
        return size["half"] * math.sqrt(2.0)
    return size["major"] + size["minor"] if item.shape == "torus" else size["radius"]


def test_objects_stand_apart_inside_the_room() -> None:
    for scene in SCENES:
        assert 1 <= len(scene.objects) <= 4
        for number, item in enumerate(scene.objects):
            x, y, _ = item.location
            assert abs(x) + _footprint(item) < scene.room.half_width
            assert y + _footprint(item) < scene.room.back
            for other in scene.objects[:number]:
                distance = math.dist(item.location[:2], other.location[:2])
                assert distance > _footprint(item) + _footprint(other)


def _height_of_origin(item: Object) -> float:
    """How far the origin of a shape that rests on the floor is above it."""
    size = item.dimensions
    if item.shape == "torus":
        standing = item.rotation[0] != 0.0
        return size["minor"] + (size["major"] if standing else 0.0)
    return {"sphere": size.get("radius", 0.0), "cube": size.get("half", 0.0)}.get(item.shape, 0.0)


def test_objects_rest_on_the_floor() -> None:
    for item in (item for scene in SCENES for item in scene.objects):
        assert item.location[2] == pytest.approx(_height_of_origin(item))


def test_camera_never_moves_and_lights_stay_inside() -> None:
    assert len({scene.camera for scene in SCENES}) == 1
    for scene in SCENES:
        assert 1 <= len(scene.lights) <= 3
        assert all(abs(light.location[0]) < scene.room.half_width and light.energy > 0 for light in scene.lights)


def test_variety_and_range_of_albedo() -> None:
    materials = [material for scene in (*SCENES, *TILES) for material in scene.materials]
    drawn = {name for name, family in FAMILIES.items() if family.weight > 0.0}
    assert {material.family for material in materials} == drawn and len(drawn) >= 30
    assert {item.shape for scene in SCENES for item in scene.objects} == {
        "sphere",
        "cone",
        "cube",
        "cylinder",
        "torus",
    }
    channels = [channel for material in materials for color in material.colors for channel in color]
    assert min(channels) >= DARKEST and max(channels) <= LIGHTEST
    assert min(channels) < 0.1 and max(channels) > 0.6


def test_metals_are_few_and_labelled() -> None:
    materials = [material for scene in (*SCENES, *TILES) for material in scene.materials]
    assert all(material.metal == FAMILIES[material.family].metal for material in materials)
    share = sum(material.metal for material in materials) / len(materials)
    assert 0.3 * METAL_SHARE < share < 2.0 * METAL_SHARE


def test_coverings_have_one_to_three_materials_and_a_mask_between() -> None:
    counts = Counter(len(scene.tile.covering.layers) for scene in TILES if scene.tile)
    assert set(counts) == {1, 2, 3} and counts[1] > counts[2] > counts[3]
    material = TILES[0].materials[0]
    with pytest.raises(ValueError, match="one mask between"):
        Covering((material, material))


def _seen(camera: Camera, point: tuple[float, float]) -> np.ndarray:
    """Where a point of the plane z = 0 lies in the frame: x and y in [-1, 1] inside it."""
    forward = np.subtract(camera.target, camera.location)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, camera.up)
    right /= np.linalg.norm(right)
    ray = np.subtract((*point, 0.0), camera.location)
    plane = np.array([ray @ right, ray @ np.cross(right, forward)]) / (ray @ forward)
    return plane / math.tan(camera.field_of_view / 2.0)


def test_a_tile_fills_the_frame_and_the_flash_is_near_the_camera() -> None:
    for scene in TILES:
        assert isinstance(scene.tile, Tile) and scene.room is None and len(scene.lights) == 1
        corners = [_seen(scene.camera, corner) for corner in scene.tile.corners]
        for corner, signs in zip(corners, ((-1, -1), (1, -1), (1, 1), (-1, 1)), strict=True):
            assert np.all(corner * signs > 1.05), "the frame reaches beyond the tile"
        flash = scene.lights[0]
        assert flash.kind == "sphere" and flash.location[2] > 4.0 * flash.radius
        assert math.dist(flash.location, scene.camera.location) < 0.35 * math.hypot(*scene.camera.location)


def test_split_is_by_scene_and_stable() -> None:
    counts = Counter(split(0, index) for index in range(4000))
    assert set(counts) == set(SPLITS)
    assert 0.03 < counts["test"] / 4000 < 0.07 and 0.03 < counts["val"] / 4000 < 0.07
    # A change here would move test scenes into the training set of published banks.
    assert [split(0, index) for index in range(3)] == ["train", "val", "val"]


@pytest.mark.slow
def test_no_global_random_state_in_the_sources() -> None:
    allowed = {"default_rng", "Generator", "SeedSequence"}
    room = Path(dataset_tools.specs.__file__).parents[1]
    for path in room.rglob("*.py"):
        # Only the name of a temporary file may come from the system's entropy.
        forbidden = {"random", "uuid"} | (set() if path == room / "storage" / "shards.py" else {"secrets"})
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & forbidden, path
            if isinstance(node, ast.ImportFrom):
                assert node.module not in forbidden | {"numpy.random"}, path
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random"):
                assert node.attr in allowed, f"{path}: {ast.unparse(node)}"


@pytest.mark.slow
def test_descriptions_need_neither_bpy_nor_torch() -> None:
    program = (
        "import sys; from dataset_tools.specs import describe; describe('primeshapes', 0, 0);"
        "assert not {'bpy', 'torch', 'OpenEXR', 'PIL'} & set(sys.modules)"
    )
    checkout = Path(dataset_tools.specs.__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=checkout, check=True, timeout=60)


def test_light_metadata_names_what_a_person_would_turn() -> None:
    def seen(x: float, y: float, z: float) -> dict[str, float]:
        light = replace(TILES[0].lights[0], location=(x, y, z), energy=4.0 * math.pi**2, radius=0.1)
        found = light_metadata(replace(TILES[0], lights=(light,)))
        assert found["key"] == 0 and len(found["lights"]) == 1
        return dict(found["lights"][0])

    right, below, left = seen(1.0, 0.0, 1.0), seen(0.0, -1.0, 1.0), seen(-1.0, 0.0, 1.0)
    assert right["azimuth"] == pytest.approx(math.pi / 2) and left["azimuth"] == pytest.approx(-math.pi / 2)
    assert below["azimuth"] == pytest.approx(0.0) and below["elevation"] == pytest.approx(math.pi / 4)
    overhead = seen(0.0, 0.0, 2.0)
    assert overhead["elevation"] == pytest.approx(math.pi / 2)
    assert (overhead["distance"], overhead["size"]) == (2.0, 0.1)
    # A light twice as far gives a quarter.
    assert overhead["intensity"] == pytest.approx(0.25) and right["intensity"] == pytest.approx(0.5)


def test_the_camera_looks_down_on_tiles_and_across_rooms() -> None:
    assert all(light_metadata(scene)["camera_tilt"] <= math.radians(30.0) + 1e-9 for scene in TILES)
    assert light_metadata(SCENES[0])["camera_tilt"] > math.radians(60.0)
    strongest = [light_metadata(scene) for scene in SCENES]
    for found in strongest:
        assert found["lights"][found["key"]]["intensity"] == max(light["intensity"] for light in found["lights"])


def _scan_files(folder: Path, names: list[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


def test_scanned_materials_are_found_by_both_namings(tmp_path: Path) -> None:
    folder = _scan_files(
        tmp_path / "texturen für später",
        [
            "Bricks075A/Bricks075A_1K-JPG_Color.jpg",
            "Bricks075A/Bricks075A_1K-JPG_Roughness.jpg",
            "Bricks075A/Bricks075A_1K-JPG_NormalGL.jpg",
            "Bricks075A/Bricks075A_1K-JPG_NormalDX.jpg",
            "Bricks075A/Bricks075A_1K-JPG_Displacement.jpg",
            "Metal032_2K-PNG_Color.png",
            "Metal032_2K-PNG_Metalness.png",
            "plank/weathered_plank_diff_1k.jpg",
            "plank/weathered_plank_nor_gl_1k.exr",
            "plank/weathered_plank_rough_1k.exr",
            "plank/weathered_plank_disp_1k.png",
            "notes_color.txt",
        ],
    )
    found = {scan.name: dict(scan.maps) for scan in find_scans(folder, 0.5).materials}
    assert set(found) == {"Bricks075A/Bricks075A", "Metal032", "plank/weathered_plank"}
    assert set(found["Bricks075A/Bricks075A"]) == {"color", "roughness", "normal", "height"}
    assert found["Bricks075A/Bricks075A"]["normal"].endswith("NormalGL.jpg")
    assert found["Metal032"] == {"color": "Metal032_2K-PNG_Color.png", "metalness": "Metal032_2K-PNG_Metalness.png"}
    assert set(found["plank/weathered_plank"]) == {"color", "roughness", "normal", "height"}


def test_too_few_scans_or_no_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        find_scans(tmp_path / "none", 1.0)
    with pytest.raises(UserError, match="holds 1 materials, and at least 3"):
        find_scans(_scan_files(tmp_path, ["A_1K_Color.png"]), 1.0)


def test_variants_and_sizes_of_a_scan_belong_to_one_split(tmp_path: Path) -> None:
    names = [f"Bricks{n:03d}{letter}_1K-JPG_Color.jpg" for n in range(25) for letter in "ABC"]
    names += [f"small/Bricks{n:03d}A_128px_Color.jpg" for n in range(25)]
    names += [f"Fabric{n:03d}_Color.jpg" for n in range(15)] + ["wall_a_Color.jpg", "wall_b_Color.jpg"]
    scans = find_scans(_scan_files(tmp_path, names), 0.5)
    parts = {name: scans.of_split(name) for name in SPLITS}
    assert sum(len(part.materials) for part in parts.values()) == len(names)
    groups = {name: {scan.group for scan in part.materials} for name, part in parts.items()}
    assert {name: len(found) for name, found in groups.items()} == {"train": 38, "val": 2, "test": 2}
    assert not groups["train"] & groups["test"] and not groups["train"] & groups["val"]
    # The letter behind a number is a colour's; of a word it is part of the name.
    assert set().union(*groups.values()) >= {"bricks000", "fabric000", "wall_a", "wall_b"}
    assert group_of("small/Bricks007A_128px_Color.jpg") == group_of("Bricks007C_1K-JPG_Color.jpg") == "bricks007"
    with pytest.raises(UserError, match="holds 2 materials, and at least 3"):
        find_scans(_scan_files(tmp_path / "few", ["A01A_Color.png", "A01B_Color.png", "B_Color.png"]), 1.0)


@pytest.mark.slow
def test_a_scan_belongs_to_one_split_and_other_files_are_another_dataset(tmp_path: Path) -> None:
    folder = _scan_files(tmp_path, [f"M{n:02d}_1K_Color.png" for n in range(30)])
    scans = find_scans(folder, 0.5)
    drawn: dict[str, set[str]] = {name: set() for name in SPLITS}
    for index in range(600):
        scene = describe("materials", 0, index, sources=Sources(scans))
        assert scene == describe("materials", 0, index, sources=Sources(scans))
        drawn[split(0, index)] |= {m.textures["color"] for m in scene.materials if m.textures}
    assert all(drawn.values())
    assert not (drawn["train"] & drawn["test"] or drawn["train"] & drawn["val"] or drawn["val"] & drawn["test"])
    share = np.mean(
        [bool(m.textures) for i in range(300) for m in describe("materials", 0, i, sources=Sources(scans)).materials]
    )
    assert 0.4 < share < 0.6
    before = fingerprint(folder, scans)
    (folder / "M00_1K_Color.png").write_bytes(b"other")
    assert fingerprint(folder, scans) != before == before
