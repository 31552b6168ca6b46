# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects dataset: whole meshes, things that stand apart on a ground that fills the frame, cut-outs that say so."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from dataset_tools import shapes
from dataset_tools.description.forms import Form
from dataset_tools.description.scene import Metering, Scene, Thing
from dataset_tools.description.seeds import generator
from dataset_tools.rendering import attempts, metering
from dataset_tools.shapes.ground import ground_mesh, wall_mesh
from dataset_tools.shapes.mesh import MeshData
from dataset_tools.sources import Sources
from dataset_tools.specs import LIGHTINGS, describe
from dataset_tools.specs.restyling import restyled
from dataset_tools.storage import layers, passes, shards
from join_engine.json_data import plain, restored
from tests.dataset_tools.described import Described
from tests.dataset_tools.invented import invented_passes

SCENES = Described("objects", 3, 80)
FORMS = [(name, draw(generator(number, 0))) for name, (draw, _) in shapes.SAMPLERS.items() for number in range(12)]
_IDS = [f"{name}-{number % 12}" for number, (name, _) in enumerate(FORMS)]


def _triangles(mesh: MeshData) -> np.ndarray:
    """Corners [T, 3, 3] of the mesh's faces, cut into fans."""
    firsts = np.cumsum(mesh.sizes) - mesh.sizes
    cut = [
        (mesh.corners[first], mesh.corners[first + n], mesh.corners[first + n + 1])
        for first, size in zip(firsts, mesh.sizes, strict=True)
        for n in range(1, size - 1)
    ]
    return mesh.vertices.astype(np.float64)[np.array(cut)]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), FORMS, ids=_IDS)
def test_a_form_is_whole_and_stands_on_the_ground(name: str, form: Form) -> None:
    parts = shapes.meshes(form, 1.0)
    assert len(parts) == len(form.parts) == len(set(form.parts))
    for mesh in parts:
        assert np.all(np.isfinite(mesh.vertices)) and np.all(np.isfinite(mesh.uvs))
        assert len(mesh.corners) == mesh.sizes.sum() == len(mesh.uvs) and len(mesh.sizes) == len(mesh.smooth) > 0
        assert mesh.corners.min() == 0 and mesh.corners.max() == len(mesh.vertices) - 1
    vertices = np.concatenate([mesh.vertices for mesh in parts])
    extent = np.ptp(vertices, axis=0)
    assert abs(float(vertices[:, 2].min())) < 0.1 and 0.3 < extent.max() < 1.7, (form.shape, extent)
    assert all(isinstance(value, float) for values in form.numbers.values() for value in values)


_CLOSED = ("fruit", "turned", "lump", "pillow", "package", "stone", "figure")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "form"), [pair for pair in FORMS if pair[0] in _CLOSED])
def test_closed_forms_face_outwards(name: str, form: Form) -> None:
    corners = np.concatenate([_triangles(mesh) for mesh in shapes.meshes(form, 1.0)])
    volume = float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()) / 6.0
    assert volume > 1e-4, "faces that look inwards make a volume below zero"


@pytest.mark.parametrize("name", ["container", "package", "lump", "cloth", "figure"])
def test_uvs_are_metric(name: str) -> None:
    """A pattern on a thing twice as large is not twice as large, and about as large as on the thing itself."""
    form = next(form for kind, form in FORMS if kind == name)
    for size in (1.0, 2.0):
        for mesh in shapes.meshes(form, size):
            first = np.cumsum(mesh.sizes) - mesh.sizes
            length = np.linalg.norm(mesh.vertices[mesh.corners[first + 1]] - mesh.vertices[mesh.corners[first]], axis=1)
            on_uv = np.linalg.norm(mesh.uvs[first + 1] - mesh.uvs[first], axis=1)
            seen = (length > np.median(length) * 0.5) & (on_uv > 0.0)
            assert 0.6 < np.median(on_uv[seen] / length[seen]) < 1.7, size


