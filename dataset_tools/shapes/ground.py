# SPDX-License-Identifier: GPL-3.0-or-later
"""What things stand on as plain arrays: a floor, a cloth, a sweep of paper, a wall behind. No bpy."""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.scene import Ground
from dataset_tools.shapes.mesh import MeshData, lattice, quads
from dataset_tools.shapes.sheet import relief

_CELLS = 160
_ARC = 12


def ground_mesh(ground: Ground) -> MeshData:
    """The ground, flat or folded, and its sweep up the back where it has one."""
    if ground.folds:
        return _folded(ground)
    profile = [(ground.front, 0.0), (ground.back - ground.sweep, 0.0)]
    if ground.height and not ground.wall:
        for step in range(1, _ARC + 1):
            angle = 0.5 * math.pi * step / _ARC
            y = ground.back - ground.sweep * (1.0 - math.sin(angle))
            profile.append((y, ground.sweep * (1.0 - math.cos(angle))))
        profile.append((ground.back, ground.height))
    line = np.array(profile)
    return _extruded(line, ground.half_width)


def wall_mesh(ground: Ground) -> MeshData:
    """The upright wall at the ground's back."""
    return _extruded(np.array([(ground.back, 0.0), (ground.back, ground.height)]), ground.half_width)


def _extruded(line: np.ndarray, half_width: float) -> MeshData:
    """A line of (y, z) drawn along x."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    x = np.array((-half_width, half_width))
    vertices = np.concatenate([np.column_stack([x, np.tile(point, (2, 1))]) for point in line])
    flat = np.concatenate([np.column_stack([x, np.full(2, length)]) for length in lengths])
    faces = lattice(1, len(line) - 1, 2)
    return quads(vertices, faces, flat[faces], smooth=True)


def _folded(ground: Ground) -> MeshData:
    x = np.linspace(-ground.half_width, ground.half_width, _CELLS + 1)
    y = np.linspace(ground.front, ground.back, _CELLS + 1)
    flat = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    away = np.clip(np.linalg.norm(flat, axis=1) / max(ground.calm, 1e-3) - 1.0, 0.0, 1.0)
    height = np.maximum(relief({"folds": ground.folds}, flat), 0.0) * away * away * (3.0 - 2.0 * away)
    faces = lattice(_CELLS, _CELLS, _CELLS + 1)
    return quads(np.column_stack([flat, height]), faces, flat[faces], smooth=True)
