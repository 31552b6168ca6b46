# SPDX-License-Identifier: GPL-3.0-or-later
"""The surfaces dataset: a surface as one photographs it for a texture, with a phone, in any light.

Materials' tile with what photographs have: finished materials, a slightly curved tile, a camera that is held not quite
straight and meters, and six kinds of light (``Scene.lighting``). The tile lies about z = 0; outdoors it is the ground
or a wall, and the sky stands accordingly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.covering import Color, Vector
from dataset_tools.description.sampling import choose, log_uniform, uniform, warmth
from dataset_tools.description.scene import Blocker, Camera, Environment, Identity, Light, Metering, Scene, Tile
from dataset_tools.sources import Sources
from dataset_tools.specs import kind_of_light
from dataset_tools.specs.dressing import sample_dressed
from dataset_tools.specs.materials import brightness, footprint, view_axes
from dataset_tools.specs.staging import Lit

NAME = "surfaces"

_CELLS = 144
# How far the tile reaches beyond the frame, flat and curved.
_MARGIN, _CURVED_MARGIN = 1.15, 1.45
# Radiance of the sun's direct light on a white surface that faces it, above the air, in the units of Blender's sky
# texture, and its optical depth at the zenith by air and by dust: fitted to that texture's own sun (4.5).
_SUN = np.array((52.0, 45.6, 42.5))
_AIR, _DUST = np.array((0.03, 0.08, 0.2)), np.array((0.048, 0.049, 0.066))
# The sky's own on a surface that faces up, at 2, 10, 40 and 90 degrees of the sun's elevation.
_SKY_AT = (0.0, 2.0, 10.0, 40.0, 90.0)
_SKY = np.array(((0.3, 0.35, 0.38), (0.64, 0.73, 0.77), (1.44, 1.82, 2.26), (2.28, 2.85, 4.04), (2.47, 3.12, 4.61)))
_LUMINANCE = np.array((0.2126, 0.7152, 0.0722))


@dataclass(frozen=True)
class _View:
    """What light is arranged about: the camera, the width of the tile in sight (metres), and the shading that a
    camera's exposure would make of the tile's brightness."""

    camera: Camera
    width: float
    level: float


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A scene of the surfaces dataset, drawn with ``rng``."""
    lighting = kind_of_light(rng, NAME, sources)
    width = log_uniform(rng, 1.2, 2.6)
    covering = sample_dressed(rng, log_uniform(rng, 0.25, 1.2), width, sources.scans)
    camera = _camera(rng, width)
    bulge = _bulge(rng, width)
    corners = footprint(camera, _CURVED_MARGIN if any(bulge) else _MARGIN)
    while any(bulge) and not _fills(camera, corners, bulge):
        bulge = _flatter(bulge)
    level = min(max(log_uniform(rng, 0.15, 0.35) / brightness(covering), 0.4), 5.0)
    lit = _KINDS[lighting](rng, _View(camera, width, level), sources)
    return Scene(
        **identity,
        tile=Tile(corners=corners, cells=_CELLS, covering=covering, bulge=bulge),
        **vars(lit),
        camera=camera,
        lighting=lighting,
        metering=Metering(choose(rng, ("mean", "centre", "highlight"), (0.45, 0.3, 0.25)), uniform(rng, -0.7, 0.7)),
    )


def _camera(rng: np.random.Generator, width: float) -> Camera:
    """A camera that sees ``width`` metres of the tile, held nearly straight more often than not."""
    field_of_view = math.radians(uniform(rng, 38.0, 68.0))
    distance = 0.5 * width / math.tan(0.5 * field_of_view)
    tilt = math.radians(38.0) * uniform(rng, 0.0, 1.0) ** 2.2
    return Camera(
        location=_polar(tilt, uniform(rng, 0.0, 2.0 * math.pi), distance),
        target=(0.0, 0.0, 0.0),
        field_of_view=field_of_view,
        up=(0.0, 1.0, 0.0),
    )


def _bulge(rng: np.random.Generator, width: float) -> tuple[float, float]:
    """A quarter of all surfaces are bent, about one axis or both; their edges lie up to a tenth of the width lower."""
    if rng.random() > 0.25:
        return (0.0, 0.0)
    most = choose(rng, (1.0, -0.5)) * uniform(rng, 0.01, 0.1) * width / (0.5 * width) ** 2
    share = choose(rng, (0.0, 0.5, 1.0))
    return (most * share, most * (1.0 - share))


