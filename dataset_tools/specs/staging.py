# SPDX-License-Identifier: GPL-3.0-or-later
"""Light on things: a lamp, a window, a studio's soft boxes, the sun, clouds, a place's own light, a flash. No bpy.

Levels are shadings about 1 at the things: the camera meters, so only what is strong beside what matters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.covering import Color, Vector
from dataset_tools.description.sampling import choose, log_uniform, uniform
from dataset_tools.description.scene import Blocker, Camera, Environment, Light
from dataset_tools.sources import Sources

# Shading that Blender's sky without its sun gives a surface that faces up, by the sun's elevation in degrees, measured.
_SKY_AT, _SKY = (0.0, 3.0, 10.0, 25.0, 45.0, 70.0, 90.0), (0.4, 0.92, 1.8, 2.56, 2.95, 3.1, 3.15)
_OUTDOORS = ("sun", "overcast")


@dataclass(frozen=True)
class Stage:
    """What light is arranged about: the middle of the things and their radius in metres, the camera, and whether a
    wall stands behind them."""

    middle: Vector
    radius: float
    camera: Camera
    walled: bool


@dataclass(frozen=True)
class Lit:
    """What lights a scene."""

    lights: tuple[Light, ...]
    environment: Environment | None
    blockers: tuple[Blocker, ...] = ()


def outdoors(lighting: str) -> bool:
    """Whether a kind of light is found under the sky."""
    return lighting in _OUTDOORS


def light(rng: np.random.Generator, lighting: str, stage: Stage, sources: Sources) -> Lit:
    """Random light of a kind."""
    return _KINDS[lighting](rng, stage, sources)


def _from(stage: Stage, azimuth: float, elevation: float, radii: float) -> Vector:
    """A place ``radii`` radii of the things away; azimuth 0 is towards the viewer, positive to the right (radians)."""
    flat = math.cos(elevation)
    direction = (flat * math.sin(azimuth), -flat * math.cos(azimuth), math.sin(elevation))
    x, y, z = (m + radii * stage.radius * d for m, d in zip(stage.middle, direction, strict=True))
    return (x, y, max(z, 0.15 * stage.radius))


def _azimuth(rng: np.random.Generator, stage: Stage, least: float = 0.0) -> float:
    """To either side by ``least`` radians at least; from behind only where no wall stands there."""
    most = 1.75 if stage.walled else 2.9
    return choose(rng, (-1.0, 1.0)) * uniform(rng, least, most)


def _watts(level: float, place: Vector, at: Vector, *, area: bool = False) -> float:
    """What gives shading ``level`` at ``at`` to a surface that faces a light at ``place``."""
    return level * math.pi**2 * math.dist(place, at) ** 2 * (1.0 if area else 4.0)


def _warmth(rng: np.random.Generator, strength: float) -> Color:
    warmth = uniform(rng, -strength, strength)
    return (1.0 + warmth, 1.0 + 0.3 * uniform(rng, -1.0, 1.0) * abs(warmth), 1.0 - warmth)


def _dim(rng: np.random.Generator, low: float, high: float, sources: Sources) -> Environment:
    """What comes from the rest of the room."""
    return _around(rng, choose(rng, ("overcast", "picture"), (0.6, 0.4)), log_uniform(rng, low, high), sources)


def _around(rng: np.random.Generator, kind: str, strength: float, sources: Sources) -> Environment:
    file = choose(rng, sources.environments.files) if kind == "picture" else None
    turn = uniform(rng, 0.0, 2.0 * math.pi)
    return Environment(kind, strength, _warmth(rng, 0.12), (0.0, 0.0, turn), file=file)


def _lamp(rng: np.random.Generator, stage: Stage, sources: Sources) -> Lit:
    """One lamp, seldom two, in a room that is dark or not quite."""
    lights = []
    for share in (1.0,) if rng.random() < 0.75 else (1.0, uniform(rng, 0.15, 0.7)):
        place = _from(stage, _azimuth(rng, stage), math.radians(uniform(rng, 15.0, 78.0)), log_uniform(rng, 2.5, 7.0))
        color = _warmth(rng, 0.08) if rng.random() < 0.5 else _bulb(rng)
        energy, radius = _watts(share, place, stage.middle), stage.radius * log_uniform(rng, 0.03, 0.4)
        if rng.random() < 0.3:
            cone, soft = math.radians(uniform(rng, 25.0, 70.0)), uniform(rng, 0.2, 1.0)
            lights.append(Light("spot", place, stage.middle, energy, color, radius, cone, soft))
        else:
            lights.append(Light("sphere", place, stage.middle, energy, color, radius))
    return Lit(tuple(lights), _dim(rng, 0.015, 0.25, sources))


def _bulb(rng: np.random.Generator) -> Color:
    warmth = uniform(rng, 0.05, 0.35)
    return (1.0 + warmth, 1.0, 1.0 - 1.4 * warmth)


def _window(rng: np.random.Generator, stage: Stage, sources: Sources) -> Lit:
    """A window on one side, its sky soft, or the sun through its panes."""
    side, low = _azimuth(rng, stage, 0.5), math.radians(uniform(rng, 8.0, 50.0))
    dim = _dim(rng, 0.04, 0.4, sources)
    if rng.random() < 0.22:
        sun = _sun_light(rng, stage, side, low, (1.0, 0.96, 0.88))
        size, away = stage.radius * uniform(rng, 3.0, 6.0), 4.0 * stage.radius
        return Lit((sun,), dim, (_facing(rng, "frame", stage, side, low, away, size),))
    place = _from(stage, side, low, log_uniform(rng, 2.0, 6.0))
    panes = (stage.radius * log_uniform(rng, 0.8, 3.0), stage.radius * log_uniform(rng, 1.0, 3.5))
    energy = _watts(1.0, place, stage.middle, area=True)
    soft = Light("area", place, stage.middle, energy, _warmth(rng, 0.12), 0.5 * min(panes), size=panes)
    return Lit((soft,), dim)


def _studio(rng: np.random.Generator, stage: Stage, sources: Sources) -> Lit:
    """A key light and a softer one across, perhaps a rim from behind, all of them boxes."""
    side = choose(rng, (-1.0, 1.0))
    set_up = [(side * uniform(rng, 0.2, 1.3), uniform(rng, 25.0, 70.0), 1.0)]
    set_up.append((-side * uniform(rng, 0.4, 1.5), uniform(rng, 10.0, 50.0), log_uniform(rng, 0.08, 0.6)))
    if rng.random() < 0.35:
        set_up.append((uniform(rng, -0.6, 0.6), uniform(rng, 75.0, 90.0), log_uniform(rng, 0.15, 0.8)))
    lights = []
    for azimuth, elevation, level in set_up:
        place = _from(stage, azimuth, math.radians(elevation), log_uniform(rng, 2.5, 5.0))
        box = (stage.radius * log_uniform(rng, 0.7, 3.0), stage.radius * log_uniform(rng, 0.7, 3.0))
        energy = _watts(level, place, stage.middle, area=True)
        lights.append(Light("area", place, stage.middle, energy, _warmth(rng, 0.05), 0.5 * min(box), size=box))
    return Lit(tuple(lights), _dim(rng, 0.03, 0.3, sources))


def _sun_light(rng: np.random.Generator, stage: Stage, azimuth: float, elevation: float, color: Color) -> Light:
    location = _from(stage, azimuth, elevation, 10.0)
    disc = math.radians(0.53) * log_uniform(rng, 1.0, 5.0)
    return Light("sun", location, stage.middle, math.pi, color, 0.0, angle=disc)


def _sun(rng: np.random.Generator, stage: Stage, sources: Sources) -> Lit:
    """Sun and sky, sometimes through a tree."""
    azimuth, elevation = _azimuth(rng, stage), math.asin(uniform(rng, 0.1, 0.95))
    # Low, it is weaker beside the sky and redder; the camera's white balance takes most of that away.
    sink = math.exp(-math.degrees(elevation) / 12.0)
    sun = _sun_light(rng, stage, azimuth, elevation, (1.0, 0.96 - 0.2 * sink, 0.9 - 0.45 * sink))
    ratio = log_uniform(rng, 2.5, 11.0) * (1.0 - 0.5 * sink)
    sky = float(np.interp(math.degrees(elevation), _SKY_AT, _SKY))
    blue = uniform(rng, 0.0, 0.6)
    color = (1.0, 1.0 - 0.12 * blue, 1.0 - 0.3 * blue)
    # The sky's own sun stands at +y before it is turned.
    turn = (0.0, 0.0, azimuth - math.pi)
    environment = Environment("sky", 1.0 / (ratio * sky), color, turn, elevation, 1.0, log_uniform(rng, 0.4, 3.0))
    if rng.random() > 0.3:
        return Lit((sun,), environment)
    kind = choose(rng, ("leaves", "branch", "bars", "person"), (3.0, 1.0, 1.0, 1.0))
    away, size = stage.radius * uniform(rng, 2.5, 6.0), stage.radius * uniform(rng, 2.0, 4.0)
    return Lit((sun,), environment, (_facing(rng, kind, stage, azimuth, elevation, away, size),))


def _facing(
    rng: np.random.Generator, kind: str, stage: Stage, azimuth: float, elevation: float, away: float, size: float
) -> Blocker:
    """A blocker between the things and what shines from a direction, a little beside the line."""
    x, y, z = _from(stage, azimuth, elevation, away / stage.radius)
    beside = 0.4 * stage.radius
    place = (x + uniform(rng, -beside, beside), y + uniform(rng, -beside, beside), z)
    count = {"leaves": int(rng.integers(25, 90)), "branch": int(rng.integers(4, 10)), "bars": int(rng.integers(4, 10))}
    parts = count.get(kind, int(rng.integers(1, 4)))
    lean = uniform(rng, -0.2, 0.2)
    return Blocker(
        kind, place, (0.5 * math.pi - elevation + lean, 0.0, azimuth), size, parts, int(rng.integers(1 << 31))
    )


def _flash(rng: np.random.Generator, stage: Stage, sources: Sources) -> Lit:
    """A phone's beside its lens, or a flash gun's on the camera."""
    away = math.dist(stage.camera.location, stage.middle)
    x, y, z = stage.camera.location
    beside = away * log_uniform(rng, 0.015, 0.1)
    place = (x + beside * uniform(rng, -1.0, 1.0), y, z + beside * uniform(rng, 0.2, 1.0))
    radius = away * log_uniform(rng, 0.006, 0.04)
    flash = Light("sphere", place, stage.middle, _watts(1.0, place, stage.middle), _warmth(rng, 0.08), radius)
    return Lit((flash,), _dim(rng, 0.02, 0.4, sources))


_KINDS: Mapping[str, Callable[[np.random.Generator, Stage, Sources], Lit]] = {
    "lamp": _lamp,
    "window": _window,
    "studio": _studio,
    "sun": _sun,
    "overcast": lambda rng, stage, sources: Lit((), _around(rng, "overcast", 1.0, sources)),
    "picture": lambda rng, stage, sources: Lit((), _around(rng, "picture", 1.0, sources)),
    "flash": _flash,
}
