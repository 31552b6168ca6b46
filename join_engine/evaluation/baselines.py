# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions that anyone can pick instead: what any method has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .retinex import colour_retinex

Components = dict[str, np.ndarray]


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
    """Colour Retinex (:mod:`join_engine.evaluation.retinex`)."""
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
