# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of what stands beside the picture and shades it: flat cut-outs about the origin. No bpy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from dataset_tools.description.scene import Blocker
from dataset_tools.shapes.mesh import MeshData

# Outline of a leaf (length 1 along x) and of a person from the waist up (height 1), counter-clockwise.
_LEAF = ((0.0, 0.0), (0.2, -0.2), (0.5, -0.28), (0.8, -0.16), (1.0, 0.0), (0.8, 0.16), (0.5, 0.28), (0.2, 0.2))
_HALF_PERSON = (
    (0.3, 0.0),
    (0.34, 0.35),
    (0.3, 0.52),
    (0.12, 0.58),
    (0.1, 0.66),
    (0.15, 0.78),
    (0.12, 0.92),
    (0.0, 1.0),
)


def blocker_mesh(described: Blocker) -> MeshData:
    """The mesh of a blocker: faces in the plane z = 0 or, of leaves, tilted about it."""
    rng = np.random.default_rng(described.seed)
    polygons = list(_SHAPES[described.kind](rng, described.count))
    vertices = np.concatenate(polygons).astype(np.float32) * np.float32(described.size)
    count = len(vertices)
    return MeshData(
        vertices,
        np.arange(count, dtype=np.int32),
        np.array([len(polygon) for polygon in polygons], np.int32),
        vertices[:, :2].copy(),
        np.zeros(len(polygons), bool),
    )


def _flat(points: Sequence[tuple[float, float]]) -> np.ndarray:
    return np.column_stack([np.asarray(points, np.float64), np.zeros(len(points))])


def _strip(begin: np.ndarray, end: np.ndarray, width: float, narrow: float = 1.0) -> np.ndarray:
    """A straight strip from point to point, [4, 3], ``narrow`` times as wide at its end."""
    along = (end - begin) / max(float(np.linalg.norm(end - begin)), 1e-9)
    across = 0.5 * width * np.array((-along[1], along[0], 0.0))
    return np.stack([begin - across, end - narrow * across, end + narrow * across, begin + across])


def _twigs(rng: np.random.Generator, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The two ends of a stem and of the twigs that leave it."""
    stem = np.array((-0.5, 0.0, 0.0)), np.array((0.5, 0.1 * rng.standard_normal(), 0.0))
    yield stem
    for number in range(count):
        begin = stem[0] + (stem[1] - stem[0]) * (number + 0.5 + 0.4 * rng.uniform(-1.0, 1.0)) / count
        angle = (1.0 if number % 2 else -1.0) * rng.uniform(0.4, 1.1)
        reach = rng.uniform(0.15, 0.45)
        yield begin, begin + reach * np.array((math.cos(angle), math.sin(angle), 0.0))


def _branch(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    for number, (begin, end) in enumerate(_twigs(rng, count)):
        yield _strip(begin, end, 0.05 if number == 0 else 0.025, 0.4)


def _leaves(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    twigs = list(_twigs(rng, max(3, count // 6)))
    for number, (begin, end) in enumerate(twigs):
        yield _strip(begin, end, 0.02 if number == 0 else 0.01, 0.5)
    outline = _flat(_LEAF)
    for _ in range(count):
        begin, end = twigs[int(rng.integers(1, len(twigs)))]
        at = begin + (end - begin) * rng.uniform(0.2, 1.0)
        turn, lean, size = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.2)
        along = np.array((math.cos(turn), math.sin(turn), 0.3 * lean))
        across = np.array((-math.sin(turn) * math.cos(lean), math.cos(turn) * math.cos(lean), math.sin(lean)))
        yield at + size * (outline[:, :1] * along + outline[:, 1:2] * across)


def _bars(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    width = rng.uniform(0.2, 0.6) / count
    for number in range(count):
        x = -0.5 + (number + 0.5) / count
        yield _strip(np.array((x, -0.5, 0.0)), np.array((x, 0.5, 0.0)), width)
    yield _strip(np.array((-0.5, 0.5, 0.0)), np.array((0.5, 0.5, 0.0)), 0.05)


def _frame(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    """A wall with a window of ``count`` panes across and as many down, no farther than half the size from it."""
    width = rng.uniform(0.02, 0.05)
    for number in range(count + 1):
        at = 0.25 * (2.0 * number / count - 1.0)
        yield _strip(np.array((at, -0.25, 0.0)), np.array((at, 0.25, 0.0)), width)
        yield _strip(np.array((-0.25, at, 0.0)), np.array((0.25, at, 0.0)), width)
    for side in (-1.0, 1.0):
        yield _strip(np.array((side * 0.625, -1.0, 0.0)), np.array((side * 0.625, 1.0, 0.0)), 0.75)
        yield _strip(np.array((-0.25, side * 0.625, 0.0)), np.array((0.25, side * 0.625, 0.0)), 0.75)


def _person(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    right = np.array(_HALF_PERSON) * (rng.uniform(0.85, 1.15), 1.0)
    left = right[-2::-1] * (-1.0, 1.0)
    yield _flat([(float(x), float(y)) for x, y in np.concatenate([right, left])])


def _card(rng: np.random.Generator, count: int) -> Iterator[np.ndarray]:
    yield _flat([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])


_SHAPES = {"leaves": _leaves, "branch": _branch, "bars": _bars, "frame": _frame, "person": _person, "card": _card}
