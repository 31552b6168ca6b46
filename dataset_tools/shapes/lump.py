# SPDX-License-Identifier: GPL-3.0-or-later
"""Lumps: a ball pulled, dented and worn, such as pebbles, potatoes, loaves, clay and soap. No bpy.

``numbers``: "axes" are the half axes; "waves" push the surface in and out, "ridges" do so by their absolute value,
which leaves edges; "underside" is the height below which the lump is pressed flat, as a share.
"""

from __future__ import annotations

import numpy as np

from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose, uniform
from dataset_tools.shapes import curves
from dataset_tools.shapes.mesh import MeshData, quads

KIND = "lump"

_CELLS = 26


def build(form: Form) -> list[list[MeshData]]:
    """The mesh of the one part."""
    numbers = form.numbers
    directions, faces, flat = _ball()
    axes = np.asarray(numbers["axes"])
    reach = 1.0 + curves.waves(directions, numbers["waves"])
    for wave in np.asarray(numbers.get("ridges", ())).reshape(-1, 5):
        reach += wave[0] - np.abs(curves.waves(directions, tuple(wave)))
    vertices = directions * reach[:, None] * axes
    low = float(vertices[:, 2].min()) * (1.0 - numbers["underside"][0])
    # Softly, as dough lies on a table.
    vertices[:, 2] = np.maximum(vertices[:, 2], low + 0.06 * (vertices[:, 2] - low))
    vertices[:, 2] -= vertices[:, 2].min()
    return [[quads(vertices, faces, flat * float(np.mean(axes)) * 0.8, smooth=True)]]


def _ball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions [V, 3], faces [F, 4] and UVs [F, 4, 2] of a ball made of a cube's six sides."""
    side = np.tan(np.linspace(-1.0, 1.0, _CELLS + 1) * (np.pi / 4))
    a, b = np.meshgrid(side, side)
    one = np.ones_like(a)
    sides = [(one, a, b), (-one, -a, b), (-a, one, b), (a, -one, b), (a, b, one), (a, -b, -one)]
    points = np.concatenate([np.stack(found, axis=-1).reshape(-1, 3) for found in sides])
    # The sides share the vertices of the cube's edges, so that no seam is seen.
    _, first, number = np.unique(np.round(points, 6), axis=0, return_index=True, return_inverse=True)
    row, column = np.meshgrid(np.arange(_CELLS), np.arange(_CELLS), indexing="ij")
    corner = (row * (_CELLS + 1) + column).ravel()
    lattice = np.column_stack([corner, corner + 1, corner + _CELLS + 2, corner + _CELLS + 1])
    faces = np.concatenate([lattice + n * (_CELLS + 1) ** 2 for n in range(6)])
    flat = np.tile(np.stack([a, b], axis=-1).reshape(-1, 2), (6, 1))[faces]
    flat = flat + np.repeat(np.arange(6) * 2.7, len(lattice))[:, None, None]
    unique = points[first]
    return unique / np.linalg.norm(unique, axis=1, keepdims=True), number.reshape(-1)[faces], flat


def lump(rng: np.random.Generator) -> Form:
    """A random lump."""
    shape = choose(rng, ("pebble", "potato", "loaf", "rock", "clay"), (2.0, 1.5, 1.0, 2.0, 2.0))
    longest = 0.5
    axes = {
        "pebble": (longest, longest * uniform(rng, 0.6, 0.95), longest * uniform(rng, 0.3, 0.7)),
        "potato": (longest, longest * uniform(rng, 0.6, 0.8), longest * uniform(rng, 0.55, 0.75)),
        "loaf": (longest, longest * uniform(rng, 0.5, 0.9), longest * uniform(rng, 0.45, 0.65)),
        "rock": (longest, longest * uniform(rng, 0.6, 1.0), longest * uniform(rng, 0.5, 0.9)),
        "clay": (longest, longest * uniform(rng, 0.6, 1.0), longest * uniform(rng, 0.6, 1.2)),
    }[shape]
    depth = {"pebble": 0.1, "potato": 0.22, "loaf": 0.14, "rock": 0.35, "clay": 0.7}[shape] * uniform(rng, 0.6, 1.3)
    numbers = {
        "axes": axes,
        "waves": curves.draw_waves(rng, 12 if shape != "clay" else 7, depth, 1.8, 9.0 if shape != "clay" else 4.0),
        "underside": (uniform(rng, 0.3, 0.5) if shape == "loaf" else uniform(rng, 0.0, 0.12),),
    }
    if shape == "rock":
        numbers["ridges"] = curves.draw_waves(rng, 6, uniform(rng, 0.15, 0.4), 2.0, 8.0)
    return Form(KIND, shape, ("body",), numbers)
