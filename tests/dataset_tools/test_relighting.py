# SPDX-License-Identifier: GPL-3.0-or-later
"""The light in five numbers, and the same scene with one of them changed: nothing else may change with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dataset_tools.description.lighting import light_metadata
from dataset_tools.description.scene import Light, Scene
from dataset_tools.specs import describe
from dataset_tools.specs.relighting import (
    ATTRIBUTES,
    held_attributes,
    is_told,
    light_attributes,
    moved,
)
from tests.dataset_tools.described import Described

SCENES = [describe(dataset, 3, index) for dataset in ("materials", "primeshapes") for index in range(6)]
HEADS = Described("heads", 3, 40)


def _lit(location: tuple[float, float, float], energy: float = 100.0) -> Scene:
    """A tile under one light at ``location``."""
    light = Light("sphere", location, (0.0, 0.0, 0.0), energy, (1.0, 1.0, 1.0), 0.1)
    return replace(SCENES[0], lights=(light,))


def test_the_numbers_say_what_one_sees() -> None:
    overhead, right, top = (light_attributes(_lit(at)) for at in ((0, 0, 2), (1, 0, 2), (0, 1, 2)))
    assert overhead["left_right"] == overhead["up_down"] == 0.0
    assert right["left_right"] == top["up_down"] == pytest.approx(math.sin(math.atan(0.5)))
    assert right["up_down"] == top["left_right"] == 0.0
    far = light_attributes(_lit((0, 0, 4), energy=400.0))
    assert far["distance"] - overhead["distance"] == pytest.approx(math.log(2.0))
    assert far["intensity"] == pytest.approx(overhead["intensity"])
    # In a room, up is up, and the light over the camera is neither left nor right.
    room = next(scene for scene in SCENES if scene.room)
    x, y, z = room.camera.target
    lamp = replace(room.lights[0], location=(x, y - 3.0, z + 4.0))
    found = light_attributes(replace(room, lights=(lamp,)))
    assert found["up_down"] == pytest.approx(0.8) and found["left_right"] == pytest.approx(0.0)


def test_several_lights_count_by_their_strength() -> None:
    left, right = (_lit((x, 0.0, 2.0), energy).lights[0] for x, energy in ((-1.0, 100.0), (1.0, 300.0)))
    both = light_attributes(replace(SCENES[0], lights=(left, right)))
    sine = 1.0 / math.sqrt(5.0)
    assert both["left_right"] == pytest.approx(0.75 * sine - 0.25 * sine)
    one = light_attributes(replace(SCENES[0], lights=(left,)))
    assert both["intensity"] - one["intensity"] == pytest.approx(math.log(4.0))


def _portrait(*lights: Light) -> Scene:
    scene = next(scene for scene in HEADS if scene.lighting == "studio")
    return replace(scene, lights=lights)


def _softbox(location: tuple[float, float, float], energy: float, color: tuple[float, float, float]) -> Light:
    return Light("area", location, (0.0, 0.0, 0.0), energy, color, 0.2, size=(0.4, 0.4))


def test_a_portrait_is_told_by_its_key_light() -> None:
    key = _softbox((-1.0, -1.0, 0.5), 90.0, (1.1, 1.0, 0.55))
    fill = _softbox((1.0, -1.0, 0.5), 30.0, (1.0, 1.0, 1.0))
    rim = _softbox((-0.5, 1.5, 0.5), 500.0, (1.0, 0.2, 1.0))
    alone, filled = light_attributes(_portrait(key)), light_attributes(_portrait(fill, key))
    assert set(alone) == {*ATTRIBUTES, "warmth", "fill"}
    assert alone["left_right"] == filled["left_right"] == pytest.approx(-2.0 / 3.0)
    assert alone["up_down"] == pytest.approx(1.0 / 3.0)
    assert alone["warmth"] == filled["warmth"] == pytest.approx(math.log(2.0))
    even = _portrait().fill.strength
    ratio = math.exp(alone["intensity"])
    assert alone["fill"] == pytest.approx(math.log(even / ratio))
    assert filled["fill"] == pytest.approx(math.log(even / ratio + 1.0 / 3.0))
    # What stands behind the head is neither key nor fill, but held: it changes the picture.
    behind = _portrait(fill, rim, key)
    assert light_attributes(behind) == filled
    assert held_attributes(behind)["behind"] > held_attributes(_portrait(fill, key))["behind"] == 0.0
    assert "fill" not in held_attributes(behind)
    # An exposure is of the key light's strength alone.
    assert light_attributes(behind, 2.0) == {**filled, "intensity": pytest.approx(filled["intensity"] + math.log(2.0))}
    assert is_told(behind) and not is_told(_portrait(rim)) and not is_told(_portrait())


def test_portraits_under_lamps_are_told() -> None:
    told = {scene.lighting for scene in HEADS if is_told(scene)}
    assert {"studio", "window", "flash"} <= told and not told & {"sun", "overcast"}
    for scene in (scene for scene in HEADS if is_told(scene)):
        assert all(math.isfinite(value) for value in light_attributes(scene).values())
        moved_right = light_attributes(moved(scene, "left_right", 0.05))["left_right"]
        assert moved_right >= light_attributes(scene)["left_right"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("change", [-0.1, 0.1])
def test_a_move_changes_one_number_of_the_light_and_nothing_else(attribute: str, change: float) -> None:
    whole = 0
    for scene in SCENES:
        there = moved(scene, attribute, change)
        assert replace(there, lights=scene.lights) == scene
        for light, before in zip(there.lights, scene.lights, strict=True):
            free = {"location": before.location, "energy": before.energy, "radius": before.radius}
            assert replace(light, **free) == before  # type: ignore[arg-type]
        old, new = light_attributes(scene), light_attributes(there)
        differences = {name: new[name] - old[name] for name in ATTRIBUTES}
        reached = differences.pop(attribute) / change
        assert -1e-9 <= reached <= 1.0 + 1e-9
        whole += reached > 0.999
        assert all(abs(other) < 1e-9 for other in differences.values())
        assert held_attributes(there) == held_attributes(scene)
    assert whole >= len(SCENES) // 2


def test_lights_stay_in_the_room_and_above_the_tile() -> None:
    for scene in SCENES:
        there = scene
        for attribute, change in (("left_right", 3.0), ("up_down", -3.0), ("distance", 2.0)):
            there = moved(there, attribute, change)
        for light in there.lights:
            x, _, z = light.location
            assert z > 0.5
            assert scene.room is None or (abs(x) < scene.room.half_width and z >= 2.0)


def test_the_numbers_agree_with_the_metadata_beside_each_render() -> None:
    for scene in SCENES[:6]:  # one light each
        (light,) = light_metadata(scene)["lights"]
        found = light_attributes(scene)
        flat = math.cos(light["elevation"])
        np.testing.assert_allclose(found["left_right"], flat * math.sin(light["azimuth"]))
        np.testing.assert_allclose(found["up_down"], -flat * math.cos(light["azimuth"]))
        np.testing.assert_allclose(math.exp(found["intensity"]), light["intensity"])
        np.testing.assert_allclose(math.exp(found["size"] - found["distance"]), light["size"] / light["distance"])
