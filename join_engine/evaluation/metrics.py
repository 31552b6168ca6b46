# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of JoIN's tables: MSE and PSNR in the tone-mapped domain of each component.

The paper gives no domain for its figures. These are taken where the generators work and where errors look alike to the
eye: albedo sRGB-encoded, shading and specular through Reinhard x / (1 + x) (the transforms of Eq. 2 and section 7), the
image sRGB-encoded (Eq. 5); each clipped to [0, 1], so that the peak of the PSNR is 1. No rescaling to the ground
truth: an ambiguity of scale between albedo and shading counts as an error.
"""

from __future__ import annotations

import math

import numpy as np

from ..images import display_encode

# PSNR of a perfect match would be infinite, which JSON cannot hold.
PSNR_LIMIT = 100.0


def mse(encoded: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared error of two encoded arrays of one shape, clipped to [0, 1]."""
    difference = np.clip(encoded, 0.0, 1.0).astype(np.float64) - np.clip(truth, 0.0, 1.0)
    return float(np.mean(difference * difference))


def psnr(error: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error, for a peak of 1; at most 100."""
    return min(PSNR_LIMIT, -10.0 * math.log10(error)) if error > 0 else PSNR_LIMIT


def image_psnr(encoded: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB of two sRGB-encoded images."""
    return psnr(mse(encoded, truth))


def component_scores(component: str, linear: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """MSE and PSNR of one linear component [H, W, 3] (or "image") against ground truth, in its tone-mapped domain."""
    error = mse(display_encode(component, linear), display_encode(component, truth))
    return {"mse": error, "psnr": psnr(error)}