def test_every_kind_of_shape_is_drawn_and_equal_numbers_make_equal_meshes() -> None:
    kinds = {form.kind for _, form in FORMS}
    assert kinds == {"lathe", "lump", "sheet", "facets", "figure"}
    for _, form in FORMS[::12]:
        again = restored(Form, json.loads(json.dumps(plain(form))))
        assert again == form
        for first, second in zip(shapes.meshes(form, 1.0), shapes.meshes(again, 1.0), strict=True):
            np.testing.assert_array_equal(first.vertices, second.vertices)


@pytest.mark.slow
def test_scenes_are_the_same_alone_and_after_json() -> None:
    assert [describe("objects", 3, index) for index in (9, 70, 9)] == [SCENES[9], SCENES[70], SCENES[9]]
    for scene in SCENES:
        assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
    assert describe("objects", 3, 9, attempt=1) != SCENES[9]


def test_things_are_cut_out_as_often_as_is_asked_for() -> None:
    sources = Sources(cutout_share=1.0)
    assert all(describe("objects", 3, index, sources=sources).cutout for index in range(20))


def test_there_is_variety() -> None:
    shown = Counter(thing.form.shape for scene in SCENES for thing in scene.things)
    assert len(shown) > 30
    assert {scene.lighting for scene in SCENES} == set(LIGHTINGS["objects"])
    assert {len(scene.things) for scene in SCENES} == {1, 2, 3}
    assert 0.25 < np.mean([scene.cutout for scene in SCENES]) < 0.55
    families = Counter(material.family for scene in SCENES for material in scene.materials)
    assert {"fruit_skin", "painted_figure", "strokes", "glaze", "label"} <= families.keys() and len(families) > 25
    assert all(scene.metering is not None for scene in SCENES)


def test_all_of_a_scene_is_restyled() -> None:
    scene = next(scene for scene in SCENES if scene.ground and scene.ground.wall and len(scene.things) > 1)
    wet = restyled(scene, "wet", 1.0)
    assert wet.lights == scene.lights and len(wet.coverings) == len(scene.coverings)
    assert all(new != old for new, old in zip(wet.coverings, scene.coverings, strict=True))


def _world(thing: Thing) -> np.ndarray:
    """Vertices where they are in the scene, turned by the textbook's matrices."""
    vertices = np.concatenate([mesh.vertices for mesh in shapes.meshes(thing.form, thing.size)]).astype(np.float64)
    for axis, angle in enumerate(thing.rotation):
        turned = vertices.copy()
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turned[:, a] = math.cos(angle) * vertices[:, a] - math.sin(angle) * vertices[:, b]
        turned[:, b] = math.sin(angle) * vertices[:, a] + math.cos(angle) * vertices[:, b]
        vertices = turned
    return vertices + np.array(thing.location)


@pytest.mark.slow
def test_things_stand_on_the_ground_and_apart() -> None:
    turns = np.linspace(0.0, 2.0 * math.pi, 128, endpoint=False)
    ways = np.stack([np.cos(turns), np.sin(turns)])
    for scene in SCENES:
        placed = [_world(thing) for thing in scene.things]
        for number, points in enumerate(placed):
            assert 0.0 < float(points[:, 2].min()) < 0.01
            for other in placed[:number]:
                gap = float(((points[:, :2] @ ways).min(axis=0) - (other[:, :2] @ ways).max(axis=0)).max())
                assert gap > -1e-3, f"sample {scene.index}: two things overlap by {-gap}"


