# SPDX-License-Identifier: GPL-3.0-or-later
"""Shadows out of doors are blue: the sun does not reach them, and the sky does.

The split network's light is grey, so what is blue of a shadow would stay in the albedo. How much bluer the light is
where there is less of it is one number for a picture (sun and sky are two lights), and the photo tells it: within small
parts of it, whose paint is the same in sun and shade in the mean, the colour of what is left without gloss is compared
with the shading. It counts as far as the two go together, and in every part alike. Not in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.split import at_most, log_light, luminance

_SEEN_AT = 32  # pixels of the longer side, at most: smaller ones have colours of their own
_PARTS = 4  # a side
_ERRORS = 0.003  # of the shading, their mean square: differences that are no larger tell nothing
# From where on each is believed, and from where on wholly: the share of the colours' differences that the light tells,
# how alike the parts are in that (1 is quite; bright paint beside dark is in one part and not in the next), and by how
# much bluer light is that has sunk to 1/e.
_TOLD, _ALIKE, _BLUER = (0.1, 0.3), (0.94, 0.96), (0.15, 0.3)
_LIT, _CLIPPED = 0.01, 0.95  # what is darker or brighter tells no colour
_SUNNY = 0.9  # share of the picture that is no brighter lit than what is taken for the sun's light
_BLUEST = 1.2  # logarithm of blue against green, and of green against red, at most
_DARK = 1e-4


def bluer_light(image: Tensor, specular: Tensor, shading: Tensor, visible: Tensor) -> Tensor:
    """How much bluer than the sun's the light is, [1, 1, h, w] ≥ 0: the logarithm of blue against green, and of green
    against red; see :func:`colour_of`.

    Args:
        image: linear [1, 3, h, w] in camera units.
        specular: linear, grey [1, 1, h, w].
        shading: natural logarithm of the grey shading, but for a constant, [1, 1, h, w].
        visible: [1, 1, h, w], 0 where the picture is cut out.
    """
    bluer = _bluer_with_the_dark(image, specular, shading, (visible > 0.5).to(shading))
    if bluer <= 0.0:
        return torch.zeros_like(shading)
    shown = shading[visible > 0.5]
    sun = shading.new_tensor(float(shown.cpu().sort().values[int(_SUNNY * (len(shown) - 1))]))
    return (bluer * (sun - shading)).clamp(0.0, _BLUEST)


def colour_of(bluer: Tensor) -> Tensor:
    """Linear colour [1, 3, h, w] of luminance 1 of a light that is so much bluer, [1, 1, h, w]."""
    colour = torch.cat([-bluer, torch.zeros_like(bluer), bluer], dim=1).exp()
    return colour / luminance(colour)


def _bluer_with_the_dark(image: Tensor, specular: Tensor, shading: Tensor, seen: Tensor) -> float:
    """By how much :func:`bluer_light` grows where the logarithm of the light sinks by 1; 0 where nothing tells it."""
    image, specular, shading, seen = at_most(_SEEN_AT, image, specular, shading * seen, seen)
    light, shade = luminance(image), shading / seen.clamp_min(_DARK)
    told = log_light((image - specular).clamp_min(0.0))
    blueness = 0.5 * (told[:, 2:] - told[:, :1])
    usable = seen * (light > _LIT) * (image.amax(dim=1, keepdim=True) < _CLIPPED)
    weights = usable * (1.0 - specular / light.clamp_min(_DARK)).clamp(0.0, 1.0)
    shades, blues, both = _within_parts(weights, shade, blueness)
    slopes = -both / (shades + _ERRORS)
    total = shades.sum().clamp_min(1e-12)
    bluer = float((shades * slopes).sum() / total)
    alike = bluer**2 / max(float((shades * slopes.square()).sum() / total), 1e-12)
    share = float(both.sum().square() / (total * blues.sum()).clamp_min(1e-12))
    return bluer * _rising(share, _TOLD) * _rising(alike, _ALIKE) * _rising(bluer, _BLUER)


def _rising(value: float, between: tuple[float, float]) -> float:
    """From 0 to 1 between two values."""
    low, high = between
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _within_parts(weights: Tensor, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Variances of two planes [1, 1, h, w] within parts of the picture, and their covariance, times the parts' weight,
    [1, 1, parts, parts]."""

    def mean(plane: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(weights * plane, _PARTS)

    count = mean(torch.ones_like(one)).clamp_min(1e-6)
    first, second = mean(one), mean(other)
    pairs = (one, one, first, first), (other, other, second, second), (one, other, first, second)
    varied = [mean(a * b) - of_a * of_b / count for a, b, of_a, of_b in pairs]
    return varied[0].clamp_min(0.0), varied[1].clamp_min(0.0), varied[2]
