# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin things: creased paper and cards, rumpled and draped cloth, packets and cushions. No bpy.

``numbers``: "extent" is width and depth. "creases" are (amplitude, direction x and y, offset, softness) of lines along
which the sheet is bent; "folds" are (height, direction x and y, offset, width, middle along it, length, winding,
phase) of ridges in cloth. "drape" is (radius, height, flare, folds, depth, phase) of what a cloth hides and how it
falls over it; "pillow" is (thickness, squareness, wrinkles, wrinkle depth) of two sheets joined at their edges.
"""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.forms import Form, Numbers
from dataset_tools.description.sampling import choose, log_uniform, uniform
from dataset_tools.shapes import curves
from dataset_tools.shapes.mesh import MeshData, lattice, quads

KIND = "sheet"

_CELLS = 88


def build(form: Form) -> list[list[MeshData]]:
    """The mesh of the one part."""
    numbers = form.numbers
    width, depth = numbers["extent"]
    s, t = np.meshgrid(np.linspace(-0.5, 0.5, _CELLS + 1), np.linspace(-0.5, 0.5, _CELLS + 1))
    flat = np.stack([s.ravel() * width, t.ravel() * depth], axis=-1)
    faces = lattice(_CELLS, _CELLS, _CELLS + 1)
    if "pillow" in numbers:
        return [[_pillow(numbers, flat, faces)]]
    at, height = _draped(numbers, flat) if "drape" in numbers else (flat, np.zeros(len(flat)))
    height = height + relief(numbers, flat)
    # The steeper the slope the less ground it covers.
    spread = at * (1.0 - 0.5 * min(0.5, float(np.std(height))))
    vertices = np.column_stack([spread, height - height.min()])
    return [[quads(vertices, faces, flat[faces], smooth=True)]]


def relief(numbers: Numbers, flat: np.ndarray) -> np.ndarray:
    """Height [N] of creases and folds over points of the plane [N, 2]."""
    height = np.zeros(len(flat))
    for amplitude, x, y, offset, softness in np.asarray(numbers.get("creases", ())).reshape(-1, 5):
        height += amplitude * np.sqrt((flat @ (x, y) + offset) ** 2 + softness**2)
    for ridge, x, y, offset, width, middle, length, winding, phase in np.asarray(numbers.get("folds", ())).reshape(
        -1, 9
    ):
        along = flat @ (-y, x) - middle
        across = flat @ (x, y) + offset + winding * np.sin(1.7 * along / length + phase)
        height += ridge / np.cosh(np.clip(across / width, -20.0, 20.0)) ** 2 * np.exp(-((along / length) ** 2))
    return height


def _draped(numbers: Numbers, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radius, tall, flare, count, depth, phase = numbers["drape"]
    reach, turn = np.linalg.norm(flat, axis=1), np.arctan2(flat[:, 1], flat[:, 0])
    out = radius + flare * tall
    control = np.array(
        [
            (0, tall),
            (0.7 * radius, tall),
            (radius, 0.93 * tall),
            (out, 0.12 * tall),
            (out + 0.08, 0.0),
            (out + 2.0, 0.0),
        ]
    )
    profile = curves.spline(control, 8)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    away = np.interp(reach, lengths, profile[:, 0])
    height = np.interp(reach, lengths, profile[:, 1])
    # Folds begin at the edge that the cloth falls over, and are deepest where it has fallen farthest.
    falling = np.clip((reach - 0.8 * radius) / (tall + 0.2), 0.0, 1.0) ** 1.3
    waving = np.cos(count * turn + phase) + 0.5 * np.cos((count + 3.0) * turn + 2.1 * phase)
    away = away * (1.0 + depth * falling * waving)
    height = height * (1.0 + 0.15 * depth * falling * waving)
    # Where it lies on the ground it lies in ripples.
    height += 0.35 * depth * falling * np.maximum(waving, 0.0) * np.exp(-4.0 * height / tall) * tall
    return np.column_stack([away * np.cos(turn), away * np.sin(turn)]), height


def _pillow(numbers: Numbers, flat: np.ndarray, faces: np.ndarray) -> MeshData:
    thickness, squareness, wrinkles, depth = numbers["pillow"]
    width, tall = numbers["extent"]
    x, y = 2.0 * flat[:, 0] / width, 2.0 * flat[:, 1] / tall
    bulge = np.clip((1.0 - np.abs(x) ** squareness) * (1.0 - np.abs(y) ** squareness), 0.0, 1.0) ** 0.55
    # The seam gathers the stuff.
    gathered = np.cos(wrinkles * math.pi * x) * np.abs(y) ** 6 + np.cos(1.13 * wrinkles * math.pi * y) * np.abs(x) ** 6
    front = 0.5 * thickness * bulge + relief(numbers, flat) * bulge + 0.5 * depth * gathered * (1.0 - bulge)
    back = -0.5 * thickness * bulge + 0.5 * depth * gathered * (1.0 - bulge) - 0.002
    pulled = flat * (1.0 - 0.06 * np.stack([np.abs(y), np.abs(x)], axis=-1) ** 2 * thickness / min(width, tall) * 4.0)
    vertices = np.concatenate([np.column_stack([pulled, front]), np.column_stack([pulled, back])])
    vertices[:, 2] -= vertices[:, 2].min()
    uvs = flat[faces]
    sides = np.concatenate([faces, faces[:, ::-1] + len(flat)])
    return quads(vertices, sides, np.concatenate([uvs, uvs[:, ::-1]]), smooth=True)


def _creases(
    rng: np.random.Generator, count: int, steepest: float, softness: float, reach: float = 0.35
) -> tuple[float, ...]:
    numbers: list[float] = []
    for _ in range(count):
        turn = uniform(rng, 0.0, math.pi)
        slope = steepest * uniform(rng, 0.3, 1.0) * choose(rng, (-1.0, 1.0))
        numbers += [slope, math.cos(turn), math.sin(turn), uniform(rng, -reach, reach), softness]
    return tuple(round(number, 5) for number in numbers)


def draw_folds(rng: np.random.Generator, count: int, height: float, reach: float, along: float) -> tuple[float, ...]:
    """``count`` ridges up to about ``height`` within ``reach`` of the middle, about along the angle ``along``."""
    numbers: list[float] = []
    for _ in range(count):
        turn = along + 0.5 * math.pi + uniform(rng, -0.5, 0.5)
        ridge = height * uniform(rng, 0.3, 1.0)
        numbers += [ridge, math.cos(turn), math.sin(turn), uniform(rng, -reach, reach)]
        numbers += [ridge * uniform(rng, 0.5, 1.2), uniform(rng, -0.5, 0.5) * reach, reach * uniform(rng, 0.4, 1.2)]
        numbers += [reach * uniform(rng, 0.0, 0.15), uniform(rng, 0.0, 2.0 * math.pi)]
    return tuple(round(number, 5) for number in numbers)


def paper(rng: np.random.Generator) -> Form:
    """A random sheet of paper that was crumpled or folded, or a card that stands."""
    shape = choose(rng, ("crumpled paper", "folded paper", "card"), (3.0, 1.5, 1.0))
    extent = (uniform(rng, 0.7, 1.0), uniform(rng, 0.7, 1.0))
    if shape == "card":
        slope = uniform(rng, 0.9, 2.2)
        creases = (-slope, 0.0, 1.0, 0.0, 0.004, *_creases(rng, 1, 0.04, 0.05))
        # The slopes stand on their lower edges.
        extent = (uniform(rng, 0.6, 1.0), uniform(rng, 0.5, 0.75))
        return Form(KIND, shape, ("body",), {"extent": extent, "creases": creases})
    if shape == "folded paper":
        creases = (
            *(-uniform(rng, 0.05, 0.4), 1.0, 0.0, 0.0, 0.004),
            *(-uniform(rng, 0.05, 0.3) * choose(rng, (-1.0, 1.0)), 0.0, 1.0, 0.0, 0.004),
            *_creases(rng, 2, 0.1, 0.06),
        )
        return Form(KIND, shape, ("body",), {"extent": extent, "creases": creases})
    creases = (
        *_creases(rng, int(rng.integers(4, 8)), uniform(rng, 0.25, 0.6), 0.004),
        *_creases(rng, 8, 0.16, 0.003, 0.45),
    )
    return Form(KIND, shape, ("body",), {"extent": extent, "creases": creases})


def cloth(rng: np.random.Generator) -> Form:
    """A random cloth: rumpled, or draped over something that is not seen."""
    if rng.random() < 0.5:
        extent = (uniform(rng, 0.9, 1.3),) * 2
        radius, tall = uniform(rng, 0.14, 0.3), uniform(rng, 0.2, 0.5)
        drape = (radius, tall, uniform(rng, 0.05, 0.5), float(rng.integers(4, 9)), uniform(rng, 0.06, 0.16))
        folds = draw_folds(rng, 4, 0.012, 0.4, uniform(rng, 0.0, math.pi))
        numbers = {"extent": extent, "drape": (*drape, uniform(rng, 0.0, 6.0)), "folds": folds}
        return Form(KIND, "draped cloth", ("body",), numbers)
    along = uniform(rng, 0.0, math.pi)
    folds = (
        *draw_folds(rng, int(rng.integers(5, 11)), uniform(rng, 0.06, 0.16), 0.45, along),
        *draw_folds(rng, 6, 0.035, 0.45, along + uniform(rng, -1.2, 1.2)),
    )
    extent = (uniform(rng, 0.8, 1.1), uniform(rng, 0.8, 1.1))
    return Form(KIND, "rumpled cloth", ("body",), {"extent": extent, "folds": folds})


def pillow(rng: np.random.Generator) -> Form:
    """A random packet (flat, printed, wrinkled at its seams) or cushion."""
    shape = choose(rng, ("packet", "cushion"), (2.0, 1.0))
    width, tall = uniform(rng, 0.55, 0.8), uniform(rng, 0.75, 1.0)
    if shape == "cushion":
        width = tall = uniform(rng, 0.7, 1.0)
    thickness = uniform(rng, 0.22, 0.4) if shape == "cushion" else log_uniform(rng, 0.05, 0.22)
    depth = uniform(rng, 0.01, 0.03) if shape == "packet" else uniform(rng, 0.005, 0.02)
    squareness = uniform(rng, 2.0, 3.0) if shape == "cushion" else uniform(rng, 3.0, 8.0)
    return Form(
        KIND,
        shape,
        ("body",),
        {
            "extent": (width, tall),
            "pillow": (thickness, squareness, float(rng.integers(5, 14)), depth),
            "creases": _creases(rng, 5 if shape == "packet" else 2, 0.09, 0.012, 0.3),
        },
    )
