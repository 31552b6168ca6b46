# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyeballs that look: balls with a bulging cornea in the place of the base mesh's."""

from __future__ import annotations

import numpy as np

from dataset_tools.heads import regions
from dataset_tools.heads.figure import Figure
from dataset_tools.heads.sheets import sheet
from dataset_tools.shapes.mesh import MeshData

# Half the angle under which the iris is seen from the eyeball's centre: 11.7 mm across on a ball of 24.5 mm.
IRIS = np.radians(28.5)
_BULGE = 0.045


def eyeballs(figure: Figure) -> list[MeshData]:
    """Both eyeballs of the straight figure, turned to where they look.

    The UV of a place is its direction seen from the front: (0.5, 0.5) in the pupil, and one unit is 2 radians of
    angle from the axis.
    """
    return [_eyeball(figure, name) for name in regions.EYES]


def _eyeball(figure: Figure, name: str) -> MeshData:
    found = figure.vertices[np.unique(figure.base.parts[name].faces)]
    low, high = found.min(axis=0), found.max(axis=0)
    center = 0.5 * (low + high)
    radius = 0.5 * float(high[0] - low[0] + high[2] - low[2]) / 2.0
    # The base mesh's ball is longer than wide: its front is where the cornea is.
    center[1] = low[1] + radius * (1.0 + _BULGE)
    rings, columns = 40, 48
    angle = np.linspace(1e-3, np.pi - 1e-3, rings)[:, None]
    turn = np.linspace(0.0, 2.0 * np.pi, columns, endpoint=False)[None]
    bulge = 1.0 + _BULGE * np.clip(1.0 - (angle / (1.15 * IRIS)) ** 2, 0.0, 1.0)
    ball = bulge[..., None] * np.stack(
        np.broadcast_arrays(np.sin(angle) * np.cos(turn), -np.cos(angle), np.sin(angle) * np.sin(turn)), axis=-1
    )
    uvs = 0.5 + 0.5 * angle[..., None] * np.stack(np.broadcast_arrays(np.cos(turn), np.sin(turn)), axis=-1)
    yaw, pitch = figure.person.eyes.gaze
    # A near thing makes both eyes turn inwards.
    yaw = yaw - np.sign(center[0]) * 0.03
    about_x = np.array(((1.0, 0.0, 0.0), (0.0, np.cos(pitch), np.sin(pitch)), (0.0, -np.sin(pitch), np.cos(pitch))))
    about_z = np.array(((np.cos(yaw), -np.sin(yaw), 0.0), (np.sin(yaw), np.cos(yaw), 0.0), (0.0, 0.0, 1.0)))
    # Columns run against the rows' normal otherwise.
    return sheet((radius * ball @ (about_z @ about_x).T + center)[::-1], uvs[::-1], around=True)
