# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the split of a picture is a guess: the engine's map of confidence as a picture that one can read."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from .vocabulary import color

_NAME, _HEADER_AT_MOST, _SIDE_AT_MOST = "confidence", 1 << 20, 1024
_LUMINANCE = np.array(color.LUMINANCE_WEIGHTS, np.float32)
_GREY, _DIMMED = 0.4, 0.75
"""Share of the picture itself in what is shown, and how far its white goes."""

RAMP = ((0.07, 0.16, 0.42), (0.10, 0.52, 0.55), (0.97, 0.82, 0.20), (0.80, 0.10, 0.08))
"""sRGB-encoded colours from certain to a guess, at equal distances."""


@dataclass(frozen=True)
class Scale:
    """What the colours say of a component.

    Args:
        channel: of the map.
        most: the expected error that has the last colour: of the logarithms of albedo and shading, or of the specular,
            sRGB-encoded.
        most_in_words: what that is.
    """

    channel: int
    most: float
    most_in_words: str

    def sentence(self, component: str, mean: float, share: float) -> str:
        """What a person reads beside the picture.

        Args:
            mean: of the expected error.
            share: of the pixels that have the last colour.
        """
        red = f"; {share:.0%} of it is a guess" if share >= 0.005 else ""
        if self.most == _FACTOR:
            off = f"{math.expm1(mean):.0%}"
            return f"But for its brightness, the {component} is expected to be off by {off} on average{red}"
        return f"The {component} is expected to be off by {mean:.0%} of white on average{red}"


_FACTOR = math.log(2.0)
KIND = "confidence "
"""Begins the names of the views of a set that show it; the component follows."""
SCALES = {
    "albedo": Scale(0, _FACTOR, "by a factor of 2 or more"),
    "shading": Scale(1, _FACTOR, "by a factor of 2 or more"),
    "specular": Scale(2, 0.2, "by 20% of white or more"),
}


def component_of(view: str) -> str:
    """Which component the view of that kind is about; empty for another view."""
    name = view.removeprefix(KIND)
    return name if view.startswith(KIND) and name in SCALES else ""


def read_confidence(stored: bytes) -> np.ndarray | None:
    """The map in the bytes of a ``.join`` file: e to the power of minus the expected errors, float32 ``[h, w, 3]``;
    None where there is none."""
    try:
        length = int.from_bytes(stored[:8], "little")
        if length > _HEADER_AT_MOST:
            return None
        entry = json.loads(stored[8 : 8 + length])[_NAME]
        height, width, channels = (int(side) for side in entry["shape"])
        start, stop = (int(place) for place in entry["data_offsets"])
        if entry["dtype"] != "F32" or channels != 3 or not (0 < height <= _SIDE_AT_MOST and 0 < width <= _SIDE_AT_MOST):
            return None
        found = np.frombuffer(stored[8 + length + start : 8 + length + stop], "<f4").reshape(height, width, 3)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found.astype(np.float32) if bool(((found >= 0.0) & (found <= 1.0)).all()) else None


def coloured(share: np.ndarray) -> np.ndarray:
    """Colours of :data:`RAMP`, sRGB-encoded ``[…, 3]``, for 0 (certain) to 1 (a guess)."""
    places = np.linspace(0.0, 1.0, len(RAMP))
    return np.stack([np.interp(share, places, [one[c] for one in RAMP]) for c in range(3)], axis=-1).astype(np.float32)


def show(confidence: np.ndarray, component: str, picture: np.ndarray) -> tuple[np.ndarray, float, float]:
    """A picture in grey, coloured by how far a component is expected to be off.

    Args:
        confidence: see :func:`read_confidence`.
        component: a key of :data:`SCALES`.
        picture: linear ``[H, W, 3]``, of the same view.

    Returns:
        Linear ``[H, W, 3]``; the mean of the expected error; the share of the pixels that have the last colour.
    """
    scale = SCALES[component]
    error = -np.log(confidence[..., scale.channel].clip(1e-6, 1.0))
    mean, share = float(error.mean()), float((error >= scale.most).mean())
    colours = coloured((error / scale.most).clip(0.0, 1.0))
    grey = color.srgb_encode((picture @ _LUMINANCE).clip(0.0, 1.0))[..., None] * np.float32(_DIMMED)
    shown = (1.0 - _GREY) * _enlarged(colours, *picture.shape[:2]) + _GREY * grey
    return color.srgb_decode(shown).astype(np.float32), mean, share


def _enlarged(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """``[h, w, C]`` → ``[height, width, C]``, linearly in between."""
    for axis, wanted in ((0, height), (1, width)):
        given = planes.shape[axis]
        place = ((np.arange(wanted) + 0.5) * (given / wanted) - 0.5).clip(0.0, given - 1.0)
        first = place.astype(int)
        weight = (place - first).astype(np.float32).reshape([-1 if axis == a else 1 for a in range(planes.ndim)])
        following = (first + 1).clip(max=given - 1)
        planes = planes.take(first, axis) * (1.0 - weight) + planes.take(following, axis) * weight
    return planes
