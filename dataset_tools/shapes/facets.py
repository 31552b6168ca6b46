# SPDX-License-Identifier: GPL-3.0-or-later
"""Things with flat faces: boxes, books, planters, building blocks, cut and broken stones. No bpy.

``numbers``: "planes" are (normal x, y, z, distance) whose half-spaces' common part is one convex body. "boxes" are
(middle x, y, z, half sizes x, y, z, turn about z, chamfer) and "owner" the part of each; the faces of a box that has a
label go to the parts front, side and lid.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose, uniform
from dataset_tools.shapes.mesh import MeshData, cross

KIND = "facets"

LABELLED = ("front", "side", "lid")


def build(form: Form) -> list[list[MeshData]]:
    """The meshes of every part."""
    parts: list[list[MeshData]] = [[] for _ in form.parts]
    if "planes" in form.numbers:
        polygons = _hull(np.asarray(form.numbers["planes"]).reshape(-1, 4))
        low = min(float(polygon[:, 2].min()) for polygon, _ in polygons)
        parts[0].append(_faces([(polygon - (0.0, 0.0, low), normal) for polygon, normal in polygons]))
        return parts
    boxes = np.asarray(form.numbers["boxes"]).reshape(-1, 8)
    for box, owner in zip(boxes, form.numbers["owner"], strict=True):
        polygons = _box(box)
        if form.parts == LABELLED:
            # A chamfer goes to the lid.
            axes = [int(np.argmax(np.abs(n))) if np.abs(n).max() > 0.99 else 2 for _, n in polygons]
            for number, axis in enumerate((1, 0, 2)):
                parts[number].append(_faces([p for p, own in zip(polygons, axes, strict=True) if own == axis]))
        else:
            parts[int(owner)].append(_faces(polygons))
    return parts


def _hull(planes: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Faces of a convex body as polygons [N, 3], seen from outside counter-clockwise, and their normals."""
    found = []
    for number, (*normal, distance) in enumerate(planes):
        n = np.asarray(normal)
        side = cross(n, np.eye(3)[int(np.argmin(np.abs(n)))])
        side /= np.linalg.norm(side)
        up = cross(n, side)
        polygon = distance * n + 10.0 * np.array([-side - up, side - up, side + up, -side + up])
        for other, (*cut, limit) in enumerate(planes):
            if other != number and len(polygon):
                polygon = _clipped(polygon, polygon @ np.asarray(cut) - limit)
        if len(polygon) >= 3:
            found.append((polygon, n))
    return found


def _clipped(polygon: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """What is left of a polygon where ``beyond`` [N] is not positive."""
    if np.all(beyond <= 1e-9):
        return polygon
    kept = []
    for n in range(len(polygon)):
        m = (n + 1) % len(polygon)
        if beyond[n] <= 0.0:
            kept.append(polygon[n])
        if (beyond[n] <= 0.0) != (beyond[m] <= 0.0):
            kept.append(polygon[n] + (polygon[m] - polygon[n]) * (beyond[n] / (beyond[n] - beyond[m])))
    return np.array(kept).reshape(-1, 3)


@functools.cache
def _chamfered() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Faces of a chamfered cube: of every corner [N] the signs [N, 3] of the cube's corner beside it and, as 1 among
    zeros [N, 3], the axis along which it lies in the cube's own face."""
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=3)))
    corners = np.repeat(signs, 3, axis=0)
    axes = np.tile(np.eye(3), (8, 1))
    points = corners * (1.0 - 0.2 * (1.0 - axes))
    faces = []
    for towards in itertools.product((-1.0, 0.0, 1.0), repeat=3):
        normal = np.array(towards)
        if np.any(normal):
            reach = points @ normal
            chosen = np.flatnonzero(reach > reach.max() - 1e-6)
            middle = points[chosen].mean(axis=0)
            side = np.cross(normal, (0.3, 0.5, 0.8))
            around = np.arctan2((points[chosen] - middle) @ np.cross(normal, side), (points[chosen] - middle) @ side)
            # The two lengths differ, which angles' order does not mind where the face is convex.
            chosen = chosen[np.argsort(around)]
            faces.append((corners[chosen], axes[chosen]))
    return tuple(faces)


