# SPDX-License-Identifier: GPL-3.0-or-later
"""Primitive shapes as plain arrays: vertices, faces, and metric UVs so that every pattern keeps its size. No bpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_SEGMENTS = 64


@dataclass
class MeshData:
    """Vertices [V, 3] in metres, faces as vertex indices, a UV in metres per face corner, a smooth flag per face."""

    vertices: list[tuple[float, float, float]] = field(default_factory=list)
    faces: list[tuple[int, ...]] = field(default_factory=list)
    uvs: list[tuple[float, float]] = field(default_factory=list)
    smooth: list[bool] = field(default_factory=list)

    def add(self, corners: Sequence[int], uvs: Sequence[tuple[float, float]], *, smooth: bool) -> None:
        """Append one face."""
        self.faces.append(tuple(corners))
        self.uvs.extend(uvs)
        self.smooth.append(smooth)


def rectangle(width: float, depth: float) -> MeshData:
    """A rectangle in the xy plane, centred, facing +z."""
    x, y = width / 2.0, depth / 2.0
    corners = [(-x, -y), (x, -y), (x, y), (-x, y)]
    mesh = MeshData(vertices=[(a, b, 0.0) for a, b in corners])
    mesh.add((0, 1, 2, 3), corners, smooth=False)
    return mesh


def _revolve(mesh: MeshData, profile: Sequence[tuple[float, float]], around: float) -> None:
    """Turn a profile of (radius, z) about z; u runs around on a circle of radius ``around``, v along the profile."""
    first = len(mesh.vertices)
    rows = len(profile)
    # At the seam positions wrap and UVs do not.
    for column in range(_SEGMENTS):
        angle = 2.0 * math.pi * column / _SEGMENTS
        mesh.vertices.extend((r * math.cos(angle), r * math.sin(angle), z) for r, z in profile)
    lengths = [0.0]
    for (r0, z0), (r1, z1) in pairwise(profile):
        lengths.append(lengths[-1] + math.hypot(r1 - r0, z1 - z0))
    for column in range(_SEGMENTS):
        following = (column + 1) % _SEGMENTS
        u0, u1 = (2.0 * math.pi * around * c / _SEGMENTS for c in (column, column + 1))
        for row in range(rows - 1):
            a, b = first + column * rows + row, first + following * rows + row
            v0, v1 = lengths[row], lengths[row + 1]
            mesh.add((a, b, b + 1, a + 1), ((u0, v0), (u1, v0), (u1, v1), (u0, v1)), smooth=True)


def _disc(mesh: MeshData, radius: float, z: float, *, up: bool) -> None:
    """A flat cap with vertices of its own, so that the edge stays sharp."""
    first = len(mesh.vertices)
    rim = [
        (radius * math.cos(2.0 * math.pi * i / _SEGMENTS), radius * math.sin(2.0 * math.pi * i / _SEGMENTS))
        for i in range(_SEGMENTS)
    ]
    if not up:
        rim.reverse()
    mesh.vertices.extend((x, y, z) for x, y in rim)
    mesh.add(range(first, first + _SEGMENTS), rim, smooth=False)


def sphere(radius: float) -> MeshData:
    """A sphere about the origin."""
    rows = _SEGMENTS // 2
    angles = [math.pi * row / rows for row in range(rows + 1)]
    mesh = MeshData()
    # From the south pole up, so that faces look outwards. The poles keep a hair's radius: no degenerate faces.
    profile = [(max(radius * math.sin(a), 1e-4 * radius), -radius * math.cos(a)) for a in angles]
    _revolve(mesh, profile, radius)
    return mesh


def cone(radius: float, height: float) -> MeshData:
    """A cone that stands on z = 0."""
    mesh = MeshData()
    # Several rows: with one, the normals of the tip would be averaged over the whole side.
    _revolve(mesh, [(radius * max(1.0 - t / 8.0, 1e-4), height * t / 8.0) for t in range(9)], radius)
    _disc(mesh, radius, 0.0, up=False)
    return mesh


def cylinder(radius: float, height: float) -> MeshData:
    """A cylinder that stands on z = 0."""
    mesh = MeshData()
    _revolve(mesh, [(radius, 0.0), (radius, height)], radius)
    _disc(mesh, radius, height, up=True)
    _disc(mesh, radius, 0.0, up=False)
    return mesh


def torus(major: float, minor: float) -> MeshData:
    """A torus about the origin, its axis along z."""
    rows = _SEGMENTS // 2
    mesh = MeshData()
    angles = [2.0 * math.pi * row / rows for row in range(rows + 1)]
    _revolve(mesh, [(major + minor * math.cos(a), minor * math.sin(a)) for a in angles], major)
    return mesh


def cube(half: float) -> MeshData:
    """A cube about the origin with edges of twice ``half``."""
    mesh = MeshData()
    square = ((-half, -half), (half, -half), (half, half), (-half, half))
    axes = (
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((-1, 0, 0), (0, 1, 0), (0, 0, -1)),
        ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
        ((0, -1, 0), (0, 0, 1), (-1, 0, 0)),
        ((-1, 0, 0), (0, 0, 1), (0, 1, 0)),
        ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    )
    for right, up, normal in axes:
        first = len(mesh.vertices)
        for s, t in square:
            x, y, z = (s * r + t * u + half * n for r, u, n in zip(right, up, normal, strict=True))
            mesh.vertices.append((x, y, z))
        mesh.add(range(first, first + 4), square, smooth=False)
    return mesh


_SHAPES: dict[str, Callable[..., MeshData]] = {
    "sphere": sphere,
    "cone": cone,
    "cylinder": cylinder,
    "torus": torus,
    "cube": cube,
}


def primitive(shape: str, dimensions: Mapping[str, float]) -> MeshData:
    """The mesh of a described object."""
    return _SHAPES[shape](**dimensions)
