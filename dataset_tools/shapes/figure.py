# SPDX-License-Identifier: GPL-3.0-or-later
"""Figurines: limbs joined as softly as clay, cast or carved ones are, with eyes set in. No bpy.

``numbers``: "limbs" are (x, y, z, radius) of both ends of each; the surface is the zero of a signed distance to all of
them that blends over "blend"; "waves" roughen it; "eyes" are (x, y, z, radius) of balls.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose, uniform
from dataset_tools.shapes import curves
from dataset_tools.shapes.mesh import MeshData, quads, sphere

KIND = "figure"

_STEP = 0.021

Point = tuple[float, float, float]
Limb = tuple[Point, float, Point, float]


def build(form: Form) -> list[list[MeshData]]:
    """The meshes of the body and, where there are any, of the eyes."""
    limbs = np.asarray(form.numbers["limbs"]).reshape(-1, 2, 4)
    low = (limbs[..., :3] - limbs[..., 3:]).min(axis=(0, 1)) - 2.5 * _STEP
    high = (limbs[..., :3] + limbs[..., 3:]).max(axis=(0, 1)) + 2.5 * _STEP
    axes = [np.arange(a, b, _STEP, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    distance = _distance(grid.reshape(-1, 3), limbs, form.numbers["blend"][0]).reshape(grid.shape[:3])
    vertices, faces = _surface(distance)
    vertices = low + vertices * _STEP
    body = _wrapped(vertices, faces, form)
    floor = float(body.vertices[:, 2].min())
    body.vertices[:, 2] -= floor
    parts = [[body]]
    if "eyes" in form.parts:
        balls = np.asarray(form.numbers["eyes"]).reshape(-1, 4)
        eyes = [
            replace(ball := sphere(float(radius)), vertices=ball.vertices + np.asarray((x, y, z - floor), np.float32))
            for x, y, z, radius in balls
        ]
        parts.append(eyes)
    return parts


def _distance(points: np.ndarray, limbs: np.ndarray, blend: float) -> np.ndarray:
    """Signed distance [N] to limbs that taper from one end to the other."""
    found: np.ndarray | None = None
    for first, last in limbs.astype(np.float32):
        along = last[:3] - first[:3]
        share = np.clip((points - first[:3]) @ along / max(float(along @ along), 1e-6), 0.0, 1.0)
        away = points - first[:3] - share[:, None] * along
        reach = np.sqrt(np.einsum("ij,ij->i", away, away)) - (first[3] + share * (last[3] - first[3]))
        if found is None:
            found = reach
        else:
            near = np.maximum(blend - np.abs(found - reach), 0.0)
            found = np.minimum(found, reach) - near * near / (4.0 * blend)
    assert found is not None
    return found


def _surface(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Surface nets: vertices [V, 3] in cells of the grid and faces [F, 4] of where ``values`` pass zero."""
    inside = values < 0.0
    shape = tuple(n - 1 for n in values.shape)
    corners = list(itertools.product((0, 1), repeat=3))

    def at(array: np.ndarray, corner: tuple[int, ...]) -> np.ndarray:
        return array[tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))]

    some = np.zeros(shape, np.int8)
    for corner in corners:
        some += at(inside, corner)
    cells = np.argwhere((some > 0) & (some < 8))
    number = np.full(shape, -1, np.int64)
    number[tuple(cells.T)] = np.arange(len(cells))
    total, count = np.zeros((len(cells), 3)), np.zeros(len(cells))
    for a, b in itertools.combinations(corners, 2):
        if sum(abs(p - q) for p, q in zip(a, b, strict=True)) == 1:
            va, vb = (values[tuple((cells + corner).T)] for corner in (a, b))
            passes = (va < 0.0) != (vb < 0.0)
            share = va[passes] / (va[passes] - vb[passes])
            total[passes] += np.asarray(a) + share[:, None] * (np.asarray(b) - np.asarray(a))
            count[passes] += 1.0
    vertices = cells + total / count[:, None]
    faces = []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        head = [slice(None)] * 3
        tail = [slice(None)] * 3
        head[axis], tail[axis] = slice(0, -1), slice(1, None)
        edges = np.argwhere(inside[tuple(head)] != inside[tuple(tail)])
        outwards = inside[tuple(edges.T)]
        around = []
        for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            cell = edges.copy()
            cell[:, u] += du
            cell[:, v] += dv
            around.append(number[tuple(cell.T)])
        quad = np.stack(around, axis=1)
        quad[~outwards] = quad[~outwards][:, ::-1]
        faces.append(quad)
    return vertices, np.concatenate(faces)