def _box(numbers: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Faces of a turned box with chamfered edges, and their normals."""
    middle, half, (turn, chamfer) = numbers[:3], numbers[3:6], numbers[6:]
    cos, sin = math.cos(turn), math.sin(turn)
    around = np.array([(cos, -sin, 0.0), (sin, cos, 0.0), (0.0, 0.0, 1.0)])
    found = []
    for signs, axes in _chamfered():
        polygon = signs * (half - chamfer * (1.0 - axes))
        normal = cross(polygon[1] - polygon[0], polygon[2] - polygon[1])
        found.append((polygon @ around.T + middle, around @ (normal / np.linalg.norm(normal))))
    return found


def _faces(polygons: Sequence[tuple[np.ndarray, np.ndarray]]) -> MeshData:
    """Flat faces with vertices of their own; each has its UVs in its own plane, from its middle, upright."""
    uvs = []
    for polygon, normal in polygons:
        across = np.array((-normal[1], normal[0], 0.0)) if abs(normal[2]) < 0.9 else np.array((1.0, 0.0, 0.0))
        across = across - normal * (across @ normal)
        across /= np.linalg.norm(across)
        middle = 0.5 * (polygon.min(axis=0) + polygon.max(axis=0))
        uvs.append(np.column_stack([(polygon - middle) @ across, (polygon - middle) @ cross(normal, across)]))
    sizes = np.array([len(polygon) for polygon, _ in polygons], np.int32)
    vertices = np.concatenate([polygon for polygon, _ in polygons]).astype(np.float32)
    corners = np.arange(len(vertices), dtype=np.int32)
    return MeshData(vertices, corners, sizes, np.concatenate(uvs).astype(np.float32), np.zeros(len(sizes), bool))


def _boxes(boxes: Sequence[Sequence[float]], owners: Sequence[int]) -> dict[str, tuple[float, ...]]:
    return {
        "boxes": tuple(round(float(number), 5) for box in boxes for number in box),
        "owner": tuple(float(owner) for owner in owners),
    }


def package(rng: np.random.Generator) -> Form:
    """A random printed box: upright, flat or about a cube; parts: front, side, lid."""
    kind = choose(rng, ("upright", "flat", "cube"), (2.0, 1.0, 1.0))
    half = {
        "upright": (uniform(rng, 0.2, 0.36), uniform(rng, 0.07, 0.2), 0.5),
        "flat": (uniform(rng, 0.35, 0.5), uniform(rng, 0.25, 0.5), uniform(rng, 0.06, 0.16)),
        "cube": (uniform(rng, 0.3, 0.4), uniform(rng, 0.3, 0.4), uniform(rng, 0.28, 0.4)),
    }[kind]
    box = (0.0, 0.0, half[2], *half, 0.0, uniform(rng, 0.002, 0.012))
    return Form(KIND, "package", LABELLED, _boxes([box], [0]))


def book(rng: np.random.Generator) -> Form:
    """A random closed book that lies; parts: cover, pages."""
    wide, tall, thick = uniform(rng, 0.3, 0.42), 0.5, uniform(rng, 0.04, 0.13)
    board, over = uniform(rng, 0.006, 0.016), uniform(rng, 0.005, 0.02)
    boxes = [
        (0.0, 0.0, board, wide, tall, board, 0.0, 0.3 * board),
        (0.0, 0.0, 2.0 * thick - board, wide, tall, board, 0.0, 0.3 * board),
        (board - wide, 0.0, thick, board, tall, thick, 0.0, 0.3 * board),
        (0.0, 0.0, thick, wide - over, tall - over, thick - 2.0 * board, 0.0, 0.001),
    ]
    return Form(KIND, "book", ("cover", "pages"), _boxes(boxes, (0, 0, 0, 1)))


def planter(rng: np.random.Generator) -> Form:
    """A random open box, a crate or a planter, with or without a rim; part: body."""
    wide, deep, tall = uniform(rng, 0.3, 0.5), uniform(rng, 0.3, 0.5), uniform(rng, 0.15, 0.5)
    wall, chamfer = uniform(rng, 0.02, 0.05), uniform(rng, 0.003, 0.015)
    boxes = [(0.0, 0.0, wall, wide, deep, wall, 0.0, chamfer)]
    rim = uniform(rng, 0.0, 0.03) if rng.random() < 0.5 else 0.0
    for side in (-1.0, 1.0):
        boxes += [
            (side * (wide - wall), 0.0, tall, wall, deep, tall, 0.0, chamfer),
            (0.0, side * (deep - wall), tall, wide - 0.5 * wall, wall * 0.98, tall * 0.998, 0.0, chamfer),
        ]
        if rim > 0.01:
            # A little higher than the walls, and one pair than the other: faces in one plane would flicker.
            across, high = wall + rim, 2.0 * tall - wall + 0.004
            boxes += [
                (side * (wide - wall), 0.0, high, across, deep + rim, wall, 0.0, chamfer),
                (0.0, side * (deep - wall), high - 0.002, wide, across, wall, 0.0, chamfer),
            ]
    return Form(KIND, "planter", ("body",), _boxes(boxes, [0] * len(boxes)))


def blocks(rng: np.random.Generator) -> Form:
    """A random tower or bridge of building blocks; each is a part."""
    count = int(rng.integers(2, 6))
    size = uniform(rng, 0.11, 0.16) * {2: 1.7, 3: 1.3}.get(count, 1.0)
    chamfer = size * uniform(rng, 0.05, 0.14)
    boxes: list[tuple[float, ...]] = []
    top = 0.0
    if count >= 3 and rng.random() < 0.5:
        gap = uniform(rng, 1.4, 1.9) * size
        for side in (-1.0, 1.0):
            boxes.append(
                (side * gap, uniform(rng, -0.02, 0.02), size, size, size, size, uniform(rng, -0.2, 0.2), chamfer)
            )
        boxes.append((0.0, 0.0, 2.5 * size, gap + size, 0.9 * size, 0.5 * size, uniform(rng, -0.06, 0.06), chamfer))
        top = 3.0 * size
    while len(boxes) < count:
        half = size * uniform(rng, 0.75, 1.05)
        tall = size * choose(rng, (0.5, 1.0, 1.0, 1.6))
        x, y = (0.25 * size * uniform(rng, -1.0, 1.0) if boxes else 0.0 for _ in range(2))
        boxes.append(
            (x, y, top + tall, half, half * choose(rng, (1.0, 1.0, 0.6)), tall, uniform(rng, -0.6, 0.6), chamfer)
        )
        top += 2.0 * tall
    parts = tuple(f"block {n}" for n in range(len(boxes)))
    return Form(KIND, "blocks", parts, _boxes(boxes, range(len(boxes))))


def stone(rng: np.random.Generator) -> Form:
    """A random convex stone, broken or cut: planes about an ellipsoid, and one that it stands on."""
    shape = choose(rng, ("broken stone", "cut stone", "crystal"), (3.0, 2.0, 1.0))
    axes = np.array([0.5, uniform(rng, 0.3, 0.5), uniform(rng, 0.25, 0.45)])
    count = {"broken stone": int(rng.integers(12, 30)), "cut stone": int(rng.integers(6, 12)), "crystal": 6}[shape]
    planes: list[tuple[float, ...]] = [(0.0, 0.0, -1.0, uniform(rng, 0.5, 0.85) * axes[2])]
    for number in range(count):
        direction = rng.normal(size=3)
        if shape == "crystal":
            turn = 2.0 * math.pi * number / count + uniform(rng, -0.15, 0.15)
            direction = np.array((math.cos(turn), math.sin(turn), 0.04))
        direction /= np.linalg.norm(direction)
        if direction[2] < -0.75:
            direction[2] *= -1.0
        reach = float(np.linalg.norm(direction * axes)) * uniform(rng, 0.72, 1.0)
        planes.append((*(float(c) for c in direction), 0.3 * uniform(rng, 0.85, 1.15) if shape == "crystal" else reach))
    if shape == "crystal":
        planes[0] = (0.0, 0.0, -1.0, 0.4)
        for number in range(3):
            turn = 2.0 * math.pi * number / 3.0 + uniform(rng, -0.4, 0.4)
            up = uniform(rng, 0.5, 1.2)
            length = math.hypot(1.0, up)
            planes.append((math.cos(turn) / length, math.sin(turn) / length, up / length, uniform(rng, 0.34, 0.44)))
    # Nothing reaches to infinity, however few the planes.
    for axis in range(3):
        for sign in (-1.0, 1.0):
            planes.append((*(sign * float(a == axis) for a in range(3)), 0.62))
    return Form(KIND, shape, ("body",), {"planes": tuple(round(c, 5) for plane in planes for c in plane)})
