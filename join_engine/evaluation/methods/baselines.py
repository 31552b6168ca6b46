# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompositions that anyone can pick instead: what any method has to beat. Colour Retinex is the classical one
(:mod:`join_engine.networks.retinex`)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from ...color import LUMINANCE_WEIGHTS
from ...images.between import blurred
from ...networks.retinex import log_shading

Components = dict[str, np.ndarray]

# Some know the albedo up to a factor: the geometric mean of its intensity, where nothing better is known.
ALBEDO_LEVEL = 0.3
_DARK = 1e-3
# Standard deviation of a Gaussian, in shorter sides of the image: what is broader is light.
_BROAD = 1.0 / 8.0


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


def retinex(image: np.ndarray, level: float = ALBEDO_LEVEL) -> Components:
    """Colour Retinex: an albedo whose intensity has the geometric mean ``level``, and grey shading; their product is
    the image."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None]
    shading = log_shading(planes)[0, 0].numpy().astype(np.float64)
    # The factor between the two that gives the albedo its level.
    light = np.exp(shading - np.log(level))[..., None].repeat(3, axis=2)
    return _with_specular({"albedo": (image / light).astype(np.float32), "shading": light.astype(np.float32)})


def constant_albedo(image: np.ndarray, level: float = ALBEDO_LEVEL) -> Components:
    """All paint is one grey, the image over it is the shading."""
    albedo = np.full_like(image, level)
    return _with_specular({"albedo": albedo, "shading": image / albedo})


def blurred_light(image: np.ndarray, level: float = ALBEDO_LEVEL) -> Components:
    """Homomorphic filtering: what is broad in the logarithm of the luminance is grey light, the rest is paint, whose
    intensity has the geometric mean ``level``."""
    logarithm = np.log(np.maximum(image @ np.array(LUMINANCE_WEIGHTS, np.float32), _DARK))
    broad = blurred(logarithm, _BROAD * min(image.shape[:2]), "edge")
    light = np.exp(broad - broad.mean() + logarithm.mean() - math.log(level))[..., None].repeat(3, axis=2)
    light = light.astype(np.float32)
    return _with_specular({"albedo": image / light, "shading": light})


BASELINES: dict[str, Callable[..., Components]] = {
    "colour Retinex": retinex,
    "all albedo": all_albedo,
    "all shading": all_shading,
    "square root": square_root,
    "constant albedo": constant_albedo,
    "blurred light": blurred_light,
}
# Those that may be told the level of the albedo.
LEVELLED = ("colour Retinex", "constant albedo", "blurred light")


def _with_specular(components: Components) -> Components:
    return {**components, "specular": np.zeros_like(components["albedo"])}
