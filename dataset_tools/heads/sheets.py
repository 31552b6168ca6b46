# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets of quads: what is worn, eyeballs, tubes; as plain arrays."""

from __future__ import annotations

import numpy as np

from dataset_tools.heads.strands import PORTION, from_each
from dataset_tools.shapes.mesh import MeshData, quads


def sheet(places: np.ndarray, uvs: np.ndarray, *, around: bool = False) -> MeshData:
    """Rows and columns of places [R, C, 3] with UVs [R, C, 2] as one smooth sheet.

    ``around`` joins the last column to the first; its UVs go on from there. Faces look to where columns × rows points.
    """
    rows, columns = places.shape[:2]
    last = columns if around else columns - 1
    row, column = (index.ravel() for index in np.mgrid[0 : rows - 1, 0:last])
    following = (column + 1) % columns
    faces = np.stack([row * columns + column, row * columns + following, (row + 1) * columns + following], axis=-1)
    faces = np.column_stack([faces, (row + 1) * columns + column])
    flat = uvs.reshape(-1, 2)[faces]
    if around:
        # One column further than the last.
        step = uvs[:, -1] - uvs[:, -2]
        wrapped = following == 0
        flat[wrapped, 1] = (uvs[row, -1] + step[row])[wrapped]
        flat[wrapped, 2] = (uvs[row + 1, -1] + step[row + 1])[wrapped]
    return quads(places.reshape(-1, 3), faces, flat, smooth=True)


def tube(path: np.ndarray, radius: float, *, closed: bool = False) -> MeshData:
    """A tube of eight sides along a path [N, 3]."""
    ahead = np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(ahead[:, 1:2]) < 0.8, (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    side = np.cross(ahead, helper)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    up = np.cross(ahead, side)
    turn = np.linspace(0.0, 2.0 * np.pi, 8, endpoint=False)
    ring = np.cos(turn)[:, None, None] * side + np.sin(turn)[:, None, None] * up
    places = path + radius * ring
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    uvs = np.stack(np.broadcast_arrays(turn[:, None] * radius, length), axis=-1)
    if closed:
        places, uvs = np.concatenate([places, places[:, :1]], axis=1), np.concatenate([uvs, uvs[:, :1]], axis=1)
    return sheet(places.transpose(1, 0, 2), uvs.transpose(1, 0, 2), around=True)


def directions(azimuth: np.ndarray, elevation: np.ndarray) -> np.ndarray:
    """Unit vectors [..., 3]; azimuth 0 is the front (−y), positive to the right (+x); both in degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    return np.stack([np.cos(e) * np.sin(a), -np.cos(e) * np.cos(a), np.sin(e)], axis=-1)


def reach(vertices: np.ndarray, center: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """How far a surface lies from a centre in directions [..., 3]: the mean of the vertices nearest to each, so that
    the result is as smooth as cloth."""
    around = vertices - center
    distances = np.linalg.norm(around, axis=1)
    units = around / distances[:, None]
    flat = towards.reshape(-1, 3)
    found = np.empty(len(flat))
    for first in range(0, len(flat), PORTION):
        apart = from_each(1.0, flat[first : first + PORTION] @ units.T)
        # In order, since sums depend on it and a partition's order on the processor.
        nearest = np.sort(np.argpartition(apart, 6, axis=1)[:, :6], axis=1)
        weights = 1.0 / (np.take_along_axis(apart, nearest, axis=1) + 2e-3)
        found[first : first + PORTION] = (weights * distances[nearest]).sum(axis=1) / weights.sum(axis=1)
    return found.reshape(towards.shape[:-1])
