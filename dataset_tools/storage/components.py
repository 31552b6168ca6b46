# SPDX-License-Identifier: GPL-3.0-or-later
"""Components at the size and in the curves that training wants."""

from __future__ import annotations

import numpy as np

from dataset_tools.errors import UserError
from join_engine.color import COMPONENT_TRANSFORMS
from join_engine.components import COMPONENTS


def area_average(image: np.ndarray, resolution: int) -> np.ndarray:
    """[H, W, 3] → [R, R, 3] by the mean over whole blocks, in whatever space ``image`` is: give it linear values."""
    size = image.shape[0]
    if image.shape[1] != size or resolution < 1 or size % resolution:
        raise UserError(
            f"Cannot average {image.shape[1]}×{size} pixels down to {resolution}: choose a divisor of {size}."
        )
    block = size // resolution
    return image.reshape(resolution, block, resolution, block, -1).mean(axis=(1, 3), dtype=np.float32)


def tone_mapped(name: str, linear: np.ndarray) -> np.ndarray:
    """A component as 8-bit values of its default tone map (section 7, "Tone-mapping"); uint8, same shape."""
    return to_bytes(COMPONENT_TRANSFORMS[COMPONENTS[name].transform].encode(linear))


def to_bytes(encoded: np.ndarray) -> np.ndarray:
    """[0, 1] → rounded uint8; what lies outside is clipped."""
    return np.round(np.clip(encoded, 0.0, 1.0) * 255.0).astype(np.uint8)
