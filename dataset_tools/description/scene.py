# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene is, as data: frozen dataclasses that go to JSON and back without loss.

Units: lengths in metres, angles in radians, light energy in Blender's watts, colours scene-linear Rec.709.
Axes: x to the right, y away from the camera, z up. No bpy here, so that a description can be read anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dataset_tools.description.covering import Color, Covering, Material, Vector
from dataset_tools.description.forms import Form
from dataset_tools.description.person import Portrait
from join_engine.json_data import LATER, plain, restored


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
    ``cells`` × ``cells`` faces, which carry the relief. ``bulge`` is how far its middle stands out (or, below zero,
    lies in) against a plane at one metre from it, in metres, along x and along y: the curvatures are twice that.
    """

    corners: tuple[tuple[float, float], ...]
    cells: int
    covering: Covering
    bulge: tuple[float, float] = field(default=(0.0, 0.0), metadata=LATER)


@dataclass(frozen=True)
class Thing:
    """A form made ``size`` times as large, placed and turned (Euler angles, XYZ), each of its parts covered."""

    form: Form
    size: float
    location: Vector
    rotation: Vector
    coverings: tuple[Covering, ...]

    def __post_init__(self) -> None:
        if len(self.coverings) != len(self.form.parts):
            raise ValueError("A thing has one covering for each part of its form.")


@dataclass(frozen=True)
class Ground:
    """What things stand on: the plane z = 0 from x = −``half_width`` to it and from y = ``front`` to ``back``.

    With a ``height`` there is a wall at its back, which ``wall`` covers; without one of its own, the ground itself
    bends up to it in an arc of radius ``sweep``. ``folds`` are ridges of a cloth (those of
    :mod:`dataset_tools.shapes.sheet`) that lies flat within ``calm`` of the middle.
    """

    half_width: float
    front: float
    back: float
    covering: Covering
    height: float = 0.0
    sweep: float = 0.0
    wall: Covering | None = None
    folds: tuple[float, ...] = ()
    calm: float = 0.0


@dataclass(frozen=True)
class Light:
    """A light at ``location`` aimed at ``target``.

    Its kind is "spot"; "sphere", which shines evenly around; "area", a shining rectangle; or "sun", whose location
    tells its direction alone. ``angle`` is a spot's full cone or the sun's angular diameter, ``blend`` a spot's soft
    share. ``radius`` is the size of the shining ball in metres, of an area half of its shorter side and of a sun 0.
    ``size`` is an area's width and height. ``energy`` is in watts, a sun's in watts a square metre.
    """

    kind: str
    location: Vector
    target: Vector
    energy: float
    color: Color
    radius: float
    angle: float | None = None
    blend: float | None = None
    size: tuple[float, float] | None = field(default=None, metadata=LATER)


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


NO_FILL = Fill((1.0, 1.0, 1.0), 0.0)


@dataclass(frozen=True)
class Environment:
    """Light from all around, in place of the even fill and never seen by the camera.

    Its kind is "sky" (Blender's sky texture without the sun's disc, which a light of kind "sun" stands for),
    "overcast" (a sky of cloud, three times as bright overhead as at the horizon, over dark ground) or "picture" (an
    equirectangular ``file`` of the environments' folder). ``strength`` multiplies the sky's radiance; of an overcast
    sky and of a picture, it is the mean radiance over all directions. ``color`` is the camera's white balance.
    ``rotation`` turns the whole (Euler angles; the last one is about z, and without it a sky has its sun at +y).
    ``elevation`` is the sun's in radians,
    ``air`` and ``dust`` are densities, 1 as usual.
    """

    kind: str
    strength: float
    color: Color = (1.0, 1.0, 1.0)
    rotation: Vector = (0.0, 0.0, 0.0)
    elevation: float = 0.0
    air: float = 1.0
    dust: float = 1.0
    file: str | None = None


@dataclass(frozen=True)
class Blocker:
    """A thing outside the picture that casts shadows and that only the camera does not see.

    Its kind is "leaves" (a twig with leaves), "branch" (a bare one), "bars" (a railing or a blind), "frame" (a
    window's, whose panes let light through), "person" (head and shoulders) or "card" (an opaque rectangle).
    ``size`` is its extent in metres, ``count`` that of its parts; ``seed`` decides where they are.
    """

    kind: str
    location: Vector
    rotation: Vector
    size: float
    count: int
    seed: int


@dataclass(frozen=True)
class Metering:
    """How the camera exposes: ``mode`` is "mean", "centre" or "highlight"; ``bias`` is in stops."""

    mode: str
    bias: float


# Of a scene: dataset, seed, index, attempt and noise_seed, as its first fields are called.
Identity = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that decides the pixels of one sample, except resolution, samples per pixel and Blender's version.

    Either a ``room`` with ``objects`` (Primeshapes), a ``tile`` (Materials, Surfaces), a ``portrait`` (Heads) or
    ``things`` on a ``ground`` (Objects). A ``cutout`` shows the things alone: what they stand on shades them and lights
    them from below, and the rest of the picture is transparent. ``attempt`` counts the descriptions of this index that
    the quality gate refused before. ``lighting`` names the kind of light, where the dataset has several. Without
    ``metering`` the passes keep the scene's own units.
    """

    dataset: str
    seed: int
    index: int
    attempt: int
    noise_seed: int
    room: Room | None = None
    objects: tuple[Object, ...] = ()
    tile: Tile | None = None
    lights: tuple[Light, ...]
    fill: Fill = NO_FILL
    camera: Camera
    lighting: str | None = field(default=None, metadata=LATER)
    environment: Environment | None = field(default=None, metadata=LATER)
    blockers: tuple[Blocker, ...] = field(default=(), metadata=LATER)
    metering: Metering | None = field(default=None, metadata=LATER)
    portrait: Portrait | None = field(default=None, metadata=LATER)
    things: tuple[Thing, ...] = field(default=(), metadata=LATER)
    ground: Ground | None = field(default=None, metadata=LATER)
    cutout: bool = field(default=False, metadata=LATER)

    @property
    def coverings(self) -> tuple[Covering, ...]:
        """All coverings of the scene."""
        found = [item.covering for item in self.objects]
        if self.room:
            found += [self.room.floor, self.room.walls]
        if self.tile:
            found.append(self.tile.covering)
        if self.portrait:
            found += self.portrait.coverings
        found += [covering for thing in self.things for covering in thing.coverings]
        if self.ground:
            found += [covering for covering in (self.ground.covering, self.ground.wall) if covering]
        return tuple(found)

    @property
    def materials(self) -> tuple[Material, ...]:
        """All materials of the scene, in all layers."""
        return tuple(material for covering in self.coverings for material in covering.layers)

    def to_json(self) -> dict[str, Any]:
        """The scene as plain JSON data."""
        data: dict[str, Any] = plain(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Scene:
        """Inverse of :meth:`to_json`, also after a trip through a JSON file. Raises KeyError, TypeError or ValueError
        for what is no scene."""
        scene: Scene = restored(cls, data)
        return scene
