# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene is, as data: frozen dataclasses that go to JSON and back without loss.

Units: lengths in metres, angles in radians, light energy in Blender's watts, colours scene-linear Rec.709.
Axes: x to the right, y away from the camera, z up. No bpy here, so that a description can be read anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

Vector = tuple[float, float, float]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A procedural surface: a family of patterns and everything that distinguishes this one from its siblings.

    ``colors`` are base colours; ``scale`` is the size of the pattern's main feature in metres; ``offset`` and
    ``angle`` move the pattern over the surface; ``parameters`` belong to the family (see ``specs.materials``).
    """

    family: str
    colors: tuple[Color, ...]
    scale: float
    angle: float
    offset: Vector
    roughness: float
    specular: float
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Object:
    """A primitive with its dimensions by name (radius, height, half, major, minor), placed and covered."""

    shape: str
    dimensions: Mapping[str, float]
    location: Vector
    rotation: Vector
    material: Material


@dataclass(frozen=True)
class Room:
    """Floor, back wall and two side walls, symmetric about x = 0; open above and towards the camera."""

    half_width: float
    front: float
    back: float
    height: float
    floor: Material
    walls: Material


@dataclass(frozen=True)
class Spotlight:
    """A soft spotlight at ``location``, aimed at ``target``; ``angle`` is the full cone, ``blend`` its soft share."""

    location: Vector
    target: Vector
    energy: float
    color: Color
    radius: float
    angle: float
    blend: float


@dataclass(frozen=True)
class Camera:
    """A perspective camera at ``location``, looking at ``target``; ``field_of_view`` spans the square frame."""

    location: Vector
    target: Vector
    field_of_view: float


@dataclass(frozen=True)
class Fill:
    """Even light from beyond the room (the world), never seen by the camera."""

    color: Color
    strength: float


@dataclass(frozen=True)
class Scene:
    """Everything that decides the pixels of one sample, except resolution, samples per pixel and Blender's version."""

    dataset: str
    seed: int
    index: int
    noise_seed: int
    room: Room
    objects: tuple[Object, ...]
    lights: tuple[Spotlight, ...]
    fill: Fill
    camera: Camera

    def to_json(self) -> dict[str, Any]:
        """The scene as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """Inverse of :meth:`to_json`, also after a trip through a JSON file (where tuples become lists)."""
        room = data["room"]
        return cls(
            dataset=data["dataset"],
            seed=data["seed"],
            index=data["index"],
            noise_seed=data["noise_seed"],
            room=Room(**{**room, "floor": _material(room["floor"]), "walls": _material(room["walls"])}),
            objects=tuple(Object(**{**_tupled(o), "material": _material(o["material"])}) for o in data["objects"]),
            lights=tuple(Spotlight(**_tupled(light)) for light in data["lights"]),
            fill=Fill(**_tupled(data["fill"])),
            camera=Camera(**_tupled(data["camera"])),
        )


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples: turn lists of numbers back into them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _material(data: Mapping[str, Any]) -> Material:
    colors = tuple(tuple(color) for color in data["colors"])
    return Material(**{**_tupled(data), "colors": colors, "parameters": dict(data["parameters"])})
