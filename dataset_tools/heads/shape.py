# SPDX-License-Identifier: GPL-3.0-or-later
"""A build, a face's shape and an expression become the mesh's vertices, and the pose turns the head on its neck."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

import numpy as np

from dataset_tools.description.person import Build, Person
from dataset_tools.heads.base import Base

# Ages in years at which the targets were modelled.
_AGES = (("baby", 1.0), ("child", 12.0), ("young", 25.0), ("old", 90.0))
_AMOUNTS = ("min", "average", "max")
_EXTREMES = ("african", "asian", "caucasian")
# Over which heights above the neck's joint it bends, in metres of the base mesh.
_BEND = (-0.02, 0.07)
# The shoulders follow a little: nobody turns the head alone.
_FOLLOWING = 0.3


def shaped(base: Base, person: Person) -> np.ndarray:
    """The vertices [V, 3] of a person who looks straight ahead, float64 in metres."""
    vertices = base.vertices.copy()
    for name, weight in weights(person):
        numbers, offsets = base.target(name)
        vertices[numbers] += weight * offsets
    return vertices


def weights(person: Person) -> Iterator[tuple[str, float]]:
    """Every target that a person is made of, and how much of it."""
    yield from _build(person.build)
    yield from person.features.items()
    for name, weight in person.expression.items():
        for extreme in _EXTREMES:
            share = getattr(person.build, extreme)
            if share > 0.0:
                yield f"expression/units/{extreme}/{name}", share * weight


def _build(build: Build) -> Iterator[tuple[str, float]]:
    genders = {"female": 1.0 - build.gender, "male": build.gender}
    ages = _between(build.age, _AGES)
    muscles = {f"{name}muscle": share for name, share in _amount(build.muscle).items()}
    weights = {f"{name}weight": share for name, share in _amount(build.weight).items()}
    for parts in itertools.product(genders.items(), ages.items(), muscles.items(), weights.items()):
        yield from _product("macrodetails/universal-", parts)
    extremes = {extreme: getattr(build, extreme) for extreme in _EXTREMES}
    for three in itertools.product(extremes.items(), genders.items(), ages.items()):
        yield from _product("macrodetails/", three)


def _product(folder: str, parts: tuple[tuple[str, float], ...]) -> Iterator[tuple[str, float]]:
    weight = float(np.prod([share for _, share in parts]))
    if weight > 0.0:
        yield folder + "-".join(name for name, _ in parts), weight


def _amount(value: float) -> Mapping[str, float]:
    return _between(value, tuple(zip(_AMOUNTS, (0.0, 0.5, 1.0), strict=True)))


def _between(value: float, anchors: tuple[tuple[str, float], ...]) -> Mapping[str, float]:
    """How much of each anchor a value is that lies between two of them."""
    places = [place for _, place in anchors]
    return {
        name: float(np.interp(value, places, [float(other == name) for other, _ in anchors])) for name, _ in anchors
    }


def posed(places: np.ndarray, heights: np.ndarray, pose: tuple[float, float, float], pivot: np.ndarray) -> np.ndarray:
    """Places [N, 3] as the neck carries them, which turns about ``pivot`` [3].

    ``heights`` [N] are those above the neck's joint on the base mesh: what is of the head turns with it, the chest
    follows a little, and the neck bends in between.
    """
    share = np.clip((heights - _BEND[0]) / (_BEND[1] - _BEND[0]), 0.0, 1.0)
    share = _FOLLOWING + (1.0 - _FOLLOWING) * share * share * (3.0 - 2.0 * share)
    around = places - pivot
    for axis, angle in ((1, pose[2]), (0, -pose[1]), (2, pose[0])):
        around = _turned(around, axis, share, angle)
    return around + pivot


def _turned(places: np.ndarray, axis: int, share: np.ndarray, angle: float) -> np.ndarray:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = (np.full(len(share), turn(angle)) for turn in (np.cos, np.sin))
    # What is of the head, nearly all hair, turns by the whole angle.
    part = share < 1.0
    cosine[part], sine[part] = np.cos(share[part] * angle), np.sin(share[part] * angle)
    turned = places.copy()
    turned[:, first] = cosine * places[:, first] - sine * places[:, second]
    turned[:, second] = sine * places[:, first] + cosine * places[:, second]
    return turned


def normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals [V, 3] of vertices, from the quads [F, 4] that meet there; zero where none does."""
    corners = vertices[faces]
    flat = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    summed = np.zeros_like(vertices)
    for corner in range(4):
        np.add.at(summed, faces[:, corner], flat)
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    return np.divide(summed, lengths, out=np.zeros_like(summed), where=lengths > 0.0)
