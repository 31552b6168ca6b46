# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves and what is spun and swept along them: the common ground of the kinds of shapes. No bpy."""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.shapes.mesh import MeshData, cross, quads


def spline(points: np.ndarray, steps: int) -> np.ndarray:
    """A smooth curve through points [N, D], ``steps`` pieces between two of them: [(N - 1) · steps + 1, D]."""
    if len(points) < 3:
        share = np.linspace(0.0, 1.0, steps + 1)[:, None]
        return points[0] + share * (points[-1] - points[0])
    ends = (2.0 * points[:1] - points[1:2], points, 2.0 * points[-1:] - points[-2:-1])
    p = np.concatenate(ends)
    # Knots by the root of the distance: a curve through uneven points neither loops nor overshoots.
    knots = np.concatenate([[0.0], np.cumsum(np.sqrt(np.linalg.norm(np.diff(p, axis=0), axis=1)) + 1e-6)])
    before, at, after, beyond = (knots[n : n + len(points) - 1, None, None] for n in range(4))
    t = at + np.linspace(0.0, 1.0, steps, endpoint=False)[None, :, None] * (after - at)
    p0, p1, p2, p3 = (p[n : n + len(points) - 1, None, :] for n in range(4))
    a1 = (at - t) / (at - before) * p0 + (t - before) / (at - before) * p1
    a2 = (after - t) / (after - at) * p1 + (t - at) / (after - at) * p2
    a3 = (beyond - t) / (beyond - after) * p2 + (t - after) / (beyond - after) * p3
    b1 = (after - t) / (after - before) * a1 + (t - before) / (after - before) * a2
    b2 = (beyond - t) / (beyond - at) * a2 + (t - at) / (beyond - at) * a3
    curve = (after - t) / (after - at) * b1 + (t - at) / (after - at) * b2
    return np.concatenate([curve.reshape(-1, points.shape[1]), points[-1:]])


def ring_faces(around: int, rows: int) -> np.ndarray:
    """Faces [(rows - 1) · around, 4] of ``rows`` closed rings of ``around`` vertices, looking away from the axis."""
    column, row = np.meshgrid(np.arange(around), np.arange(rows - 1))
    first, right = (row * around + column).ravel(), (row * around + (column + 1) % around).ravel()
    return np.column_stack([first, right, right + around, first + around])


def ring_uvs(around: int, lengths: np.ndarray, girth: float) -> np.ndarray:
    """UVs [F, 4, 2] of those faces: along a girth in metres, and by each ring's place on the axis [rows]."""
    column, row = np.meshgrid(np.arange(around), np.arange(len(lengths) - 1))
    # Counted from the far side, where the seam then lies.
    u = (column.ravel()[:, None] + np.array([0, 1, 1, 0])) * (girth / around) - 0.5 * girth
    v = lengths[row.ravel()[:, None] + np.array([0, 0, 1, 1])]
    return np.stack([u, v], axis=-1)


def tube(path: np.ndarray, radii: np.ndarray, around: int = 16, flat: float = 1.0) -> MeshData:
    """A round tube along a path [N, 3] with a radius at each point [N], its ends closed by shrinking.

    ``flat`` squeezes it along the normal of the path's curve.
    """
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.cross(tangent[0], (0.0, 1.0, 0.0) if abs(tangent[0][1]) < 0.9 else (1.0, 0.0, 0.0))
    rings = []
    turn = np.linspace(0.0, 2.0 * math.pi, around, endpoint=False)
    for point, along, radius in zip(path, tangent, radii, strict=True):
        side = side - along * (side @ along)
        side /= np.linalg.norm(side)
        other = cross(along, side)
        rings.append(point + radius * (np.cos(turn)[:, None] * side * flat + np.sin(turn)[:, None] * other))
    vertices = np.concatenate(rings)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    girth = 2.0 * math.pi * float(radii.max())
    return quads(vertices, ring_faces(around, len(path)), ring_uvs(around, lengths, girth), smooth=True)


def rounded_ends(path: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A path with both of its ends run out into half balls."""
    angles = np.linspace(0.0, 0.5 * math.pi, 5)[1:]

    def cap(end: np.ndarray, towards: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
        out = (end - towards) / np.linalg.norm(end - towards)
        return end + radius * np.sin(angles)[:, None] * out, np.maximum(radius * np.cos(angles), 1e-4)

    first, first_radii = cap(path[0], path[1], float(radii[0]))
    last, last_radii = cap(path[-1], path[-2], float(radii[-1]))
    return np.concatenate([first[::-1], path, last]), np.concatenate([first_radii[::-1], radii, last_radii])


def waves(points: np.ndarray, numbers: tuple[float, ...]) -> np.ndarray:
    """A sum of plane waves at points [N, 3]: [N]. ``numbers`` are of each its amplitude, wave vector and phase."""
    found = np.zeros(len(points))
    for amplitude, x, y, z, phase in np.asarray(numbers).reshape(-1, 5):
        found += amplitude * np.sin(points @ (x, y, z) + phase)
    return found


def draw_waves(
    rng: np.random.Generator, count: int, amplitude: float, lowest: float, highest: float
) -> tuple[float, ...]:
    """``count`` random waves for :func:`waves`, of wave numbers from ``lowest`` to ``highest``: the longer the larger.

    ``amplitude`` is about what they reach together.
    """
    numbers: list[float] = []
    for _ in range(count):
        wave_number = float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))
        direction = rng.normal(size=3)
        direction *= wave_number / np.linalg.norm(direction)
        height = amplitude * (lowest / wave_number) / math.sqrt(0.5 * count)
        numbers += [height, *(float(axis) for axis in direction), float(rng.uniform(0.0, 2.0 * math.pi))]
    return tuple(round(number, 5) for number in numbers)