def _flatter(bulge: tuple[float, float]) -> tuple[float, float]:
    """Half as bent, or flat where that is next to nothing."""
    x, y = (0.5 * b for b in bulge)
    return (x, y) if max(abs(x), abs(y)) > 2e-3 else (0.0, 0.0)


def _fills(camera: Camera, corners: tuple[tuple[float, float], ...], bulge: tuple[float, float]) -> bool:
    """Whether the bent tile fills the frame: its rim lies outside, and nothing in sight turns away from the camera."""
    s, t = np.meshgrid(*[np.linspace(0.0, 1.0, 25)] * 2)
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=-1)
    x, y = np.moveaxis(weights @ np.array(corners), -1, 0)
    points = np.stack([x, y, -bulge[0] * x**2 - bulge[1] * y**2], axis=-1)
    normals = np.stack([2.0 * bulge[0] * x, 2.0 * bulge[1] * y, np.ones_like(x)], axis=-1)
    eye, axes = np.array(camera.location), view_axes(camera)
    seen = (points - eye) @ np.stack(axes).T / math.tan(0.5 * camera.field_of_view)
    depth = np.maximum(seen[..., 2] * math.tan(0.5 * camera.field_of_view), 1e-6)
    place = np.abs(seen[..., :2] / depth[..., None]).max(axis=-1)
    rim = (s % 1.0 == 0.0) | (t % 1.0 == 0.0)
    towards = (eye - points) / np.linalg.norm(eye - points, axis=-1, keepdims=True)
    facing = (normals * towards).sum(axis=-1) / np.linalg.norm(normals, axis=-1)
    return bool(np.all(place[rim] > 1.04) and np.all(facing[place < 1.2] > 0.2))


