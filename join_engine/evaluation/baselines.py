# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions that anyone can pick instead: what any method has to beat.

Colour Retinex (Grosse et al. 2009, after Horn and Land) is the classical one. A gradient of the logarithm belongs to
the reflectance where the chromaticity changes, or where the intensity jumps; all others are shading. The shading, grey,
is put together again by a Poisson equation with free borders.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Components = dict[str, np.ndarray]

# Logarithms: a jump of intensity by a tenth, a change of chromaticity by a twelfth.
INTENSITY_THRESHOLD = 0.1
CHROMATICITY_THRESHOLD = 0.08
# Retinex knows the albedo up to a factor: the geometric mean of its intensity, where nothing better is known.
ALBEDO_LEVEL = 0.3
_DARKEST = 1e-3


def all_albedo(image: np.ndarray) -> Components:
    """The image is the albedo, the light is white: linear [H, W, 3] → linear components."""
    return _with_specular({"albedo": image, "shading": np.ones_like(image)})


def all_shading(image: np.ndarray) -> Components:
    """Everything is white, the image is the shading."""
    return _with_specular({"albedo": np.ones_like(image), "shading": image})


def square_root(image: np.ndarray) -> Components:
    """Both are the square root of the linear image."""
    root = np.sqrt(image.clip(0.0, None))
    return _with_specular({"albedo": root, "shading": root})


def retinex(image: np.ndarray) -> Components:
    """Colour Retinex (:func:`colour_retinex`)."""
    albedo, shading = colour_retinex(image)
    return _with_specular({"albedo": albedo, "shading": shading})


BASELINES: dict[str, Callable[[np.ndarray], Components]] = {
    "colour Retinex": retinex,
    "all albedo": all_albedo,
    "all shading": all_shading,
    "square root": square_root,
}


def _with_specular(components: Components) -> Components:
    return {**components, "specular": np.zeros_like(components["albedo"])}


def colour_retinex(
    image: np.ndarray,
    level: float = ALBEDO_LEVEL,
    intensity_threshold: float = INTENSITY_THRESHOLD,
    chromaticity_threshold: float = CHROMATICITY_THRESHOLD,
) -> tuple[np.ndarray, np.ndarray]:
    """Split a linear image [H, W, 3] ≥ 0.

    Args:
        level: geometric mean of the albedo's intensity.
        intensity_threshold, chromaticity_threshold: gradients of the natural logarithms above which the reflectance
            is thought to change.

    Returns:
        Albedo [H, W, 3] and grey shading [H, W, 3], linear; their product is the image.
    """
    logarithm = np.log(np.maximum(image.astype(np.float64), _DARKEST))
    intensity = logarithm.mean(axis=2)  # along the grey axis
    chromaticity = logarithm - intensity[..., None]
    shading = np.zeros_like(intensity)
    gradients = []
    for axis in (0, 1):
        change = np.diff(intensity, axis=axis)
        colour = np.linalg.norm(np.diff(chromaticity, axis=axis), axis=2)
        reflectance = (np.abs(change) > intensity_threshold) | (colour > chromaticity_threshold)
        gradients.append(np.where(reflectance, 0.0, change))
    shading = integrate(*gradients)
    # The factor between the two that gives the albedo its level.
    shading += (intensity - shading).mean() - np.log(level)
    light = np.exp(shading)[..., None].repeat(3, axis=2)
    return (image / light).astype(np.float32), light.astype(np.float32)


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
