# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's description becomes meshes and strands in the place where the camera sees FFHQ's crop."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.person import Person
from dataset_tools.heads import alignment, masks, regions, shape
from dataset_tools.heads.base import Base
from dataset_tools.heads.strands import Surface

# What lies below the chest or beyond the shoulders is left out, in metres of the base mesh.
_LOWEST = 0.47
_WIDEST = 0.25


@dataclass(frozen=True)
class Figure:
    """A person who looks straight ahead, in metres: the ``vertices`` [V, 3] of the whole mesh, the ``surface`` of the
    body from the chest up (which of the body's faces it has, ``shown`` [F]), and how the pose and the alignment move
    any place."""

    base: Base
    person: Person
    vertices: np.ndarray
    surface: Surface
    shown: np.ndarray
    similarity: alignment.Similarity

    def place(self, number: str) -> np.ndarray:
        """Mean place [3] of a landmark's or region's vertices."""
        return self.vertices[list(self.base.numbers[number])].mean(axis=0)

    @property
    def shift(self) -> np.ndarray:
        """How far [3] the face lies from the base mesh's."""
        return self._moved("eye_left", "eye_right")

    @property
    def chest(self) -> np.ndarray:
        """How far [3] the neck lies from the base mesh's."""
        return self._moved("neck")

    def _moved(self, *numbers: str) -> np.ndarray:
        chosen = [number for name in numbers for number in self.base.numbers[name]]
        return np.asarray((self.vertices - self.base.vertices)[chosen].mean(axis=0))

    def seen(self, places: np.ndarray, heights: np.ndarray | None = None) -> np.ndarray:
        """Places [N, 3] of the straight figure as posed and aligned.

        ``heights`` [N] are those on the base mesh, where they are known; else they follow from the places.
        """
        if heights is None:
            heights = places[:, 2] - self.chest[2]
        return self.similarity(_posed(self.base, self.person, self.vertices, places, heights))


def figure(base: Base, person: Person, distance: float, half: float) -> Figure:
    """The person before a camera at (0, −``distance``, 0) whose picture reaches ``half`` metres to each side of the
    origin."""
    vertices = shape.shaped(base, person)
    rest = base.vertices
    faces = base.parts[regions.BODY].faces
    seen = ((rest[:, 2] > _LOWEST) & (np.abs(rest[:, 0]) < _WIDEST))[faces].all(axis=1)
    surface = Surface(vertices, rest, shape.normals(vertices, faces), faces[seen])
    landmarks = _landmarks(base, person, vertices)
    return Figure(base, person, vertices, surface, seen, alignment.aligned(landmarks, distance, half))


def _landmarks(base: Base, person: Person, vertices: np.ndarray) -> Mapping[str, np.ndarray]:
    found = {}
    for name in regions.LANDMARKS:
        chosen = list(base.numbers[name])
        places = _posed(base, person, vertices, vertices[chosen], base.vertices[chosen, 2])
        found[name] = places.mean(axis=0)
    return found


def _posed(base: Base, person: Person, vertices: np.ndarray, places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    neck = list(base.numbers["neck"])
    pivot = vertices[neck].mean(axis=0) + np.array((0.0, 0.0, 0.02))
    return shape.posed(places, heights - base.vertices[neck, 2].mean(), person.pose, pivot)


@functools.cache
def tints(base: Base) -> dict[str, np.ndarray]:
    """Strengths [V] in [0, 1] of what colours the skin, by name."""
    rest = base.vertices
    lips = np.zeros(len(rest))
    lips[list(base.numbers["lips"])] = 1.0
    return {
        "lips": lips,
        "blush": masks.blush(rest),
        "sockets": masks.sockets(rest),
        "freckles": masks.freckles(rest),
        "folds": masks.folds(rest),
        "beard": masks.beard(rest),
        "scalp": masks.scalp(rest),
    }
