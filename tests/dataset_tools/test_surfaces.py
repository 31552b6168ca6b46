# SPDX-License-Identifier: GPL-3.0-or-later
"""The surfaces dataset's descriptions: kinds of light and their shares, splits of pictures, frames that are filled."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from dataset_tools.description.lighting import facing_shading, light_metadata
from dataset_tools.description.scene import Scene
from dataset_tools.description.seeds import split
from dataset_tools.sources import Sources
from dataset_tools.sources.environments import Environments
from dataset_tools.sources.scanned import Scan, Scans
from dataset_tools.specs import LIGHTINGS, describe
from dataset_tools.specs.relighting import ATTRIBUTES, is_told, light_attributes, moved
from tests.dataset_tools.described import Described

_NAMES = ("Wood", "Marble", "Leather", "Metal", "Gravel", "Fabric", "Tiles")
SCANS = Scans(
    tuple(Scan(f"{name}00{n}", {"color": f"{name}00{n}_Color.jpg"}) for n in range(9) for name in _NAMES), 0.5
)
SOURCES = Sources(SCANS)
SCENES = Described("surfaces", 4, 400, SOURCES)


@pytest.mark.slow
def test_equal_inputs_give_equal_scenes_that_survive_json() -> None:
    for index in (3, 399, 17):
        assert describe("surfaces", 4, index, sources=SOURCES) == SCENES[index]
    for scene in SCENES:
        assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
    assert describe("surfaces", 4, 3, attempt=1, sources=SOURCES) != SCENES[3]


def test_kinds_of_light_come_as_often_as_they_should() -> None:
    counts = Counter(scene.lighting for scene in SCENES)
    for kind, share in LIGHTINGS["surfaces"].items():
        spread = math.sqrt(share * (1.0 - share) / len(SCENES))
        assert abs(counts[kind] / len(SCENES) - share) < 4.0 * spread, kind


def test_shares_can_be_chosen() -> None:
    chosen = replace(SOURCES, lighting={"sun": 3.0, "lamp": 1.0})
    counts = Counter(describe("surfaces", 4, index, sources=chosen).lighting for index in range(200))
    assert set(counts) == {"sun", "lamp"} and 120 < counts["sun"] < 180


def test_each_kind_has_its_light() -> None:
    for scene in SCENES:
        assert scene.metering and abs(scene.metering.bias) <= 0.7
        kinds = [light.kind for light in scene.lights]
        around = scene.environment.kind if scene.environment else None
        match scene.lighting:
            case "flash":
                assert kinds in (["spot"], ["sphere"])
                distance = math.dist(scene.camera.location, scene.camera.target)
                assert math.dist(scene.camera.location, scene.lights[0].location) < 0.2 * distance
            case "sun":
                assert kinds == ["sun"] and around == "sky" and scene.lights[0].location[2] > 0.0
            case "window":
                assert kinds in (["sun"], ["area"]) and around in ("overcast", "picture")
            case "lamp":
                assert kinds in (["sphere"], ["sphere", "sphere"])
            case other:
                assert kinds == [] and around == {"overcast": "overcast", "picture": "picture"}[str(other)]
    assert {kind for scene in SCENES for kind in (blocker.kind for blocker in scene.blockers)} == {
        *("leaves", "branch", "bars", "frame", "person", "card")
    }


def test_a_sun_shines_from_where_its_sky_glows() -> None:
    for scene in (scene for scene in SCENES if scene.lighting == "sun"):
        sky, sun = scene.environment, scene.lights[0]
        assert sky is not None
        toward = np.array((0.0, math.cos(sky.elevation), math.sin(sky.elevation)))
        for axis, angle in enumerate(sky.rotation):
            other, third = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[[other, third], [other, third]] = math.cos(angle)
            turn[third, other], turn[other, third] = math.sin(angle), -math.sin(angle)
            toward = turn @ toward
        assert np.allclose(np.array(sun.location) / np.linalg.norm(sun.location), toward)


def test_pictures_belong_to_one_split() -> None:
    every = Environments()
    parts = [set(every.of_split(name).files) for name in ("train", "val", "test")]
    assert all(parts) and set.union(*parts) == set(every.files) and sum(map(len, parts)) == len(every.files) == 8
    for scene in SCENES:
        if scene.environment and scene.environment.file:
            assert scene.environment.file in every.of_split(split(4, scene.index)).files


@pytest.mark.slow
def test_the_tile_fills_the_frame() -> None:
    """Rays through the frame's rim meet the bent tile inside its mesh, and never from behind."""
    rim = [(a, b) for a in (-1.0, 1.0) for b in np.linspace(-1.0, 1.0, 9)]
    bent = 0
    for scene in SCENES:
        tile, camera = scene.tile, scene.camera
        assert tile is not None
        bent += any(tile.bulge)
        eye = np.array(camera.location)
        forward = -eye / np.linalg.norm(eye)
        right = np.cross(forward, camera.up)
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        for x, y in [*rim, *((b, a) for a, b in rim)]:
            ray = forward + math.tan(0.5 * camera.field_of_view) * (x * right + y * up)
            point = eye - ray * (eye[2] / ray[2])
            for _ in range(60):  # to where the ray has the bent tile's height, slowly enough to converge
                height = -tile.bulge[0] * point[0] ** 2 - tile.bulge[1] * point[1] ** 2
                point = point + 0.5 * (eye - ray * ((eye[2] - height) / ray[2]) - point)
            corners = np.array(tile.corners)
            edges = np.roll(corners, -1, axis=0) - corners
            offsets = point[:2] - corners
            assert np.all(edges[:, 0] * offsets[:, 1] - edges[:, 1] * offsets[:, 0] > 0.0), scene.index
            normal = np.array((2.0 * tile.bulge[0] * point[0], 2.0 * tile.bulge[1] * point[1], 1.0))
            assert normal @ -ray > 0.0
    assert 0.15 < bent / len(SCENES) < 0.3


