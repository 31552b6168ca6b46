# SPDX-License-Identifier: GPL-3.0-or-later
"""Strands of hair: roots on a surface, a few guides that grow over it, and the many that follow the guides."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Tables of distances are made of so many rows at once that they stay in the processor's cache: twice as fast.
PORTION = 64

Flow = Callable[[np.ndarray, float], np.ndarray]
"""Directions [G, 3] in which guides grow at places [G, 3] and at a share of their length from 0 to 1."""


@dataclass(frozen=True)
class Surface:
    """A surface of quads: ``vertices`` [V, 3] as shaped and ``rest`` [V, 3] on the base mesh, ``normals`` [V, 3] and
    ``faces`` [F, 4]."""

    vertices: np.ndarray
    rest: np.ndarray
    normals: np.ndarray
    faces: np.ndarray

    @functools.cached_property
    def used(self) -> np.ndarray:
        """Numbers [U] of the vertices that it has, in order."""
        return np.unique(self.faces)

    @functools.cached_property
    def near(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of those that it has places [U, 3], their squares [U], and normals [U, 3]."""
        places = self.vertices[self.used]
        return places, np.einsum("ij,ij->i", places, places), self.normals[self.used]

    @functools.cached_property
    def areas(self) -> np.ndarray:
        """Twice the area [F] of each face."""
        corners = self.vertices[self.faces]
        areas: np.ndarray = np.linalg.norm(
            np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1
        )
        return areas

    @functools.cached_property
    def middles(self) -> np.ndarray:
        """The middle [F, 3] of each face on the base mesh."""
        return np.asarray(self.rest[self.faces].mean(axis=1))


@dataclass(frozen=True)
class Roots:
    """Where strands begin: ``places`` [N, 3], ``normals`` [N, 3] and ``rest`` [N, 3] on the base mesh."""

    places: np.ndarray
    normals: np.ndarray
    rest: np.ndarray

    def taken(self, chosen: np.ndarray) -> Roots:
        """Some of them."""
        return Roots(self.places[chosen], self.normals[chosen], self.rest[chosen])


def roots(rng: np.random.Generator, surface: Surface, mask: Callable[[np.ndarray], np.ndarray], count: int) -> Roots:
    """About ``count`` roots, spread evenly over where ``mask`` of places on the base mesh is 1."""
    grows = np.zeros(len(surface.rest))
    grows[surface.used] = mask(surface.rest[surface.used])
    reach = grows[surface.faces].max(axis=1)
    # A face whose middle alone is inside is found by its middle.
    reach = np.maximum(reach, mask(surface.middles))
    chance = surface.areas * reach
    if chance.sum() <= 0.0:
        nothing = np.zeros((0, 3))
        return Roots(nothing, nothing, nothing)
    drawn = rng.choice(len(chance), size=2 * count, p=chance / chance.sum())
    faces = surface.faces[drawn]
    s, t = rng.random((2, 2 * count, 1))
    weights = np.stack([(1 - s) * (1 - t), s * (1 - t), s * t, (1 - s) * t])
    rest = _between(surface.rest, faces, weights)
    # A face was drawn as often as its best corner asks for.
    kept = np.flatnonzero(rng.random(2 * count) * reach[drawn] < mask(rest))[:count]
    weights = weights[:, kept]
    places, normals = (_between(values, faces[kept], weights) for values in (surface.vertices, surface.normals))
    return Roots(places, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9), rest[kept])


