# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics of JoIN's tables, and of intrinsic decomposition at large.

The paper gives no domain for its figures. MSE, PSNR and SSIM (and E-LPIPS, see
:mod:`join_engine.inversion.losses.elpips`) are taken where the generators work and where errors look alike to the eye:
albedo sRGB-encoded, shading and specular through Reinhard x / (1 + x) (the transforms of Eq. 2 and section 7), the
image sRGB-encoded (Eq. 5); each clipped to [0, 1], so that the peak of the PSNR is 1. No rescaling to the ground truth:
an ambiguity of scale between albedo and shading counts as an error. si-MSE and LMSE forgive it, and are taken in linear
light.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .files import display_encode

# PSNR of a perfect match would be infinite, which JSON cannot hold.
PSNR_LIMIT = 100.0
_LEAST_FACTOR = 1e-4


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


def ssim(encoded: np.ndarray, truth: np.ndarray) -> float:
    """Structural similarity (Wang et al. 2004) of two encoded arrays [H, W, C], clipped to [0, 1].

    Gaussian window of 11 × 11, σ 1.5, K 0.01 and 0.03; mean over channels and over the places where the window fits (a
    smaller window for an image below 11 pixels).
    """
    one, other = (np.clip(array, 0.0, 1.0).astype(np.float64) for array in (encoded, truth))
    side = min(11, *one.shape[:2])
    offsets = np.arange(side) - (side - 1) / 2
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    mean1, mean2 = _windowed(one, window), _windowed(other, window)
    variance1 = _windowed(one * one, window) - mean1**2
    variance2 = _windowed(other * other, window) - mean2**2
    covariance = _windowed(one * other, window) - mean1 * mean2
    c1, c2 = 0.01**2, 0.03**2
    similarity = (2 * mean1 * mean2 + c1) * (2 * covariance + c2)
    similarity /= (mean1**2 + mean2**2 + c1) * (variance1 + variance2 + c2)
    return float(similarity.mean())


def si_mse(linear: np.ndarray, truth: np.ndarray) -> float:
    """Scale-invariant MSE: of the linear estimate times the one factor, over all channels, that suits it best."""
    return _least_squares(linear, truth) / truth.size


def lmse(linear: np.ndarray, truth: np.ndarray) -> float:
    """Local MSE (Grosse et al. 2009): each window may have a factor of its own; in units of the truth's energy.

    Windows of a tenth of the longer side (at least 4 pixels), overlapping by half; 0 for a truth that is black.
    """
    side = max(4, round(max(truth.shape[:2]) / 10))
    error = energy = 0.0
    for top in range(0, max(1, truth.shape[0] - side + 1), side // 2):
        for left in range(0, max(1, truth.shape[1] - side + 1), side // 2):
            window = np.s_[top : top + side, left : left + side]
            error += _least_squares(linear[window], truth[window])
            energy += float(np.square(truth[window], dtype=np.float64).sum())
    return error / energy if energy > 0 else 0.0


def best_scale(estimate: np.ndarray, truth: np.ndarray) -> float:
    """The factor that brings an estimate nearest to the truth, in the mean of squares; 0 for one that is black."""
    x, y = estimate.astype(np.float64).ravel(), truth.astype(np.float64).ravel()
    squares = float(x @ x)
    return float(x @ y) / squares if squares > 0 else 0.0


def brightness_told(layers: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Linear components as they would be if one knew how bright the albedo is: that times the factor that brings it
    nearest to the truth (:func:`best_scale`, at least 0.0001), the shading divided by it; they make the same
    image."""
    factor = np.float32(max(best_scale(layers["albedo"], truth["albedo"]), _LEAST_FACTOR))
    return {**layers, "albedo": layers["albedo"] * factor, "shading": layers["shading"] / factor}


def _least_squares(estimate: np.ndarray, truth: np.ndarray) -> float:
    """min over α of Σ (α · estimate − truth)²."""
    residual = best_scale(estimate, truth) * estimate.astype(np.float64).ravel() - truth.astype(np.float64).ravel()
    return float(residual @ residual)


def _windowed(values: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Weighted means over a separable window, where it fits: [H, W, C] → [H − n + 1, W − n + 1, C]."""
    for axis in (0, 1):
        views = np.lib.stride_tricks.sliding_window_view(values, len(window), axis=axis)
        values = views @ window
    return values


def all_scores(component: str, linear: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """As :func:`component_scores`, and SSIM, si-MSE and LMSE."""
    return {
        **component_scores(component, linear, truth),
        "ssim": ssim(display_encode(component, linear), display_encode(component, truth)),
        "si_mse": si_mse(linear, truth),
        "lmse": lmse(linear, truth),
    }


def component_scores(component: str, linear: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """MSE and PSNR of one linear component [H, W, 3] (or "image") against ground truth, in its tone-mapped domain."""
    error = mse(display_encode(component, linear), display_encode(component, truth))
    return {"mse": error, "psnr": psnr(error)}
