# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects dataset: one to three things as one photographs them, on a ground or cut out.

Things are about one metre large, whatever they stand for; x is to the right, y away from the viewer. The camera meters.
Six of ten pictures are whole, if nothing else is asked for; the others show the things alone, lit from below by what
they stand on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from dataset_tools import shapes
from dataset_tools.description.covering import Vector
from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose, log_uniform, uniform
from dataset_tools.description.scene import Camera, Ground, Identity, Metering, Scene, Thing
from dataset_tools.shapes.sheet import draw_folds
from dataset_tools.sources import Sources
from dataset_tools.sources.scanned import Scans
from dataset_tools.specs import kind_of_light
from dataset_tools.specs.clothing import cover, cover_backdrop, cover_ground, cover_wall
from dataset_tools.specs.materials import view_axes
from dataset_tools.specs.staging import Stage, light, outdoors

NAME = "objects"

_CUTOUTS = 0.4
_COUNTS = (1, 2, 3)
_COUNT_WEIGHTS = (0.55, 0.25, 0.2)
# Things that can lie, and are as often found so as not.
_TIPPED = {"fruit": 0.4, "container": 0.15, "turned": 0.12, "vessel": 0.06, "blocks": 0.0}
# Things with a face, which is turned to the viewer more or less.
_FACED = ("container", "package", "figure", "book", "pillow")
# What is flat is looked down upon.
_FLAT = ("paper", "pillow", "book", "cloth")
# Directions [16, 2] in which footprints are measured; the opposite of each is eight places on.
_TURNS = np.arange(16) * (math.pi / 8.0)
_AROUND = np.stack([np.cos(_TURNS), np.sin(_TURNS)], axis=-1)