def _between(values: np.ndarray, faces: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values [N, 3] inside faces [N, 4] of those at vertices [V, 3], by weights [4, N, 1]."""
    return np.asarray(sum(weight * values[faces[:, corner]] for corner, weight in enumerate(weights)))


def grown(
    begin: Roots, flow: Flow, lengths: np.ndarray, steps: int, surface: Surface, clearance: Callable[[float], float]
) -> np.ndarray:
    """Guides [G, steps + 1, 3] that begin at roots and follow a flow, never nearer to the surface than its
    ``clearance`` at a share of the length."""
    points = [begin.places]
    for step in range(1, steps + 1):
        share = step / steps
        direction = flow(points[-1], share)
        direction = direction / np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
        moved = points[-1] + direction * (lengths / steps)[:, None]
        points.append(_kept_off(moved, surface, clearance(share)))
    return np.stack(points, axis=1)


def _kept_off(places: np.ndarray, surface: Surface, clearance: float) -> np.ndarray:
    """Places pushed out along the normal of the nearest vertex where they are nearer than the clearance."""
    vertices, squares, normals = surface.near
    moved = places.copy()
    for first in range(0, len(places), PORTION):
        part = places[first : first + PORTION]
        nearest = np.argmin(from_each(squares, 2.0 * part @ vertices.T), axis=1)
        height = np.einsum("ij,ij->i", part - vertices[nearest], normals[nearest])
        moved[first : first + PORTION] += np.maximum(clearance - height, 0.0)[:, None] * normals[nearest]
    return moved


def following(
    rng: np.random.Generator, begin: Roots, guides: np.ndarray, lengths: np.ndarray, *, curl: float, frizz: float
) -> np.ndarray:
    """Strands [N, S, 3] at roots, each between its three nearest guides [G, S, 3], which they follow for a share
    ``lengths`` [N] of their length.

    ``curl`` is the radius of locks in metres, ``frizz`` how far a strand strays from its neighbours in metres.
    """
    origins = guides[:, 0]
    nearest = _nearest(begin.places, origins, 3)
    distances = np.linalg.norm(begin.places[:, None] - origins[nearest], axis=2)
    weights = 1.0 / (distances + 2e-3)
    weights /= weights.sum(axis=1, keepdims=True)
    relative = guides - origins[:, None]
    strands = begin.places[:, None] + np.einsum("nk,nksc->nsc", weights, relative[nearest])
    strands = shortened(strands, lengths)
    steps = strands.shape[1]
    share = np.linspace(0.0, 1.0, steps)[None, :, None]
    if curl > 0.0:
        # Neighbours curl together: the phase belongs to the nearest guide, with a little of the strand's own.
        phase = (7.1 * nearest[:, :1] + rng.normal(0.0, 0.5, (len(strands), 1)))[..., None]
        length = np.linalg.norm(np.diff(strands, axis=1), axis=2).sum(axis=1)[:, None, None]
        turns = share * length / (5.0 * curl) * 2.0 * np.pi + phase
        side, up = _across(strands[:, -1] - strands[:, 0])
        strands = strands + curl * share**0.5 * (np.cos(turns) * side[:, None] + np.sin(turns) * up[:, None])
    if frizz > 0.0:
        strays = np.cumsum(rng.normal(0.0, frizz / np.sqrt(steps), strands.shape), axis=1)
        strands = strands + strays * share
    return strands


def _nearest(places: np.ndarray, origins: np.ndarray, count: int) -> np.ndarray:
    """Numbers [N, count] of the origins [G, 3] that are nearest to places [N, 3], the nearest first."""
    squares = np.einsum("ij,ij->i", origins, origins)
    found = np.empty((len(places), count), np.int64)
    for first in range(0, len(places), PORTION):
        apart = from_each(squares, 2.0 * places[first : first + PORTION] @ origins.T)
        rows = np.arange(len(apart))
        for rank in range(count):
            # Faster than a partition, whose order is another on another processor.
            nearest = np.argmin(apart, axis=1)
            found[first : first + PORTION, rank] = nearest
            apart[rows, nearest] = np.inf
    return found


def from_each(minuends: np.ndarray | float, table: np.ndarray) -> np.ndarray:
    """The table [N, M] subtracted from ``minuends`` [M] or from a number, in its own place."""
    return np.subtract(minuends, table, out=table)


def shortened(strands: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Strands [N, S, 3] cut to a share of their length [N], with as many points as before."""
    steps = strands.shape[1]
    places = lengths[:, None] * np.arange(steps)
    before = np.minimum(places.astype(np.int64), steps - 2)
    part = (places - before)[..., None]
    rows = np.arange(len(strands))[:, None]
    return np.asarray((1.0 - part) * strands[rows, before] + part * strands[rows, before + 1])


def cut_off(strands: np.ndarray, forbidden: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Strands cut where they first enter a region; ``forbidden`` says of places [N, 3] whether they lie in it."""
    inside = forbidden(strands.reshape(-1, 3)).reshape(strands.shape[:2])
    first = np.where(inside.any(axis=1), inside.argmax(axis=1), strands.shape[1])
    share = np.clip((first - 1) / (strands.shape[1] - 1), 0.02, 1.0)
    entering = share < 1.0
    cut = strands.copy()
    cut[entering] = shortened(strands[entering], share[entering])
    return cut


def _across(directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors [N, 3] across each direction and each other."""
    along = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    helper = np.where(np.abs(along[:, 2:3]) < 0.9, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    side = np.cross(along, helper)
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    return side, np.cross(along, side)