def _rays(scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The eye and the directions [side², 3] of pixels all over the frame."""
    camera = scene.camera
    eye = np.array(camera.location)
    forward = np.subtract(camera.target, eye)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, camera.up)
    right /= np.linalg.norm(right)
    at = np.linspace(-1.0, 1.0, side) * math.tan(0.5 * camera.field_of_view)
    x, y = (axis.reshape(-1, 1) for axis in np.meshgrid(at, at))
    return eye, forward + x * right + y * np.cross(right, forward)


def _meets(eye: np.ndarray, rays: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether each ray meets one of the triangles [T, 3, 3] (Möller and Trumbore)."""
    first, side, other = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    met = np.zeros(len(rays), bool)
    for number, ray in enumerate(rays):
        normal = np.cross(ray, other)
        scale = np.einsum("ij,ij->i", side, normal)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = eye - first
            u = np.einsum("ij,ij->i", away, normal) / scale
            across = np.cross(away, side)
            v = across @ ray / scale
            t = np.einsum("ij,ij->i", other, across) / scale
        met[number] = np.any((u >= -1e-6) & (v >= -1e-6) & (u + v <= 1.0 + 1e-6) & (t > 0.0))
    return met


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs two processors"
)
def test_shapes_are_the_same_on_any_number_of_processors() -> None:
    program = (
        "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]);"
        "import dataset_tools.render, hashlib;"
        "from dataset_tools.specs import describe; from dataset_tools.shapes import meshes;"
        "forms = [(t.form, t.size) for i in (14, 15, 23) for t in describe('objects', 5, i).things];"
        "assert any(form.kind == 'figure' for form, _ in forms);"
        "print([hashlib.sha256(m.vertices.tobytes()).hexdigest() for form, size in forms for m in meshes(form, size)])"
    )
    root = Path(shapes.__file__).parents[2]
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    one, two = (
        subprocess.run(
            [sys.executable, "-c", program, count],
            cwd=root,
            env=environment,
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for count in ("1", "2")
    )
    assert one and one == two


@pytest.mark.slow
def test_the_ground_fills_the_frame() -> None:
    whole = [scene for scene in SCENES if not scene.cutout]
    assert any(scene.ground and scene.ground.wall for scene in whole)
    assert any(scene.ground and scene.ground.sweep for scene in whole)
    for scene in whole:
        assert scene.ground is not None
        if scene.ground.folds:  # of 160² faces; its outline is that of the flat ones
            continue
        meshes = [ground_mesh(scene.ground), *([wall_mesh(scene.ground)] if scene.ground.wall else [])]
        eye, rays = _rays(scene, 7)
        met = _meets(eye, rays, np.concatenate([_triangles(mesh) for mesh in meshes]))
        assert met.all(), f"sample {scene.index}: the camera looks past the ground"


@pytest.mark.slow
def test_things_are_in_the_picture() -> None:
    for scene in SCENES:
        eye, _ = _rays(scene, 2)
        forward = np.subtract(scene.camera.target, eye)
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, scene.camera.up)
        right /= np.linalg.norm(right)
        seen = np.concatenate([_world(thing) for thing in scene.things]) - eye
        depth = seen @ forward
        assert depth.min() > 0.1, f"sample {scene.index}: the camera is inside a thing"
        half = math.tan(0.5 * scene.camera.field_of_view)
        place = np.stack([seen @ right, seen @ np.cross(right, forward)]) / depth / half
        low, high = place.min(axis=1), place.max(axis=1)
        assert np.all(np.abs(0.5 * (low + high)) < 0.5) and 0.5 < float((high - low).max()) / 2.0 < 1.4, scene.index


def _cutout() -> dict[str, np.ndarray]:
    """Passes of a thing that fills the middle of a picture whose rest is transparent."""
    made = invented_passes(7)
    alpha = np.zeros((16, 16), np.float32)
    alpha[4:12, 4:12] = 1.0
    alpha[3, 4:12] = 0.25
    for name in made:
        made[name] *= alpha[..., None]
    return {**made, passes.ALPHA: alpha}


def test_the_gate_knows_cutouts() -> None:
    made = _cutout()
    assert attempts.reasons(made) == ()
    assert attempts.reasons({name: layer for name, layer in made.items() if name != passes.ALPHA}) == ("empty",)
    made[passes.ALPHA] = made[passes.ALPHA] * (np.arange(16) < 6)
    assert attempts.reasons(made) == ("empty",), "a thing that is hardly to be seen"
    black = _cutout()
    black["combined"] *= 0.001
    assert attempts.reasons(black) == ("black",)


def test_a_cutouts_background_is_not_metered() -> None:
    made = _cutout()
    how = Metering("mean", 0.0)
    factor = metering.exposure(made, how)
    shown = {name: layer[4:12, 4:12] for name, layer in made.items() if name != passes.ALPHA}
    assert factor == pytest.approx(metering.exposure(shown, how), rel=1e-6)
    assert factor < 0.8 * metering.exposure({name: made[name] for name in shown}, how)


