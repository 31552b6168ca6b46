# SPDX-License-Identifier: GPL-3.0-or-later
"""FFHQ's alignment: where eyes and mouth lie in the crop (:mod:`join_engine.face_crop`).

The camera stays where it is and the head is moved: turned about the view, scaled and shifted until the crop that FFHQ
would cut from the picture is the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from join_engine.face_crop import ffhq_crop

# Perspective makes the exact place a matter of a few rounds; each gains about two digits.
_ROUNDS = 8


@dataclass(frozen=True)
class Crop:
    """A square crop in a picture's plane: its centre [2] and the vector [2] from there to the middle of its right
    edge."""

    center: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class Similarity:
    """Places p become ``scale`` · ``turn`` p + ``shift``; ``turn`` is a rotation [3, 3]."""

    scale: float
    turn: np.ndarray
    shift: np.ndarray

    def __call__(self, places: np.ndarray) -> np.ndarray:
        """Places [N, 3] moved."""
        return np.asarray(self.scale * places @ self.turn.T + self.shift)


def crop(landmarks: Mapping[str, np.ndarray]) -> Crop:
    """The crop of FFHQ for eyes and mouth corners [2] in a picture's plane, x to the right and y up."""
    eyes_and_mouth = ("eye_left", "eye_right", "mouth_left", "mouth_right")
    found = ffhq_crop(*((float(landmarks[name][0]), -float(landmarks[name][1])) for name in eyes_and_mouth))
    (x, y), (across, down) = found.center, found.right
    return Crop(np.array((x, -y)), np.array((across, -down)))


def aligned(landmarks: Mapping[str, np.ndarray], distance: float, half: float) -> Similarity:
    """The movement after which a camera sees FFHQ's crop.

    ``landmarks`` are places [3] of eyes and mouth corners. The camera is at (0, −``distance``, 0) and looks along +y at
    the origin, where its picture reaches ``half`` metres to each side.
    """
    places = np.stack(list(landmarks.values()))
    found = Similarity(1.0, np.eye(3), -places.mean(axis=0))
    for _ in range(_ROUNDS):
        moved = found(places)
        # Where the camera sees them: metres in the plane y = 0.
        seen = moved[:, (0, 2)] * (distance / (distance + moved[:, 1:2]))
        cut = crop(dict(zip(landmarks, seen, strict=True)))
        factor = half / float(np.hypot(*cut.right))
        angle = -float(np.arctan2(cut.right[1], cut.right[0]))
        turn = _about_view(angle)
        center = np.array((cut.center[0], 0.0, cut.center[1]))
        found = Similarity(factor * found.scale, turn @ found.turn, factor * turn @ (found.shift - center))
    return found


def _about_view(angle: float) -> np.ndarray:
    """The rotation [3, 3] that turns x towards z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array(((cosine, 0.0, -sine), (0.0, 1.0, 0.0), (sine, 0.0, cosine)))