@dataclass(frozen=True)
class _Placed:
    """A thing, its vertices where they are [V, 3], and how far it reaches from the origin in each of _AROUND [16]."""

    thing: Thing
    points: np.ndarray
    reach: np.ndarray


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A scene of the objects dataset, drawn with ``rng``."""
    lighting = kind_of_light(rng, NAME, sources)
    cutout = rng.random() < (_CUTOUTS if sources.cutout_share is None else sources.cutout_share)
    kinds, placed = _things(rng, sources.scans, cutout)
    points = np.concatenate([found.points for found in placed])
    walled = not cutout and not outdoors(lighting) and rng.random() < 0.65
    camera = _camera(rng, points, len(placed), _elevation(rng, kinds, cutout=cutout, walled=walled))
    middle, radius = _extent(points)
    lit = light(rng, lighting, Stage(middle, radius, camera, walled), sources)
    if cutout:
        ground = _table(rng, sources.scans, radius) if rng.random() < 0.75 else None
    else:
        ground = _ground(rng, camera, radius, sources.scans, walled=walled, outdoors=outdoors(lighting))
    return Scene(
        **identity,
        **vars(lit),
        camera=camera,
        lighting=lighting,
        metering=Metering(choose(rng, ("mean", "centre", "highlight"), (0.4, 0.3, 0.3)), uniform(rng, -0.7, 0.7)),
        things=tuple(found.thing for found in placed),
        ground=ground,
        cutout=cutout,
    )


def _things(rng: np.random.Generator, scans: Scans | None, cutout: bool) -> tuple[list[str], list[_Placed]]:
    """One to three things beside one another: of different kinds or, as fruit and pebbles lie, of one."""
    count = choose(rng, _COUNTS, _COUNT_WEIGHTS)
    kinds: list[str] = []
    placed: list[_Placed] = []
    alike = rng.random() < 0.4
    for number in range(count):
        kind, form = shapes.sample_form(rng)
        if number and alike:
            kind, form = kinds[0], shapes.SAMPLERS[kinds[0]][0](rng)
        size = uniform(rng, 0.8, 1.1) if number == 0 else uniform(rng, 0.45, 1.0)
        coverings = cover(rng, kind, form, size, scans)
        if number and alike and form.parts == placed[0].thing.form.parts and rng.random() < 0.5:
            coverings = placed[0].thing.coverings
        rotation = _rotation(rng, kind, form, cutout)
        thing = Thing(form, round(size, 4), (0.0, 0.0, 0.0), rotation, coverings)
        placed.append(_beside(rng, thing, placed))
        kinds.append(kind)
    return kinds, placed


def _rotation(rng: np.random.Generator, kind: str, form: Form, cutout: bool) -> Vector:
    faced = kind in _FACED
    turn = uniform(rng, -0.9, 0.9) if faced else uniform(rng, -math.pi, math.pi)
    if form.shape == "packet" and cutout and rng.random() < 0.7:
        # Held up by something that is not seen.
        return (math.radians(uniform(rng, 60.0, 95.0)), 0.0, 0.6 * turn)
    if form.shape == "book" and rng.random() < 0.25:
        return (0.5 * math.pi, 0.0, turn)
    if rng.random() < _TIPPED.get(kind, 0.0):
        return (math.radians(uniform(rng, 65.0, 115.0)), 0.0, uniform(rng, -math.pi, math.pi))
    if form.shape in ("pebble", "potato", "clay") and rng.random() < 0.6:
        return (uniform(rng, -math.pi, math.pi), uniform(rng, -math.pi, math.pi), turn)
    return (0.0, 0.0, turn)


def _beside(rng: np.random.Generator, thing: Thing, placed: list[_Placed]) -> _Placed:
    """The thing on the ground, clear of the others and close to them."""
    points = np.concatenate([mesh.vertices for mesh in shapes.meshes(thing.form, thing.size)]).astype(np.float64)
    points = points @ _turning(thing.rotation).T
    middle = np.array((*(0.5 * (points[:, :2].min(axis=0) + points[:, :2].max(axis=0))), 0.0))
    points = points - middle
    reach = (points[:, :2] @ _AROUND.T).max(axis=0)
    at = np.zeros(2)
    for _ in range(40 if placed else 0):
        way = int(rng.integers(16))
        aside = (way + 4) % 16
        neighbour = placed[int(rng.integers(len(placed)))].reach
        along = neighbour[way] + reach[(way + 8) % 16] + uniform(rng, 0.01, 0.4) * float(reach.mean())
        across = 0.5 * (neighbour[aside] - neighbour[(way + 12) % 16]) + uniform(rng, -0.5, 0.5) * float(reach.mean())
        at = along * _AROUND[way] + across * _AROUND[aside]
        # Two footprints are apart when a line lies between them.
        if all(np.any(reach + _AROUND @ at + np.roll(other.reach, 8) < 0.0) for other in placed):
            break
    else:
        # Crowded: to the right of all of them there is room.
        at = np.array((max((other.reach[0] for other in placed), default=-reach[8]) + reach[8], 0.0))
    # A hair above the ground: faces in its plane would flicker.
    moved = np.array((*at, 0.002 - float(points[:, 2].min())))
    location = _rounded(moved - middle)
    return _Placed(replace(thing, location=location), points + moved, reach + _AROUND @ at)


def _turning(rotation: Vector) -> np.ndarray:
    """The matrix of Euler angles, about x first and about z last."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(rotation), np.cos(rotation)
    about_x = np.array([(1.0, 0.0, 0.0), (0.0, cx, -sx), (0.0, sx, cx)])
    about_y = np.array([(cy, 0.0, sy), (0.0, 1.0, 0.0), (-sy, 0.0, cy)])
    about_z = np.array([(cz, -sz, 0.0), (sz, cz, 0.0), (0.0, 0.0, 1.0)])
    return about_z @ about_y @ about_x


def _extent(points: np.ndarray) -> tuple[Vector, float]:
    """The middle of the things and the radius of a ball about it that holds them."""
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    radius = float(np.linalg.norm(points - middle, axis=1).max())
    x, y, z = (round(float(c), 4) for c in middle)
    return (x, y, z), round(radius, 4)


def _elevation(rng: np.random.Generator, kinds: list[str], *, cutout: bool, walled: bool) -> float:
    """How steeply the camera looks down, in radians."""
    low, high = choose(rng, ((4.0, 18.0), (18.0, 40.0), (40.0, 65.0), (65.0, 84.0)), (0.3, 0.4, 0.2, 0.1))
    if cutout and rng.random() < 0.3:
        low, high = -3.0, 10.0
    if any(kind in _FLAT for kind in kinds):
        low, high = max(low, 24.0), max(high, 60.0)
    if not cutout and not walled:
        # Where no wall stands, the horizon must stay out of the picture.
        low, high = max(low, 28.0), max(high, 45.0)
    return math.radians(uniform(rng, low, high))