def test_alpha_is_stored_with_cutouts_alone() -> None:
    made = _cutout()
    assert passes.validity(made)[3].sum() == 0.0 and passes.validity(made)[4:12, 4:12].mean() > 0.9
    stored = passes.read(passes.encode({**made, passes.MASK: passes.validity(made)}))
    np.testing.assert_array_equal(passes.coverage(stored), made[passes.ALPHA])
    whole = invented_passes(7)
    stored = passes.read(passes.encode({**whole, passes.MASK: passes.validity(whole)}))
    assert passes.ALPHA not in stored and passes.coverage(stored).min() == 1.0


needs_bpy = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")), reason="needs the bpy and OpenEXR packages"
)


def _run(*arguments: str) -> str:
    command = [sys.executable, str(Path(shards.__file__).parents[1] / "render.py"), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objects") / "set"
    _render(folder, 0, 10)
    return folder


def _render(folder: Path, start: int, count: int, *others: str) -> None:
    quality = ("--resolution", "32", "--samples", "2", "--denoise", "--seed", "3")
    _run("objects", *quality, "--start", str(start), "--count", str(count), "--out", str(folder), *others)


@pytest.mark.slow
@needs_bpy
def test_a_share_of_what_is_cut_out_is_told(tmp_path: Path) -> None:
    _render(tmp_path, 1, 2, "--cutout-share", "1")
    assert not describe("objects", 3, 1).cutout, "as the dataset's own share has it"
    said = _run("verify", str(tmp_path))
    assert "All well" in said and "another version" not in said
    assert all(
        stored["scene"]["cutout"] for _, _, stored in layers.load(tmp_path, shards.entries(tmp_path), ("alpha",))
    )
    assert "--cutout-share 1" in (tmp_path / "README.md").read_text("utf-8")


@pytest.mark.slow
@needs_bpy
def test_renders_verify_and_cutouts_are_over_black(rendered: Path) -> None:
    assert "All well" in _run("verify", str(rendered))
    names = ("image", "albedo", "shading", "mask", "alpha")
    seen = Counter[bool]()
    for index, found, stored in layers.load(rendered, shards.entries(rendered), names):
        cutout = stored["scene"].get("cutout", False)
        assert cutout == describe("objects", 3, index, stored["attempt"]).cutout
        assert stored["metadata"]["lighting"] == stored["scene"]["lighting"]
        alpha = found["alpha"][..., 0]
        seen[cutout] += 1
        if cutout:
            outside = alpha == 0.0
            assert 0.08 < alpha.mean() < 1.0
            for name in ("image", "albedo", "mask"):
                assert not np.any(found[name][outside]), name
        else:
            # The ground and the wall fill the frame: nothing is seen past them.
            assert alpha.min() == 1.0 and found["albedo"].max(axis=-1).min() >= 0.0
            assert found["mask"].mean() > 0.5
    assert seen[True] and seen[False]


@pytest.mark.slow
@needs_bpy
def test_a_sample_is_the_same_alone(rendered: Path, tmp_path: Path) -> None:
    _render(tmp_path / "alone", 4, 1)
    batch = {entry["index"]: entry["sha256"] for entry in shards.entries(rendered)}
    assert [entry["sha256"] for entry in shards.entries(tmp_path / "alone")] == [batch[4]]


@pytest.mark.slow
@needs_bpy
def test_masks_and_alpha_can_be_exported_and_shown(rendered: Path, tmp_path: Path) -> None:
    components = ("--components", "albedo", "mask", "alpha", "image")
    _run(
        "export",
        str(rendered),
        "--resolution",
        "16",
        "--split",
        "all",
        *components,
        "--out",
        str(tmp_path / "pack.tar"),
    )
    _run("preview", str(rendered), "--count", "4", "--out", str(tmp_path / "sheet.png"))
    assert "shapes:" in _run("stats", str(rendered), "--count", "4")
    assert (tmp_path / "pack.tar").stat().st_size > 10_000 and (tmp_path / "sheet.png").is_file()
