# SPDX-License-Identifier: GPL-3.0-or-later
"""A camera that meters: one factor on all light of a render, so that the image has a phone's brightness. Pure numpy.

Passes are [H, W, 3] float32, scene-linear. Colours of surfaces stay as they are, light is scaled: albedo × shading +
specular remains the image, and shading and specular are then in the camera's units, where 1 is the sensor's white.
"""

from __future__ import annotations

import numpy as np

from dataset_tools.description.scene import Metering
from dataset_tools.storage.passes import ALPHA, COMBINED, LIGHT_GROUPS, Passes
from join_engine.color import LUMINANCE_WEIGHTS

# Mean linear luminance of a metered image of something that reflects _GREY: the median of sixteen flash photos by
# phones is 0.13. Theirs is 0.07 of dark things and up to 0.5 of light ones: a flash has only so much light, and a phone
# knows dark from light to a degree.
_MEAN, _GREY, _KEY = 0.14, 0.18, 0.62
# What a highlight-weighted exposure leaves to clip, and where it puts the brightest of the rest.
_KEPT, _BRIGHTEST = 98.0, 0.65
# The highlights of a mirror-like surface must not make the rest black, and a flat grey one stays grey.
_DARKEST, _LIGHTEST = 1.0 / 6.0, 3.0
# The radius (in half widths) at which the centre's weight has fallen to exp(-1/2).
_CENTRE = 0.45


def exposure(passes: Passes, metering: Metering) -> float:
    """The factor that exposes a render; 1 where there is no light to meter or it is not finite.

    Of a cut-out only what it shows counts.
    """
    luminance, reflected = (
        np.asarray(layer, np.float64) @ np.array(LUMINANCE_WEIGHTS)
        for layer in (passes[COMBINED], passes["diffuse_color"] + passes["glossy_color"])
    )
    if not np.all(np.isfinite(luminance)) or luminance.max() <= 0.0:
        return 1.0
    weights = _centre(luminance.shape) if metering.mode == "centre" else np.ones(luminance.shape)
    shown = passes[ALPHA] > 0.5 if ALPHA in passes else np.ones(luminance.shape, bool)
    if np.any(shown):
        luminance, reflected, weights = luminance[shown], reflected[shown], weights[shown]
    wanted = _MEAN * float(np.clip(reflected.mean() / _GREY, 0.1, 5.0)) ** _KEY
    factor = _for_mean(luminance, weights / weights.sum(), wanted)
    if metering.mode == "highlight":
        bright = float(np.percentile(luminance, _KEPT))
        factor = float(np.clip(_BRIGHTEST / max(bright, 1e-9), factor * _DARKEST, factor * _LIGHTEST))
    return factor * 2.0**metering.bias


def exposed(passes: Passes, factor: float) -> dict[str, np.ndarray]:
    """The passes and the combined image with all light multiplied by ``factor``."""
    light = {f"{group}_{part}" for group in LIGHT_GROUPS for part in ("direct", "indirect")}
    light |= {COMBINED, "emission", "environment"}
    return {name: layer * np.float32(factor) if name in light else layer for name, layer in passes.items()}


def _for_mean(luminance: np.ndarray, weights: np.ndarray, wanted: float) -> float:
    """The factor whose weighted mean, as the sensor sees it (clipped at white), is that of a photo."""
    low, high = -30.0, 30.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        bright = float((np.minimum(luminance * 2.0**middle, 1.0) * weights).sum()) > wanted
        low, high = (low, middle) if bright else (middle, high)
    return float(2.0 ** (0.5 * (low + high)))


def _centre(shape: tuple[int, ...]) -> np.ndarray:
    y, x = (np.linspace(-1.0, 1.0, size) for size in shape)
    return np.asarray(np.exp(-0.5 * (x[None, :] ** 2 + y[:, None] ** 2) / _CENTRE**2))
