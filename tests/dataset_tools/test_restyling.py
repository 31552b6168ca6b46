# SPDX-License-Identifier: GPL-3.0-or-later
"""The same scene with one property of its material moved, or under another scene's light: nothing else may change."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from dataset_tools.description.lighting import facing_shading
from dataset_tools.description.scene import Metering, Scene
from dataset_tools.errors import UserError
from dataset_tools.specs import describe
from dataset_tools.specs.relighting import light_attributes, picture_width, under_light_of
from dataset_tools.specs.restyling import PROPERTIES, restyled

SCENES = [describe(dataset, 3, index) for dataset in ("materials", "primeshapes") for index in range(4)]


@pytest.mark.parametrize(("name", "amount"), [(name, 0.5) for name in PROPERTIES])
def test_one_property_of_all_materials_is_moved(name: str, amount: float) -> None:
    for scene in SCENES:
        there = restyled(scene, name, amount)
        assert replace(there, room=scene.room, tile=scene.tile, objects=scene.objects) == scene
        assert Scene.from_json(json.loads(json.dumps(there.to_json()))) == there
        for before, after in zip(scene.materials, there.materials, strict=True):
            assert (after == before) == (name == "relief" and before.relief == 0.0)
            free = {"finish": before.finish, "weather": before.weather, "relief": before.relief}
            assert replace(after, **free) == before  # type: ignore[arg-type]
            if name == "relief":
                assert after.relief == pytest.approx(before.relief * math.sqrt(2.0))
            elif name == "wet":
                assert after.finish is not None and after.finish.wetness == 0.5
            else:
                assert after.weather is not None and getattr(after.weather, name) == 0.5
                assert after.weather.scale == pytest.approx(picture_width(scene) / 5.0)
        # As many masks, and where they were.
        assert [c.masks for c in there.coverings] == [c.masks for c in scene.coverings]


def test_what_is_wetter_already_stays_so() -> None:
    wet = restyled(SCENES[0], "wet", 0.8)
    assert restyled(wet, "wet", 0.5) == wet


def test_scenes_without_materials_are_refused() -> None:
    with pytest.raises(UserError, match="The scenes of materials have no materials of the library to move"):
        restyled(replace(SCENES[0], tile=None), "wet", 0.5)


def test_another_scenes_light_stands_as_it_does_there() -> None:
    for scene, other in zip(SCENES, [SCENES[1], SCENES[2], SCENES[3], SCENES[0], *SCENES[5:], SCENES[4]], strict=True):
        there = under_light_of(scene, other)
        assert replace(there, lights=scene.lights, fill=scene.fill) == scene
        found, wanted = light_attributes(there), light_attributes(other)
        for name in ("left_right", "up_down", "distance", "size"):
            # In a room, all cameras are one; a tile's are tilted, and directions are told in the picture.
            if scene.room or name in ("distance", "size"):
                assert found[name] == pytest.approx(wanted[name])
        strengths = [sum(facing_shading(light, s.camera.target) for light in s.lights) for s in (there, scene)]
        assert strengths[0] == pytest.approx(strengths[1])
        assert there.fill.strength / strengths[0] == pytest.approx(
            other.fill.strength / sum(facing_shading(light, other.camera.target) for light in other.lights)
        )


def test_a_camera_that_meters_takes_the_light_as_it_is() -> None:
    bright = replace(SCENES[1], metering=Metering("mean", 0.3))
    there = under_light_of(replace(SCENES[0], metering=Metering("centre", 0.0)), bright)
    assert there.metering == bright.metering
    assert light_attributes(there)["intensity"] == pytest.approx(light_attributes(bright)["intensity"])
