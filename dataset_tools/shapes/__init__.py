# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes of things: how each kind is drawn at random, and its mesh beside it. No bpy.

A :class:`Form` is about one unit large and stands on z = 0 about the z axis, its face towards −y. Meshes have UVs in
the same unit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose
from dataset_tools.shapes import facets, figure, lathe, lump, sheet
from dataset_tools.shapes.mesh import MeshData, joined

_BUILDERS: Mapping[str, Callable[[Form], list[list[MeshData]]]] = {
    module.KIND: module.build for module in (lathe, lump, sheet, facets, figure)
}

# What is drawn, and how often.
SAMPLERS: Mapping[str, tuple[Callable[[np.random.Generator], Form], float]] = {
    "fruit": (lathe.fruit, 3.0),
    "vessel": (lathe.vessel, 3.0),
    "container": (lathe.container, 1.5),
    "turned": (lathe.turned, 0.8),
    "lump": (lump.lump, 1.2),
    "paper": (sheet.paper, 1.2),
    "cloth": (sheet.cloth, 1.2),
    "pillow": (sheet.pillow, 1.2),
    "package": (facets.package, 1.5),
    "book": (facets.book, 0.7),
    "planter": (facets.planter, 0.7),
    "blocks": (facets.blocks, 0.8),
    "stone": (facets.stone, 1.2),
    "figure": (figure.animal, 3.5),
}


def sample_form(rng: np.random.Generator) -> tuple[str, Form]:
    """What is drawn (a name of SAMPLERS) and a random form of it."""
    name = choose(rng, tuple(SAMPLERS), [weight for _, weight in SAMPLERS.values()])
    return name, SAMPLERS[name][0](rng)


def meshes(form: Form, size: float) -> list[MeshData]:
    """A mesh for each part of a form that is made ``size`` times as large; UVs in metres."""
    scale = np.float32(size)
    parts = _meshes(form.kind, form.parts, tuple(form.numbers.items()))
    return [replace(part, vertices=part.vertices * scale, uvs=part.uvs * scale) for part in parts]


# A description measures a form before a scene is built of it.
@functools.lru_cache(maxsize=8)
def _meshes(
    kind: str, parts: tuple[str, ...], numbers: tuple[tuple[str, tuple[float, ...]], ...]
) -> tuple[MeshData, ...]:
    return tuple(joined(*part) for part in _BUILDERS[kind](Form(kind, "", parts, dict(numbers))))