def _wrapped(vertices: np.ndarray, faces: np.ndarray, form: Form) -> MeshData:
    """The surface roughened, with UVs by the axis that each face looks along."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    smooth = np.zeros_like(vertices)
    for n in range(4):
        np.add.at(smooth, faces[:, n], normals)
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-12
    moved = vertices + smooth * curves.waves(vertices, form.numbers.get("waves", ()))[:, None]
    axis = np.argmax(np.abs(normals), axis=1)
    others = np.array([(1, 2), (0, 2), (0, 1)])[axis]
    uvs = np.stack([np.take_along_axis(corners[:, n], others, axis=1) for n in range(4)], axis=1)
    return quads(moved, faces, uvs, smooth=True)


def _numbers(limbs: list[Limb], blend: float) -> dict[str, tuple[float, ...]]:
    flat = [c for first, a, last, b in limbs for c in (*first, a, *last, b)]
    return {"limbs": tuple(round(float(c), 4) for c in flat), "blend": (round(blend, 4),)}


def _with_eyes(
    rng: np.random.Generator, shape: str, limbs: list[Limb], blend: float, eye: Point, radius: float
) -> Form:
    numbers = _numbers(limbs, blend)
    if rng.random() < 0.6:
        numbers["waves"] = curves.draw_waves(rng, 9, uniform(rng, 0.002, 0.012), 9.0, 40.0)
    if rng.random() < 0.2:
        return Form(KIND, shape, ("body",), numbers)
    numbers["eyes"] = tuple(round(c, 4) for x in (-eye[0], eye[0]) for c in (x, *eye[1:], radius))
    return Form(KIND, shape, ("body", "eyes"), numbers)


def quadruped(rng: np.random.Generator) -> Form:
    """A four-legged animal along y, its head at −y: slim or stout, standing or crouching."""
    stout, legs = uniform(rng, 0.7, 1.5), uniform(rng, 0.12, 0.34)
    body, half = 0.11 * stout, uniform(rng, 0.18, 0.26)
    back = legs + 0.7 * body
    neck, head = uniform(rng, 0.02, 0.22), uniform(rng, 0.07, 0.11)
    chest: Point = (0.0, -half, back)
    rump: Point = (0.0, half, back + uniform(rng, -0.06, 0.05))
    skull: Point = (uniform(rng, -0.06, 0.06), -half - 0.1 - 0.4 * neck, back + neck + 0.05)
    muzzle = (skull[0] * 1.2, skull[1] - head * uniform(rng, 0.7, 1.5), skull[2] - head * uniform(rng, 0.1, 0.6))
    limbs: list[Limb] = [
        (chest, body, rump, body * uniform(rng, 0.8, 1.2)),
        (chest, 0.75 * body, skull, 0.75 * head),
        (skull, head, muzzle, 0.5 * head),
    ]
    thick = 0.035 * stout + 0.015
    for side in (-1.0, 1.0):
        for y, bend in ((-half, -0.04), (half, 0.05)):
            step = uniform(rng, -0.08, 0.08)
            hip = (side * 0.7 * body, y, 0.8 * back)
            knee = (side * body, y + 0.5 * step + bend, 0.45 * back)
            foot = (side * body, y + step - 0.02, 0.035)
            limbs += [(hip, 1.5 * thick, knee, 1.1 * thick), (knee, 1.1 * thick, foot, thick)]
            limbs.append((foot, 0.9 * thick, (foot[0], foot[1] - 0.05, 0.03), 0.9 * thick))
        ear = (skull[0] + side * 0.6 * head, skull[1] + 0.1 * head, skull[2] + 0.7 * head)
        tip = (ear[0] + side * uniform(rng, 0.0, 0.04), ear[1], ear[2] + uniform(rng, 0.02, 0.1))
        limbs.append((ear, 0.3 * head, tip, 0.12 * head))
    curl = uniform(rng, -0.1, 0.3)
    tail = (uniform(rng, -0.1, 0.1), half + uniform(rng, 0.08, 0.25), back + curl)
    bushy = uniform(rng, 0.018, 0.09)
    limbs.append(((0.0, half, back), 0.04, tail, bushy))
    limbs.append((tail, bushy, (tail[0] * 1.5, tail[1] + 0.02, tail[2] + 0.6 * curl + 0.05), 0.6 * bushy))
    # Eyes are mirrored at x = 0, whichever way the head turns: keep them in it.
    eye = (max(0.62 * head - abs(skull[0]), 0.02), skull[1] - 0.55 * head, skull[2] + 0.3 * head)
    return _with_eyes(rng, "animal", limbs, uniform(rng, 0.03, 0.07), eye, 0.2 * head)


def biped(rng: np.random.Generator) -> Form:
    """A dinosaur or a bear: on two legs, with or without a tail; its face at −y."""
    shape = choose(rng, ("dinosaur", "bear"))
    dinosaur = shape == "dinosaur"
    hip_z, fat = uniform(rng, 0.26, 0.36) if dinosaur else uniform(rng, 0.14, 0.24), uniform(rng, 0.11, 0.17)
    hip: Point = (0.0, 0.04, hip_z)
    lean = uniform(rng, -0.16, -0.04) if dinosaur else uniform(rng, -0.03, 0.03)
    chest: Point = (0.0, lean, hip_z + uniform(rng, 0.2, 0.28))
    head = uniform(rng, 0.075, 0.1) if dinosaur else uniform(rng, 0.13, 0.17)
    skull: Point = (0.0, lean * 1.6 - 0.02, chest[2] + (0.22 if dinosaur else 0.9 * head + 0.08))
    muzzle = (0.0, skull[1] - head * (1.7 if dinosaur else 1.0), skull[2] - 0.2 * head)
    limbs: list[Limb] = [
        (hip, fat, chest, fat * (0.75 if dinosaur else 0.95)),
        (chest, 0.55 * fat, skull, 0.8 * head),
        (skull, head, muzzle, head * (0.55 if dinosaur else 0.45)),
    ]
    for side in (-1.0, 1.0):
        knee = (side * 0.9 * fat, -0.08 if not dinosaur else -0.05, 0.55 * hip_z)
        foot = (side * fat, 0.02 if dinosaur else -0.16, 0.045)
        limbs += [((side * 0.6 * fat, 0.04, hip_z), 0.09, knee, 0.065), (knee, 0.065, foot, 0.05)]
        limbs.append((foot, 0.045, (foot[0] * 1.1, foot[1] - 0.1, 0.04), 0.045))
        shoulder = (side * 0.7 * fat, chest[1], chest[2] + 0.02)
        hand = (
            side * fat * uniform(rng, 0.9, 1.6),
            chest[1] - uniform(rng, 0.05, 0.2),
            chest[2] - uniform(rng, 0.0, 0.16),
        )
        arm = 0.032 if dinosaur else 0.06
        limbs.append((shoulder, 1.2 * arm, hand, arm))
        if not dinosaur:
            ear = (side * 0.75 * head, skull[1] + 0.02, skull[2] + 0.75 * head)
            limbs.append((ear, 0.32 * head, (ear[0], ear[1], ear[2] + 0.02), 0.32 * head))
    if dinosaur:
        middle = (uniform(rng, -0.1, 0.1), 0.26, 0.55 * hip_z)
        limbs += [(hip, 0.8 * fat, middle, 0.06), (middle, 0.06, (middle[0] * 2.5, 0.5, 0.1), 0.018)]
    eye = (0.6 * head, skull[1] - 0.65 * head, skull[2] + 0.35 * head)
    return _with_eyes(rng, shape, limbs, uniform(rng, 0.025, 0.06), eye, 0.18 * head if dinosaur else 0.12 * head)


def crouched(rng: np.random.Generator) -> Form:
    """A frog, a duck or a snail-like lump of an animal that sits; its face at −y."""
    shape = choose(rng, ("frog", "bird"))
    body = uniform(rng, 0.15, 0.2)
    if shape == "frog":
        back: Point = (0.0, 0.16, body * 0.95)
        skull: Point = (0.0, -0.16, body * 1.25)
        limbs: list[Limb] = [
            (back, body, (0.0, -0.06, body * 1.15), 0.9 * body),
            (skull, 0.62 * body, (0.0, -0.28, body * 1.05), 0.5 * body),
        ]
        for side in (-1.0, 1.0):
            knee = (side * body * 1.45, 0.02, body * 0.75)
            limbs += [((side * 0.8 * body, 0.24, 0.5 * body), 0.075, knee, 0.07)]
            limbs += [(knee, 0.05, (side * body * 1.35, 0.2, 0.05), 0.045)]
            limbs += [((side * body * 1.35, 0.2, 0.045), 0.04, (side * body * 1.6, -0.02, 0.03), 0.035)]
            hand = (side * body * 1.2, -0.26, 0.035)
            limbs += [((side * 0.8 * body, -0.12, 0.7 * body), 0.05, hand, 0.035)]
            limbs += [(hand, 0.035, (hand[0] * 1.15, hand[1] - 0.07, 0.025), 0.03)]
            brow = (side * 0.4 * body, -0.2, body * 1.75)
            limbs.append((brow, 0.28 * body, brow, 0.28 * body))
        eye, radius = (0.5 * body, -0.23, body * 1.8), 0.2 * body
        return _with_eyes(rng, shape, limbs, uniform(rng, 0.02, 0.05), eye, radius)
    head = body * uniform(rng, 0.5, 0.7)
    neck = uniform(rng, 0.12, 0.3)
    skull = (uniform(rng, -0.03, 0.03), -0.16, body + neck + 0.06)
    tail = (0.0, uniform(rng, 0.3, 0.42), body + uniform(rng, 0.02, 0.2))
    beak = (skull[0], skull[1] - head * uniform(rng, 1.6, 2.1), skull[2] - 0.15 * head)
    limbs = [
        ((0.0, 0.1, body), body * 0.95, (0.0, -0.08, body * 1.05), body),
        ((0.0, -0.1, body * 1.1), 0.6 * body, skull, 0.75 * head),
        (skull, head, skull, head),
        (skull, 0.45 * head, beak, 0.14 * head),
        ((0.0, 0.14, body), 0.6 * body, tail, 0.035),
    ]
    for side in (-1.0, 1.0):
        wing = (side * 0.8 * body, -0.02, body * 1.2)
        limbs.append((wing, 0.5 * body, (side * 0.7 * body, 0.26, body * 1.1), 0.05))
        limbs.append(((side * 0.4 * body, 0.0, 0.05), 0.05, (side * 0.45 * body, -0.08, 0.03), 0.035))
    eye = (0.75 * head, skull[1] - 0.5 * head, skull[2] + 0.3 * head)
    return _with_eyes(rng, shape, limbs, uniform(rng, 0.015, 0.045), eye, 0.17 * head)


def statuette(rng: np.random.Generator) -> Form:
    """A standing person or an abstract carving on a foot."""
    if rng.random() < 0.45:
        count = int(rng.integers(3, 8))
        limbs: list[Limb] = [((0.0, 0.0, 0.04), 0.16, (0.0, 0.0, 0.08), 0.14)]
        at: Point = (0.0, 0.0, 0.1)
        for _ in range(count):
            radius = uniform(rng, 0.05, 0.13)
            step = (uniform(rng, -0.22, 0.22), uniform(rng, -0.16, 0.16), uniform(rng, 0.02, 0.25))
            new = (at[0] + step[0], at[1] + step[1], min(at[2] + step[2], 0.85))
            limbs.append((at, radius, new, uniform(rng, 0.04, 0.14)))
            at = new if rng.random() < 0.8 else at
        return Form(KIND, "carving", ("body",), _numbers(limbs, uniform(rng, 0.03, 0.12)))
    head, hip = uniform(rng, 0.07, 0.09), uniform(rng, 0.36, 0.44)
    lean = uniform(rng, -0.05, 0.05)
    chest: Point = (lean, 0.0, hip + 0.24)
    skull: Point = (1.5 * lean, -0.01, hip + 0.42)
    robe = uniform(rng, 0.07, 0.16)
    limbs = [
        ((0.0, 0.0, hip), 0.09, chest, 0.1),
        (chest, 0.045, skull, 0.05),
        (skull, head, (skull[0], skull[1] - 0.015, skull[2] + 0.03), head * 0.95),
        ((0.0, 0.0, 0.03), 0.17, (0.0, 0.0, 0.04), 0.16),
    ]
    for side in (-1.0, 1.0):
        foot = (side * uniform(rng, 0.05, 0.1), uniform(rng, -0.06, 0.06), 0.1)
        limbs.append(((side * 0.05, 0.0, hip), 0.08, foot, robe * 0.6))
        elbow = (lean + side * uniform(rng, 0.16, 0.22), uniform(rng, -0.05, 0.05), hip + uniform(rng, 0.06, 0.3))
        hand = (elbow[0] * uniform(rng, 0.5, 1.2), uniform(rng, -0.2, 0.0), elbow[2] + uniform(rng, -0.12, 0.16))
        limbs += [((lean + side * 0.1, 0.0, hip + 0.27), 0.05, elbow, 0.04), (elbow, 0.04, hand, 0.035)]
    return Form(KIND, "statuette", ("body",), _numbers(limbs, uniform(rng, 0.02, 0.06)))


def animal(rng: np.random.Generator) -> Form:
    """Any of the figures."""
    drawn = choose(rng, (quadruped, biped, crouched, statuette), (3.0, 2.5, 2.0, 2.0))
    return drawn(rng)
