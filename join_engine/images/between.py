# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between and around the pixels of an array."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np


def between(image: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """An array at ``places`` along one axis, linearly in between and with its edges repeated."""
    last = image.shape[axis] - 1
    places = places.clip(0.0, last)
    first = places.astype(int)
    shape = [1] * image.ndim
    shape[axis] = -1
    weight = (places - first).astype(np.float32).reshape(shape)
    after = np.minimum(first + 1, last)
    return image.take(first, axis) * (1 - weight) + image.take(after, axis) * weight


def blurred(values: np.ndarray, deviation: float, beyond: Literal["symmetric", "edge"] = "symmetric") -> np.ndarray:
    """[H, W] under a Gaussian of so many pixels; beyond its edges the picture is mirrored, a small one more than once,
    or they are repeated."""
    radius = math.ceil(3.0 * deviation)
    window = np.exp(-0.5 * (np.arange(-radius, radius + 1) / deviation) ** 2)
    window /= window.sum()
    for axis in (0, 1):
        around = [(radius, radius) if axis == other else (0, 0) for other in (0, 1)]
        padded = np.pad(values, around, mode=beyond)
        values = np.lib.stride_tricks.sliding_window_view(padded, len(window), axis=axis) @ window
    return values