def test_what_is_glossy_dark_metal_and_wet_is_common() -> None:
    materials = [material for scene in SCENES for material in scene.materials]
    finishes = [material.finish for material in materials]
    assert all(finish is not None for finish in finishes)
    smooth = [m for m in materials if m.finish and m.finish.gloss and (m.roughness < 0.5 or m.finish.coat)]
    assert 0.25 < len(smooth) / len(materials) < 0.6
    dark = [m for m in smooth if np.mean(m.colors) < 0.1 or m.parameters.get("shade", 1.0) < 0.6]
    assert len(dark) / len(materials) > 0.1
    assert min(m.roughness for m in smooth) < 0.06
    assert 0.01 < np.mean([m.metal for m in materials]) < 0.12
    for name, least in (("wetness", 0.02), ("anisotropy", 0.02), ("variation", 0.4), ("waves", 0.3), ("coat", 0.05)):
        assert np.mean([getattr(finish, name) > 0.0 for finish in finishes]) > least, name


def test_colour_only_scans_get_relief_and_roughness() -> None:
    scans = [m for scene in SCENES for m in scene.materials if m.textures]
    assert 0.3 < len(scans) / sum(len(scene.materials) for scene in SCENES) < 0.7
    assert all({"luminance", "grain", "spread", "shade"} <= set(m.parameters) and m.relief > 0.0 for m in scans)
    assert {m.parameters["luminance"] > 0.0 for m in scans} == {True, False}


def test_metadata_is_in_the_cameras_units() -> None:
    for scene in SCENES[:60]:
        plain, exposed = light_metadata(scene), light_metadata(scene, 2.0)
        assert exposed["lighting"] == scene.lighting
        assert (plain["key"] is None) == (not scene.lights)
        for one, two in zip(plain["lights"], exposed["lights"], strict=True):
            assert two["intensity"] == pytest.approx(2.0 * one["intensity"]) and two["azimuth"] == one["azimuth"]


def test_light_in_numbers_is_told_of_lamps_alone() -> None:
    told = {scene.lighting for scene in SCENES if is_told(scene)}
    assert told == {"flash", "lamp", "window"}
    for scene in (scene for scene in SCENES[:80] if is_told(scene)):
        found = light_attributes(scene)
        assert set(found) == set(ATTRIBUTES) and all(math.isfinite(value) for value in found.values())
        assert light_attributes(scene, 3.0)["intensity"] == pytest.approx(found["intensity"] + math.log(3.0))
        total = sum(facing_shading(light, scene.camera.target) for light in scene.lights)
        assert math.exp(found["intensity"]) == pytest.approx(total)
        brighter = light_attributes(moved(scene, "intensity", 0.5))
        assert brighter["intensity"] == pytest.approx(found["intensity"] + 0.5)