def _flash(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """A phone's: a small bright spot some per cent of the distance beside the lens, in some room light or none."""
    distance = math.dist(view.camera.location, view.camera.target)
    x, y, z = view.camera.location
    offset, around = distance * log_uniform(rng, 0.015, 0.14), uniform(rng, 0.0, 2.0 * math.pi)
    location: Vector = (x + offset * math.cos(around), y + offset * math.sin(around), z * uniform(rng, 0.95, 1.05))
    squared = sum(c * c for c in location)
    energy = view.level * 4.0 * math.pi**2 * squared * math.sqrt(squared) / location[2]
    radius = distance * log_uniform(rng, 0.008, 0.06)
    color = warmth(rng, 0.08)
    if rng.random() < 0.75:
        # The beam of a LED under its lens: it fades towards the corners.
        wide = max(math.radians(uniform(rng, 80.0, 125.0)), 1.3 * view.camera.field_of_view)
        light = Light("spot", location, view.camera.target, energy, color, radius, wide, uniform(rng, 0.7, 1.0))
    else:
        light = Light("sphere", location, view.camera.target, energy, color, radius)
    ambient = log_uniform(rng, 0.005, 0.15) * view.level
    room = choose(rng, (None, "overcast", "picture"), (0.4, 0.4, 0.2))
    environment = room and _around(rng, room, ambient, sources)
    return Lit((light,), environment or None)


def _sun(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """Sun and sky at any hour of a clear or hazy day, on the ground or on a wall, often through leaves or bars."""
    air, dust = uniform(rng, 0.7, 1.6), log_uniform(rng, 0.3, 4.0)
    while True:
        elevation = math.asin(uniform(rng, math.sin(math.radians(2.0)), math.sin(math.radians(80.0))))
        rotation = _standing(rng)
        towards = _turned((0.0, math.cos(elevation), math.sin(elevation)), rotation)
        if towards[2] > 0.1:
            break
    mass = 1.0 / (math.sin(elevation) + 0.15 * (math.degrees(elevation) + 3.885) ** -1.253)
    direct = _SUN * np.exp(-(air * _AIR + dust * _DUST) * mass)
    diffuse = np.array([np.interp(math.degrees(elevation), _SKY_AT, _SKY[:, channel]) for channel in range(3)])
    total = direct * towards[2] + diffuse
    strength = view.level / float(total @ _LUMINANCE)
    # The camera's white balance takes most of the light's colour away.
    gains = (float(total @ _LUMINANCE) / total) ** uniform(rng, 0.5, 1.0)
    balanced = direct * gains
    most = float(balanced.max())
    location = (10.0 * towards[0], 10.0 * towards[1], 10.0 * towards[2])
    disc = math.radians(0.53) * log_uniform(rng, 1.0, 4.0)
    sun = Light("sun", location, (0.0, 0.0, 0.0), math.pi * strength * most, _color(balanced / most), 0.0, angle=disc)
    sky = Environment("sky", strength, _color(gains), rotation, elevation, air, dust)
    count = choose(rng, (0, 1, 2, 3), (0.4, 0.35, 0.15, 0.1))
    blockers = tuple(_shade(rng, view, towards) for _ in range(count))
    return Lit((sun,), sky, blockers)


def _overcast(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """A cloudy sky, and often somebody or something that stands in its way on one side."""
    rotation = _standing(rng)
    up = _turned((0.0, 0.0, 1.0), rotation)
    facing = 0.5 + 0.5 * up[2]
    environment = Environment("overcast", view.level / (0.3 + 0.9 * facing), warmth(rng, 0.12), rotation)
    blockers = tuple(_stand(rng, view) for _ in range(choose(rng, (0, 1, 2), (0.4, 0.4, 0.2))))
    return Lit((), environment, blockers)


def _window(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """A window beside the surface: its sky as one soft light, or the sun through its panes or a blind."""
    dim = _around(
        rng, choose(rng, ("overcast", "picture"), (0.7, 0.3)), view.level * log_uniform(rng, 0.04, 0.4), sources
    )
    tilt, around = math.radians(uniform(rng, 40.0, 80.0)), uniform(rng, 0.0, 2.0 * math.pi)
    towards = _polar(tilt, around, 1.0)
    if rng.random() < 0.3:
        color = warmth(rng, 0.15)
        sun = Light(
            "sun",
            _polar(tilt, around, 10.0),
            (0.0, 0.0, 0.0),
            math.pi * view.level / math.cos(tilt),
            color,
            0.0,
            angle=math.radians(0.53) * log_uniform(rng, 1.0, 6.0),
        )
        kind = choose(rng, ("frame", "bars"))
        size = view.width * (uniform(rng, 2.5, 5.0) if kind == "frame" else uniform(rng, 1.5, 3.0))
        pane = _facing(rng, kind, towards, view.width * uniform(rng, 1.0, 3.0), size, 0.3 * view.width, 0.05)
        return Lit((sun,), dim, (pane,))
    distance = view.width * log_uniform(rng, 0.9, 3.0)
    panes = (view.width * log_uniform(rng, 0.4, 1.6), view.width * log_uniform(rng, 0.4, 1.6))
    energy = view.level * math.pi**2 * distance**2 / math.cos(tilt)
    place = _polar(tilt, around, distance)
    soft = Light("area", place, (0.0, 0.0, 0.0), energy, warmth(rng, 0.15), 0.5 * min(panes), size=panes)
    blockers = (_stand(rng, view),) if rng.random() < 0.3 else ()
    return Lit((soft,), dim, blockers)


def _lamp(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """One or two lamps of a room, off the camera's axis, warm as the camera leaves them."""
    count = choose(rng, (1, 2), (0.7, 0.3))
    lights = []
    for share in rng.dirichlet([3.0] * count):
        tilt = math.radians(uniform(rng, 12.0, 70.0))
        distance = view.width * log_uniform(rng, 0.8, 3.0)
        place = _polar(tilt, uniform(rng, 0.0, 2.0 * math.pi), distance)
        energy = view.level * float(share) * 4.0 * math.pi**2 * distance**2 / math.cos(tilt)
        warmth = uniform(rng, 0.0, 0.35)
        color = (1.0 + warmth, 1.0, 1.0 - 1.4 * warmth)
        lights.append(Light("sphere", place, (0.0, 0.0, 0.0), energy, color, view.width * log_uniform(rng, 0.02, 0.2)))
    dim = _around(rng, choose(rng, ("overcast", "picture")), view.level * log_uniform(rng, 0.02, 0.25), sources)
    return Lit(tuple(lights), dim, (_stand(rng, view),) if rng.random() < 0.2 else ())


def _picture(rng: np.random.Generator, view: _View, sources: Sources) -> Lit:
    """The light of a real place."""
    environment = _around(rng, "picture", view.level, sources)
    return Lit((), environment, (_stand(rng, view),) if rng.random() < 0.3 else ())


_KINDS = {"flash": _flash, "sun": _sun, "overcast": _overcast, "window": _window, "lamp": _lamp, "picture": _picture}


def _around(rng: np.random.Generator, kind: str, strength: float, sources: Sources) -> Environment:
    """A room's or a place's light from all sides, its white balance not quite met."""
    file = choose(rng, sources.environments.files) if kind == "picture" else None
    return Environment(kind, strength, warmth(rng, 0.15), _standing(rng), file=file)


def _standing(rng: np.random.Generator) -> Vector:
    """How the world lies about the tile, turned at will: the tile is the ground (or a table), or a wall."""
    turn = uniform(rng, 0.0, 2.0 * math.pi)
    return (0.0, 0.0, turn) if rng.random() < 0.6 else (-0.5 * math.pi, turn, 0.0)


def _turned(vector: Vector, rotation: Vector) -> Vector:
    """A vector turned by Euler angles, about x first and about z last."""
    turned = np.array(vector)
    for axis, angle in enumerate(rotation):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        a, b = turned[first], turned[second]
        turned[first] = math.cos(angle) * a - math.sin(angle) * b
        turned[second] = math.sin(angle) * a + math.cos(angle) * b
    x, y, z = (float(c) for c in turned)
    return (x, y, z)


def _shade(rng: np.random.Generator, view: _View, towards: Vector) -> Blocker:
    """Something between the sun and the picture."""
    kind = choose(rng, ("leaves", "branch", "bars", "person", "card"), (4.0, 1.5, 1.5, 1.5, 1.0))
    size = view.width * {"leaves": 1.6, "branch": 1.8, "bars": 2.0, "person": 1.6, "card": 1.3}[kind]
    away = view.width * uniform(rng, 0.6, 3.0)
    return _facing(rng, kind, towards, away, size * uniform(rng, 0.6, 1.5), 0.5 * view.width, 0.5)


def _facing(
    rng: np.random.Generator, kind: str, towards: Vector, away: float, size: float, beside: float, lean: float
) -> Blocker:
    """A blocker ``away`` metres off in a direction, up to ``beside`` metres beside its line, facing along it but for
    a ``lean`` in radians."""
    x, y, z = (away * c for c in towards)
    location = (x + uniform(rng, -beside, beside), y + uniform(rng, -beside, beside), max(z, 0.25 * away))
    count = {"leaves": int(rng.integers(25, 110)), "branch": int(rng.integers(4, 12)), "bars": int(rng.integers(4, 14))}
    parts = count.get(kind, int(rng.integers(1, 4)))
    tip = math.acos(min(max(towards[2], -1.0), 1.0)) + uniform(rng, -lean, lean)
    turn = math.atan2(towards[0], -towards[1]) + uniform(rng, -lean, lean)
    return Blocker(kind, location, (tip, 0.0, turn), size, parts, int(rng.integers(1 << 31)))


def _stand(rng: np.random.Generator, view: _View) -> Blocker:
    """Somebody or something that stands close to the picture on one side and takes a part of the light."""
    around = uniform(rng, 0.0, 2.0 * math.pi)
    away = view.width * uniform(rng, 0.7, 1.2)
    location = (away * math.cos(around), away * math.sin(around), 0.0)
    return Blocker(
        choose(rng, ("person", "card")),
        location,
        (0.5 * math.pi, 0.0, around + 0.5 * math.pi),
        view.width * uniform(rng, 0.7, 1.8),
        1,
        int(rng.integers(1 << 31)),
    )


def _polar(tilt: float, around: float, distance: float) -> Vector:
    """A point by its angle from the z axis and its direction about it."""
    across = distance * math.sin(tilt)
    return (across * math.cos(around), across * math.sin(around), distance * math.cos(tilt))


def _color(channels: np.ndarray) -> Color:
    r, g, b = (float(c) for c in channels)
    return (r, g, b)
