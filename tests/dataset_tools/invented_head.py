# SPDX-License-Identifier: GPL-3.0-or-later
"""A head of a few thousand vertices in the base mesh's place: what is made of it is tested without the package."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from dataset_tools.description.person import Person
from dataset_tools.heads import regions
from dataset_tools.heads.base import Base, Part
from dataset_tools.heads.shape import weights

# The base mesh's skull and chest, in metres: centre and radii.
_SKULL = ((0.0, -0.055, 0.72), (0.075, 0.10, 0.125))
_CHEST = ((0.0, -0.01, 0.50), (0.20, 0.10, 0.115))
_ROWS, _COLUMNS = 24, 32


def _ball(center: tuple[float, ...], radii: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [R · C, 3] and quads of an ellipsoid whose faces look outwards."""
    angle = np.linspace(0.02, np.pi - 0.02, _ROWS)[:, None]
    turn = np.linspace(0.0, 2.0 * np.pi, _COLUMNS, endpoint=False)
    unit = np.stack(
        np.broadcast_arrays(np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), -np.cos(angle)), axis=-1
    )
    row, column = (index.ravel() for index in np.mgrid[0 : _ROWS - 1, 0:_COLUMNS])
    right = (column + 1) % _COLUMNS
    corners = [row * _COLUMNS + column, row * _COLUMNS + right, (row + 1) * _COLUMNS + right]
    faces = np.stack([*corners, (row + 1) * _COLUMNS + column], axis=-1)
    return unit.reshape(-1, 3) * radii + center, faces.astype(np.int32)


def invented_base(folder: Path) -> Base:
    """A base mesh with the parts and landmarks that a figure needs; ``folder`` takes its targets."""
    pieces: list[np.ndarray] = []
    parts: dict[str, list[np.ndarray]] = {}
    count = 0
    balls = [(regions.BODY, *_SKULL), (regions.BODY, *_CHEST)]
    balls += [
        (name, (side * 0.031, -0.125, 0.728), (0.0135,) * 3) for name, side in zip(regions.EYES, (1, -1), strict=True)
    ]
    balls += [(name, (0.0, -0.12, 0.66), (0.02, 0.02, 0.005)) for name in (*regions.TEETH, regions.TONGUE)]
    for name, center, radii in balls:
        vertices, faces = _ball(center, radii)
        pieces.append(vertices)
        parts.setdefault(name, []).append(faces + count)
        count += len(vertices)
    points = {
        "eye_left": [(-0.031, -0.138, 0.728)],
        "eye_right": [(0.031, -0.138, 0.728)],
        "mouth_left": [(-0.025, -0.144, 0.662)],
        "mouth_right": [(0.025, -0.144, 0.662)],
        "neck": [(0.0, -0.007, 0.589)],
        "upper_lid_left": [(-0.020 - 0.005 * step, -0.138, 0.732) for step in range(5)],
        "upper_lid_right": [(0.020 + 0.005 * step, -0.138, 0.732) for step in range(5)],
        "lips": [(0.0, -0.15, 0.66)],
        "lids": [(0.031, -0.138, 0.73)],
        "ears": [(-0.08, -0.05, 0.73), (0.08, -0.05, 0.73)],
    }
    numbers: dict[str, list[int]] = {}
    for name, places in points.items():
        numbers[name] = list(range(count, count + len(places)))
        pieces.append(np.asarray(places))
        count += len(places)
    made = {}
    for name, found in parts.items():
        faces = np.concatenate(found)
        made[name] = Part(faces, np.zeros((*faces.shape, 2), np.float32))
    return Base(np.concatenate(pieces), made, numbers, folder)


def write_targets(folder: Path, person: Person) -> None:
    """A target of every name that a person needs: each moves vertex 0 by a decimetre to the right (x of the file)."""
    for name, _ in weights(person):
        path = folder / "targets" / f"{name}.target.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b"# a comment\n0 1 0 0\n"))
