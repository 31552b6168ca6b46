# SPDX-License-Identifier: GPL-3.0-or-later
"""Primitive shapes as plain arrays: vertices, faces, and metric UVs so that every pattern keeps its size. No bpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

_SEGMENTS = 64


@dataclass(frozen=True)
class MeshData:
    """A mesh as arrays: vertices [V, 3] in metres, the vertex of every face corner [C], every face's number of
    corners [F], a UV in metres per face corner [C, 2] and whether a face is smooth [F]."""

    vertices: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray
    uvs: np.ndarray
    smooth: np.ndarray


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cross product of two vectors [3]: numpy's own takes ten times as long over one, to the same numbers."""
    (ax, ay, az), (bx, by, bz) = a.tolist(), b.tolist()
    return np.array((ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx))


def joined(*parts: MeshData) -> MeshData:
    """Several meshes as one."""
    firsts = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return MeshData(
        vertices=np.concatenate([part.vertices for part in parts]),
        corners=np.concatenate([part.corners + int(first) for part, first in zip(parts, firsts, strict=True)]),
        sizes=np.concatenate([part.sizes for part in parts]),
        uvs=np.concatenate([part.uvs for part in parts]),
        smooth=np.concatenate([part.smooth for part in parts]),
    )


def quads(vertices: np.ndarray, faces: np.ndarray, uvs: np.ndarray, *, smooth: bool) -> MeshData:
    """Vertices [V, 3], faces [F, 4], UVs [F, 4, 2] as a mesh."""
    count = len(faces)
    return MeshData(
        vertices.astype(np.float32),
        faces.reshape(-1).astype(np.int32),
        np.full(count, 4, np.int32),
        uvs.reshape(-1, 2).astype(np.float32),
        np.full(count, smooth),
    )


_SQUARE = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])


def rectangle(width: float, depth: float) -> MeshData:
    """A rectangle in the xy plane, centred, facing +z."""
    flat = _SQUARE * (width / 2.0, depth / 2.0)
    return quads(np.column_stack([flat, np.zeros(4)]), np.arange(4)[None], flat[None], smooth=False)


def grid(corners: Sequence[tuple[float, float]], cells: int) -> MeshData:
    """``cells`` × ``cells`` faces between four corners (lower left first, counter-clockwise) in the plane z = 0."""
    s, t = np.meshgrid(np.linspace(0.0, 1.0, cells + 1), np.linspace(0.0, 1.0, cells + 1))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t], axis=-1).reshape(-1, 4)
    flat = weights @ np.asarray(corners)
    faces = lattice(cells, cells, cells + 1)
    return quads(np.column_stack([flat, np.zeros(len(flat))]), faces, flat[faces], smooth=True)


def bulged(flat: MeshData, bulge: tuple[float, float]) -> MeshData:
    """A grid in the plane z = 0 bent: its vertices sink (bulge above zero) or rise with the square of x and of y."""
    vertices = flat.vertices.copy()
    vertices[:, 2] -= bulge[0] * vertices[:, 0] ** 2 + bulge[1] * vertices[:, 1] ** 2
    return replace(flat, vertices=vertices)


def lattice(columns: int, rows: int, stride: int) -> np.ndarray:
    """Faces [columns · rows, 4] of a lattice of vertices whose rows are ``stride`` long."""
    first = (np.arange(rows)[:, None] * stride + np.arange(columns)).reshape(-1)
    return np.column_stack([first, first + 1, first + stride + 1, first + stride])


def _revolve(profile: Sequence[tuple[float, float]], around: float) -> MeshData:
    """Turn a profile of (radius, z) about z; u runs around on a circle of radius ``around``, v along the profile."""
    radius, z = np.asarray(profile, np.float64).T
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(radius), np.diff(z)))])
    # The seam has its vertices twice: there UVs jump and positions do not.
    turn = np.linspace(0.0, 2.0 * math.pi, _SEGMENTS + 1)
    turn_x, turn_y = np.cos(turn), np.sin(turn)
    turn_x[-1], turn_y[-1] = turn_x[0], turn_y[0]
    vertices = np.stack(
        [radius[:, None] * turn_x, radius[:, None] * turn_y, np.broadcast_to(z[:, None], (len(z), len(turn)))], axis=-1
    )
    uvs = np.stack(np.broadcast_arrays(turn * around, lengths[:, None]), axis=-1).reshape(-1, 2)
    faces = lattice(_SEGMENTS, len(z) - 1, _SEGMENTS + 1)
    return quads(vertices.reshape(-1, 3), faces, uvs[faces], smooth=True)


def _disc(radius: float, z: float, *, up: bool) -> MeshData:
    """A flat cap with vertices of its own, so that the edge stays sharp."""
    turn = np.arange(_SEGMENTS) * (2.0 * math.pi / _SEGMENTS)
    rim = radius * np.column_stack([np.cos(turn), np.sin(turn)])
    if not up:
        rim = rim[::-1]
    return MeshData(
        np.column_stack([rim, np.full(_SEGMENTS, z)]).astype(np.float32),
        np.arange(_SEGMENTS, dtype=np.int32),
        np.array([_SEGMENTS], np.int32),
        rim.astype(np.float32),
        np.array([False]),
    )


def sphere(radius: float) -> MeshData:
    """A sphere about the origin."""
    rows = _SEGMENTS // 2
    angles = [math.pi * row / rows for row in range(rows + 1)]
    # From the south pole up, so that faces look outwards. The poles keep a hair's radius: no degenerate faces.
    profile = [(max(radius * math.sin(a), 1e-4 * radius), -radius * math.cos(a)) for a in angles]
    return _revolve(profile, radius)


def cone(radius: float, height: float) -> MeshData:
    """A cone that stands on z = 0."""
    # Several rows: with one, the normals of the tip would be averaged over the whole side.
    profile = [(radius * max(1.0 - t / 8.0, 1e-4), height * t / 8.0) for t in range(9)]
    return joined(_revolve(profile, radius), _disc(radius, 0.0, up=False))


def cylinder(radius: float, height: float) -> MeshData:
    """A cylinder that stands on z = 0."""
    side = _revolve([(radius, 0.0), (radius, height)], radius)
    return joined(side, _disc(radius, height, up=True), _disc(radius, 0.0, up=False))


def torus(major: float, minor: float) -> MeshData:
    """A torus about the origin, its axis along z."""
    rows = _SEGMENTS // 2
    angles = [2.0 * math.pi * row / rows for row in range(rows + 1)]
    return _revolve([(major + minor * math.cos(a), minor * math.sin(a)) for a in angles], major)


def cube(half: float) -> MeshData:
    """A cube about the origin with edges of twice ``half``."""
    axes = np.array(
        [
            ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
            ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
            ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
            ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
            ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
            ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
        ],
        np.float64,
    )
    square = np.column_stack([_SQUARE, np.ones(4)]) * half
    vertices = np.einsum("sk,fkd->fsd", square, axes).reshape(-1, 3)
    faces = np.arange(24).reshape(6, 4)
    return quads(vertices, faces, np.tile(square[:, :2], (6, 1, 1)), smooth=False)


_SHAPES: dict[str, Callable[..., MeshData]] = {make.__name__: make for make in (sphere, cone, cylinder, torus, cube)}


def primitive(shape: str, dimensions: Mapping[str, float]) -> MeshData:
    """The mesh of a described object."""
    return _SHAPES[shape](**dimensions)
