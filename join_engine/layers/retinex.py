# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour Retinex (Grosse et al. 2009, after Horn and Land): the light of an image without anything learned.

A gradient of the logarithm belongs to the reflectance where the chromaticity changes, or where the intensity jumps; all
others are shading. The shading, grey, is put together again by a Poisson equation with free borders.
"""

from __future__ import annotations

import numpy as np

# Natural logarithms: a jump of intensity by a tenth, a change of chromaticity by a twelfth.
INTENSITY_THRESHOLD = 0.1
CHROMATICITY_THRESHOLD = 0.08
_DARKEST = 1e-3


def log_shading(
    image: np.ndarray,
    intensity_threshold: float = INTENSITY_THRESHOLD,
    chromaticity_threshold: float = CHROMATICITY_THRESHOLD,
) -> np.ndarray:
    """Natural logarithm of the grey shading of a linear image [H, W, 3] ≥ 0, but for a constant: [H, W] float64.

    Args:
        intensity_threshold, chromaticity_threshold: gradients of the natural logarithms above which the reflectance
            is thought to change.
    """
    logarithm = np.log(np.maximum(image.astype(np.float64), _DARKEST))
    intensity = logarithm.mean(axis=2)  # along the grey axis
    chromaticity = logarithm - intensity[..., None]
    gradients = []
    for axis in (0, 1):
        change = np.diff(intensity, axis=axis)
        colour = np.linalg.norm(np.diff(chromaticity, axis=axis), axis=2)
        reflectance = (np.abs(change) > intensity_threshold) | (colour > chromaticity_threshold)
        gradients.append(np.where(reflectance, 0.0, change))
    shading = integrate(*gradients)
    return shading + (intensity - shading).mean()


def integrate(down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The function of zero mean whose gradients are nearest to the given ones.

    Solves the Poisson equation with Neumann borders by a Fourier transform of the mirrored right side.

    Args:
        down: [H − 1, W] differences between rows.
        right: [H, W − 1] differences between columns.

    Returns:
        [H, W].
    """
    height, width = right.shape[0], down.shape[1]
    divergence = np.zeros((height, width))
    divergence[:-1] += down
    divergence[1:] -= down
    divergence[:, :-1] += right
    divergence[:, 1:] -= right
    mirrored = np.block([[divergence, divergence[:, ::-1]], [divergence[::-1], divergence[::-1, ::-1]]])
    rows = 2.0 * np.cos(np.pi * np.arange(2 * height) / height) - 2.0
    columns = 2.0 * np.cos(np.pi * np.arange(width + 1) / width) - 2.0
    eigenvalues = rows[:, None] + columns[None]
    eigenvalues[0, 0] = 1.0
    spectrum = np.fft.rfft2(mirrored) / eigenvalues
    spectrum[0, 0] = 0.0
    return np.fft.irfft2(spectrum, s=mirrored.shape)[:height, :width]
