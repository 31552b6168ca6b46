# SPDX-License-Identifier: GPL-3.0-or-later
"""The Primeshapes dataset (JoIN, section 8.1): primitives in a room with textured walls, lit by spotlights.

The camera never moves and the room is symmetric about x = 0, which keeps the distribution narrow enough for a small
GAN and makes a horizontal flip a valid sample.
"""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.covering import Color, Vector
from dataset_tools.description.sampling import choose, log_uniform, uniform, vector
from dataset_tools.description.scene import Camera, Fill, Identity, Light, Object, Room, Scene
from dataset_tools.sources import Sources
from dataset_tools.sources.scanned import Scans
from dataset_tools.specs.coverings import sample_covering

SHAPES = ("sphere", "cone", "cube", "cylinder", "torus")

CAMERA = Camera(location=(0.0, -9.0, 3.3), target=(0.0, 0.3, 0.9), field_of_view=math.radians(29.5))

_HALF_WIDTH = 2.6
_FRONT = -5.0
_BACK = 2.6
_HEIGHT = 5.0

# Where the centres of objects may stand, and the gap that keeps them apart.
_STAGE_X = 1.6
_STAGE_Y = (-1.5, 1.5)
_GAP = 0.08
# How often a surface has two or three materials.
_MIXED = 0.12
_OBJECT_COUNTS = (1, 2, 3, 4)
_OBJECT_COUNT_WEIGHTS = (0.15, 0.3, 0.35, 0.2)


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A scene of the primeshapes dataset, drawn with ``rng``."""
    return Scene(
        **identity,
        room=_room(rng, sources.scans),
        objects=_objects(rng, sources.scans),
        lights=_lights(rng),
        fill=Fill(color=_tint(rng, 0.12), strength=uniform(rng, 0.14, 0.42)),
        camera=CAMERA,
    )


def _room(rng: np.random.Generator, scans: Scans | None) -> Room:
    # A wall of bare metal would leave half a picture without shading.
    floor = sample_covering(rng, mixed=_MIXED, size=1.6, darkest=0.4, metals=0.0, scans=scans)
    walls = sample_covering(rng, mixed=_MIXED, size=1.9, darkest=0.45, metals=0.0, scans=scans)
    return Room(half_width=_HALF_WIDTH, front=_FRONT, back=_BACK, height=_HEIGHT, floor=floor, walls=walls)


def _objects(rng: np.random.Generator, scans: Scans | None) -> tuple[Object, ...]:
    count = choose(rng, _OBJECT_COUNTS, _OBJECT_COUNT_WEIGHTS)
    placed: list[tuple[Object, float]] = []
    # Fewer objects may be larger.
    largest = {1: 1.15, 2: 1.0, 3: 0.9, 4: 0.8}[count]
    for _ in range(count):
        placed.append(_place(rng, placed, uniform(rng, 0.55, largest), scans))
    return tuple(placed_object for placed_object, _ in placed)


def _place(
    rng: np.random.Generator, placed: list[tuple[Object, float]], size: float, scans: Scans | None
) -> tuple[Object, float]:
    """A new object clear of the others and of the walls, with the radius of its footprint."""
    shape = choose(rng, SHAPES)
    while True:
        dimensions, footprint, base, tilt = _measure(rng, shape, size)
        for _ in range(24):
            x = uniform(rng, -_STAGE_X, _STAGE_X)
            y = uniform(rng, *_STAGE_Y)
            if _is_clear(x, y, footprint, placed):
                rotation = (tilt, 0.0, uniform(rng, -math.pi, math.pi))
                covering = sample_covering(rng, mixed=_MIXED, scans=scans)
                return Object(shape, dimensions, (x, y, base), rotation, covering), footprint
        # Crowded: a smaller one will fit, since the stage is larger than four small footprints.
        size *= 0.85


def _is_clear(x: float, y: float, footprint: float, placed: list[tuple[Object, float]]) -> bool:
    if abs(x) + footprint > _HALF_WIDTH - _GAP or y + footprint > _BACK - _GAP:
        return False
    return all(
        math.hypot(x - other.location[0], y - other.location[1]) > footprint + radius + _GAP for other, radius in placed
    )


def _measure(rng: np.random.Generator, shape: str, size: float) -> tuple[dict[str, float], float, float, float]:
    """Dimensions by name, footprint radius, height of the origin above the floor and tilt about x of one shape."""
    if shape == "sphere":
        return {"radius": size}, size, size, 0.0
    if shape == "cone":
        return {"radius": size, "height": size * uniform(rng, 1.3, 2.4)}, size, 0.0, 0.0
    if shape == "cylinder":
        radius = size * uniform(rng, 0.65, 0.95)
        return {"radius": radius, "height": size * uniform(rng, 0.9, 2.3)}, radius, 0.0, 0.0
    if shape == "cube":
        half = size * 0.78
        return {"half": half}, half * math.sqrt(2.0), half, 0.0
    minor = size * uniform(rng, 0.25, 0.36)
    dimensions = {"major": size * 1.1 - minor, "minor": minor}
    if rng.random() < 0.5:
        return dimensions, size * 1.1, minor, 0.0
    return dimensions, size * 1.1, size * 1.1, math.pi / 2


def _lights(rng: np.random.Generator) -> tuple[Light, ...]:
    count = choose(rng, (1, 2, 3), (0.35, 0.4, 0.25))
    # What the lights together give a surface that faces them, as a value of shading.
    total = log_uniform(rng, 0.8, 2.8)
    shares = rng.dirichlet([2.5] * count)
    return tuple(_light(rng, total * float(share)) for share in shares)


def _light(rng: np.random.Generator, level: float) -> Light:
    """A spotlight that gives shading ``level`` to a surface facing it at its target."""
    location = vector(rng, (-2.4, -6.0, 2.4), (2.4, 1.4, 5.5))
    target = vector(rng, (-0.9, -0.8, 0.0), (0.9, 1.6, 1.0))
    # Blender's watts: a point light of P watts gives radiance P / (4 π² d²) on a white diffuse surface.
    energy = level * 4.0 * math.pi**2 * _squared_distance(location, target)
    return Light(
        kind="spot",
        location=location,
        target=target,
        energy=energy,
        color=_tint(rng, 0.25),
        radius=uniform(rng, 0.12, 0.6),
        angle=math.radians(uniform(rng, 55.0, 120.0)),
        blend=uniform(rng, 0.3, 1.0),
    )


def _squared_distance(a: Vector, b: Vector) -> float:
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def _tint(rng: np.random.Generator, strength: float) -> Color:
    """A mild colour between warm and cool, of unit luminance or nearly so."""
    warmth = uniform(rng, -strength, strength)
    magenta = uniform(rng, -0.2, 0.2) * strength
    return (1.0 + warmth, 1.0 - magenta, 1.0 - warmth)
