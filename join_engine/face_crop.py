# SPDX-License-Identifier: GPL-3.0-or-later
"""FFHQ's crop of a face (Karras et al. 2019, recreate_aligned_images): the square that eyes and mouth put around it.

The one definition of it: the renderer brings its heads to where this crop is the picture, the engine cuts photos by it.
Plain numbers, x to the right and y down, in whatever unit the places come in; of photos pixels, the corner of the first
one being (0, 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Place = tuple[float, float]
FACE_OVAL = (0.0, 0.1, 0.47, 0.58)
"""Where the face is in a crop, hairline to chin: middle and half-axes of an ellipse, −1 and 1 being the crop's edges.
Roughly: what the crop is made for, not what a picture shows."""


@dataclass(frozen=True)
class FaceCrop:
    """A square, turned with the head.

    Attributes:
        center: its middle.
        right: the vector from there to the middle of its right edge.
    """

    center: Place
    right: Place

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.center, *self.right))) or not 0.0 < self.side < math.inf:
            raise ValueError("a crop needs a place and a size")

    @property
    def side(self) -> float:
        """Of the square."""
        return 2.0 * math.hypot(*self.right)

    @property
    def corners(self) -> tuple[Place, Place, Place, Place]:
        """Top left, top right, bottom right, bottom left, as the upright head is looked at."""
        return self.place(-1.0, -1.0), self.place(1.0, -1.0), self.place(1.0, 1.0), self.place(-1.0, 1.0)

    def place(self, u: float, v: float) -> Place:
        """Where (u, v) lies: −1 is the crop's left or upper edge, 1 its right or lower one."""
        (x, y), (across, down) = self.center, self.right
        return x + u * across - v * down, y + u * down + v * across

    def to_json(self) -> dict[str, Any]:
        """For a file or a message."""
        return {"center": list(self.center), "right": list(self.right)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FaceCrop:
        """Inverse of :meth:`to_json`. Raises KeyError, TypeError or ValueError."""
        (x, y), (right, down) = data["center"], data["right"]
        return cls((float(x), float(y)), (float(right), float(down)))

    def moved(self, right: float, down: float) -> FaceCrop:
        """The same crop where the places are counted from another corner."""
        return FaceCrop((self.center[0] + right, self.center[1] + down), self.right)


def ffhq_crop(eye_left: Place, eye_right: Place, mouth_left: Place, mouth_right: Place) -> FaceCrop:
    """FFHQ's crop of a face; left and right as the picture is looked at.

    Args:
        eye_left, eye_right: middles of the eyes.
        mouth_left, mouth_right: corners of the mouth.

    Raises:
        ValueError: the four are one place, or no numbers.
    """
    eyes = 0.5 * (eye_left[0] + eye_right[0]), 0.5 * (eye_left[1] + eye_right[1])
    across = eye_right[0] - eye_left[0], eye_right[1] - eye_left[1]
    mouth = 0.5 * (mouth_left[0] + mouth_right[0]), 0.5 * (mouth_left[1] + mouth_right[1])
    down = mouth[0] - eyes[0], mouth[1] - eyes[1]
    direction = across[0] + down[1], across[1] - down[0]
    half = max(2.0 * math.hypot(*across), 1.8 * math.hypot(*down))
    length = math.hypot(*direction)
    if not 0.0 < length < math.inf:
        raise ValueError("eyes and mouth tell no direction")
    center = eyes[0] + 0.1 * down[0], eyes[1] + 0.1 * down[1]
    return FaceCrop(center, (direction[0] / length * half, direction[1] / length * half))


def crop_of_points(eye: Place, other_eye: Place, mouth: Place) -> FaceCrop:
    """FFHQ's crop for three points that a person gives: the eyes in any order, and the middle of the mouth. Raises
    ValueError as :func:`ffhq_crop`."""
    middle = 0.5 * (eye[0] + other_eye[0]), 0.5 * (eye[1] + other_eye[1])
    across, down = (other_eye[0] - eye[0], other_eye[1] - eye[1]), (mouth[0] - middle[0], mouth[1] - middle[1])
    # The mouth is below the eyes, however the head is turned.
    upright = across[0] * down[1] - across[1] * down[0] >= 0.0
    left, right = (eye, other_eye) if upright else (other_eye, eye)
    return ffhq_crop(left, right, mouth, mouth)  # which looks at the middle of the corners alone


def crop_of_box(left: float, top: float, right: float, bottom: float) -> FaceCrop:
    """An upright crop for a box that a person draws around a head, hair and chin inside.

    Raises:
        ValueError: the box is empty, or no numbers.
    """
    width, height = right - left, bottom - top
    if not (width > 0.0 and height > 0.0):
        raise ValueError("the box is empty")
    return FaceCrop((0.5 * (left + right), 0.5 * (top + bottom)), (0.5 * max(width, height), 0.0))
