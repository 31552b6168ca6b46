# SPDX-License-Identifier: GPL-3.0-or-later
"""The same scene with one property of its materials moved: what an edit of the material is measured against.

No bpy here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from dataset_tools.description.covering import Covering, Finish, Material, Weather
from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.specs.relighting import picture_width

# Patches of wear and water a picture across: as large as one sees them on a thing in the hand.
_PATCHES = 5.0


@dataclass(frozen=True)
class Property:
    """What an amount of it means, the range of amounts, and the material that has it."""

    meaning: str
    low: float
    high: float
    apply: Callable[[Material, float, float], Material]


def _wet(material: Material, amount: float, scale: float) -> Material:
    finish = material.finish or Finish(wear_scale=scale)
    return replace(material, finish=replace(finish, wetness=max(finish.wetness, amount)))


def _weathered(name: str) -> Callable[[Material, float, float], Material]:
    def apply(material: Material, amount: float, scale: float) -> Material:
        weather = material.weather or Weather(scale=scale)
        return replace(material, weather=replace(weather, **{name: amount}))

    return apply


def _relief(material: Material, amount: float, scale: float) -> Material:
    return replace(material, relief=material.relief * 2.0**amount)


PROPERTIES: Mapping[str, Property] = {
    "wet": Property("share of the surface", 0.0, 1.0, _wet),
    "worn": Property("share of the surface", 0.0, 1.0, _weathered("worn")),
    "dusty": Property("share of the surface", 0.0, 1.0, _weathered("dusty")),
    "rusty": Property("share of the surface", 0.0, 1.0, _weathered("rusty")),
    "roughness": Property("added to Principled's roughness", -1.0, 1.0, _weathered("roughness")),
    "relief": Property("doublings of the relief's height", -4.0, 4.0, _relief),
    "hue": Property("degrees that colours turn by", -180.0, 180.0, _weathered("hue")),
}


def restyled(scene: Scene, name: str, amount: float) -> Scene:
    """The same scene, noise and light and all, with a property of PROPERTIES of all its materials moved.

    Raises UserError for scenes without materials of the library. Where nothing can be moved (a surface without relief,
    a grey one's hue) the renders are equal.
    """
    if not scene.materials:
        message = f"The scenes of {scene.dataset} have no materials of the library to move: take another dataset."
        raise UserError(message)
    scale, apply = picture_width(scene) / _PATCHES, PROPERTIES[name].apply

    def change(covering: Covering) -> Covering:
        return replace(covering, layers=tuple(apply(layer, amount, scale) for layer in covering.layers))

    return _covered(scene, change)


def _covered(scene: Scene, change: Callable[[Covering], Covering]) -> Scene:
    """The scene with every covering changed."""

    def over(thing: Any, *names: str) -> Any:
        return thing and replace(thing, **{name: change(getattr(thing, name)) for name in names})

    return replace(
        scene,
        room=over(scene.room, "floor", "walls"),
        tile=over(scene.tile, "covering"),
        objects=tuple(over(item, "covering") for item in scene.objects),
        things=tuple(replace(thing, coverings=tuple(map(change, thing.coverings))) for thing in scene.things),
        ground=over(scene.ground, "covering", *(["wall"] if scene.ground and scene.ground.wall else [])),
    )
