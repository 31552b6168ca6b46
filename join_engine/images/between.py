# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies between the pixels of an array."""

from __future__ import annotations

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
