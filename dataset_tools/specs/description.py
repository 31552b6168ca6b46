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
    """A surface of one family and everything that distinguishes this one from its siblings.

    ``colors`` are base colours; ``scale`` is the size of the pattern's main feature in metres; ``offset`` and
    ``angle`` move the pattern over the surface; ``relief`` is the height of the surface's relief as a share of
    ``scale``; ``parameters`` belong to the family (see ``materials.library``); ``metal`` says that at least part of
    the surface is bare metal, whose diffuse colour is zero. ``textures`` names the files of a scanned material by map
    (color, roughness, metalness, normal, height), relative to the folder that was given for the whole dataset.
    """

    family: str
    colors: tuple[Color, ...]
    scale: float
    angle: float
    offset: Vector
    roughness: float
    specular: float
    relief: float
    metal: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)
    textures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Mask:
    """A noise that decides where the next material of a covering shows.

    ``scale`` is the size of its patches in metres, ``cover`` about the share of the surface that the next material
    takes, ``softness`` the width of the transition as a share of the noise's range.
    """

    scale: float
    cover: float
    softness: float
    offset: Vector


@dataclass(frozen=True)
class Covering:
    """What covers a surface: one material, or up to three laid over one another through masks."""

    layers: tuple[Material, ...]
    masks: tuple[Mask, ...] = ()

    def __post_init__(self) -> None:
        if len(self.masks) != len(self.layers) - 1:
            raise ValueError("A covering has one mask between each pair of neighbouring layers.")


@dataclass(frozen=True)
class Object:
    """A primitive with its dimensions by name (radius, height, half, major, minor), placed and covered."""

    shape: str
    dimensions: Mapping[str, float]
    location: Vector
    rotation: Vector
    covering: Covering


@dataclass(frozen=True)
class Room:
    """Floor, back wall and two side walls, symmetric about x = 0; open above and towards the camera."""

    half_width: float
    front: float
    back: float
    height: float
    floor: Covering
    walls: Covering


@dataclass(frozen=True)
class Tile:
    """A piece of material in the plane z = 0 that fills the frame.

    ``corners`` are x, y of its lower left, lower right, upper right and upper left corner in metres; its mesh has
    ``cells`` × ``cells`` faces, which carry the relief.
    """

    corners: tuple[tuple[float, float], ...]
    cells: int
    covering: Covering


@dataclass(frozen=True)
class Light:
    """A light at ``location`` aimed at ``target``: kind "spot", or "sphere", which shines evenly around.

    ``angle`` is a spot's full cone and ``blend`` its soft share; a sphere has neither. ``radius`` is the size of the
    shining ball in metres.
    """

    kind: str
    location: Vector
    target: Vector
    energy: float
    color: Color
    radius: float
    angle: float | None = None
    blend: float | None = None


@dataclass(frozen=True)
class Camera:
    """A perspective camera at ``location``, looking at ``target``, its frame's upper edge towards ``up``.

    ``field_of_view`` spans the square frame.
    """

    location: Vector
    target: Vector
    field_of_view: float
    up: Vector = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Fill:
    """Even light from beyond the room (the world), never seen by the camera."""

    color: Color
    strength: float


@dataclass(frozen=True)
class Scene:
    """Everything that decides the pixels of one sample, except resolution, samples per pixel and Blender's version.

    Either a ``room`` with ``objects`` (Primeshapes) or a ``tile`` (Materials). ``attempt`` counts the descriptions
    of this index that the quality gate refused before.
    """

    dataset: str
    seed: int
    index: int
    attempt: int
    noise_seed: int
    room: Room | None
    objects: tuple[Object, ...]
    tile: Tile | None
    lights: tuple[Light, ...]
    fill: Fill
    camera: Camera

    @property
    def coverings(self) -> tuple[Covering, ...]:
        """All coverings of the scene."""
        found = [item.covering for item in self.objects]
        if self.room:
            found += [self.room.floor, self.room.walls]
        if self.tile:
            found.append(self.tile.covering)
        return tuple(found)

    @property
    def materials(self) -> tuple[Material, ...]:
        """All materials of the scene, in all layers."""
        return tuple(material for covering in self.coverings for material in covering.layers)

    def to_json(self) -> dict[str, Any]:
        """The scene as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """Inverse of :meth:`to_json`, also after a trip through a JSON file (where tuples become lists)."""
        room, tile = data["room"], data["tile"]
        return cls(
            dataset=data["dataset"],
            seed=data["seed"],
            index=data["index"],
            attempt=data["attempt"],
            noise_seed=data["noise_seed"],
            room=room and Room(**{**room, "floor": _covering(room["floor"]), "walls": _covering(room["walls"])}),
            objects=tuple(Object(**{**_tupled(o), "covering": _covering(o["covering"])}) for o in data["objects"]),
            tile=tile and _tile(tile),
            lights=tuple(Light(**_tupled(light)) for light in data["lights"]),
            fill=Fill(**_tupled(data["fill"])),
            camera=Camera(**_tupled(data["camera"])),
        )


def _tupled(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples: turn lists of numbers back into them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


def _tile(data: Mapping[str, Any]) -> Tile:
    corners = tuple((float(x), float(y)) for x, y in data["corners"])
    return Tile(corners=corners, cells=data["cells"], covering=_covering(data["covering"]))


def _covering(data: Mapping[str, Any]) -> Covering:
    masks = tuple(Mask(**_tupled(mask)) for mask in data["masks"])
    return Covering(layers=tuple(_material(material) for material in data["layers"]), masks=masks)


def _material(data: Mapping[str, Any]) -> Material:
    colors = tuple(tuple(color) for color in data["colors"])
    plain = {"colors": colors, "parameters": dict(data["parameters"]), "textures": dict(data["textures"])}
    return Material(**{**_tupled(data), **plain})