def _camera(rng: np.random.Generator, points: np.ndarray, count: int, elevation: float) -> Camera:
    """A camera that frames the things, whole as a rule and close now and then; of several some may be cut off."""
    field_of_view = math.radians(uniform(rng, 16.0, 46.0))
    middle, _ = _extent(points)
    towards = np.array((0.0, -math.cos(elevation), math.sin(elevation)))
    up = np.array((0.0, math.sin(elevation), math.cos(elevation)))
    low, most = (0.6, 0.95) if count == 1 else (0.75, 1.05)
    share = uniform(rng, low, most) if rng.random() < 0.8 else uniform(rng, most, 1.25)
    seen = points - middle
    x, y, depth = seen[:, 0], seen @ up, seen @ towards
    target = np.array(middle)
    half = math.tan(0.5 * field_of_view)
    distance = 4.0
    # Nearer things look larger: a few rounds settle both where to look and from how far.
    for _ in range(4):
        near = np.maximum(distance - depth, 0.2 * distance) / distance
        across, along = x / near, y / near
        centre = 0.5 * np.array((across.min() + across.max(), along.min() + along.max()))
        reach = 0.5 * max(float(np.ptp(across)), float(np.ptp(along)))
        distance = max(reach / (half * share), 1.3 * float(depth.max()) + 0.2)
    aim = target + centre[0] * np.array((1.0, 0.0, 0.0)) + centre[1] * up
    slack = max(0.0, 1.0 - share) * reach / share
    aim = aim + uniform(rng, -0.7, 0.7) * slack * np.array((1.0, 0.0, 0.0)) + uniform(rng, -0.7, 0.7) * slack * up
    eye = aim + distance * towards
    roll = uniform(rng, -0.04, 0.04)
    return Camera(
        location=_rounded(eye),
        target=_rounded(aim),
        field_of_view=field_of_view,
        up=(round(math.sin(roll), 5), 0.0, round(math.cos(roll), 5)),
    )


def _rounded(point: np.ndarray) -> Vector:
    """To a tenth of a millimetre: what follows from meshes may differ in its last bits between processors."""
    x, y, z = (round(float(c), 4) for c in point)
    return (x, y, z)


def _table(rng: np.random.Generator, scans: Scans | None, radius: float) -> Ground:
    """What cut-out things stand on, which lights them from below."""
    reach = 4.0 * radius
    return Ground(reach, -reach, reach, cover_ground(rng, scans, outdoors=False))


def _ground(
    rng: np.random.Generator, camera: Camera, radius: float, scans: Scans | None, *, walled: bool, outdoors: bool
) -> Ground:
    """A ground, and a wall where there is one, that fill the frame."""
    back = math.inf if not walled else radius * log_uniform(rng, 1.3, 5.0)
    hits = np.array([_hit(ray, camera.location, back) for ray in _corners(camera)])
    half_width = max(1.15 * float(np.abs(hits[:, 0]).max()) + 0.5, 3.0 * radius)
    front = min(float(hits[:, 1].min()) - 0.5, -3.0 * radius)
    if not walled:
        reach = max(1.1 * float(hits[:, 1].max()) + 0.5, 3.0 * radius)
        covering = cover_ground(rng, scans, outdoors=outdoors)
        folded = not outdoors and covering.layers[0].family in ("woven_cloth", "felt", "denim", "tartan", "checker")
        if folded and reach < 12.0 * radius:
            folds = draw_folds(rng, int(rng.integers(4, 12)), 0.3 * radius, 2.2 * radius, uniform(rng, 0.0, math.pi))
            return Ground(half_width, front, reach, covering, folds=folds, calm=round(radius, 4))
        return Ground(half_width, front, reach, covering)
    height = max(1.15 * float(hits[:, 2].max()) + 0.3, 2.5 * radius)
    if rng.random() < 0.5:
        sweep = back * uniform(rng, 0.3, 0.9)
        covering = cover_backdrop(rng) if rng.random() < 0.8 else cover_ground(rng, scans, outdoors=False)
        return Ground(half_width, front, back, covering, height, sweep)
    return Ground(half_width, front, back, cover_ground(rng, scans, outdoors=False), height, 0.0, cover_wall(rng))


def _corners(camera: Camera) -> list[np.ndarray]:
    """Directions to the corners of the frame."""
    right, up, forward = view_axes(camera)
    half = math.tan(0.5 * camera.field_of_view)
    return [forward + half * (x * right + y * up) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]


def _hit(ray: np.ndarray, eye: Vector, back: float) -> Vector:
    """Where a ray meets the ground or the wall at y = ``back``."""
    floor = eye[2] / -ray[2] if ray[2] < -1e-3 else math.inf
    wall = (back - eye[1]) / ray[1] if ray[1] > 1e-3 and math.isfinite(back) else math.inf
    # A ray that meets neither would look over the top of a world that _elevation keeps out of the picture.
    x, y, z = (e + min(floor, wall, 60.0) * float(r) for e, r in zip(eye, ray, strict=True))
    return (x, y, z)
