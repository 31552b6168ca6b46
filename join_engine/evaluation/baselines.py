# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions that anyone can pick instead: what any method has to beat. Colour Retinex is the classical one
(:mod:`join_engine.networks.retinex`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..networks.retinex import CHROMATICITY_THRESHOLD, INTENSITY_THRESHOLD, log_shading

Components = dict[str, np.ndarray]

# Retinex knows the albedo up to a factor: the geometric mean of its intensity, where nothing better is known.
ALBEDO_LEVEL = 0.3


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
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None]
    shading = log_shading(planes, intensity_threshold, chromaticity_threshold)[0, 0].numpy().astype(np.float64)
    # The factor between the two that gives the albedo its level.
    light = np.exp(shading - np.log(level))[..., None].repeat(3, axis=2)
    return (image / light).astype(np.float32), light.astype(np.float32)
