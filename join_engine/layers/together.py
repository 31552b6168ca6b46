# SPDX-License-Identifier: GPL-3.0-or-later
"""Several photos of one thing under other light: one albedo, and a shading and a specular of each.

This is not in the paper. Each photo comes with layers of its own (:mod:`join_engine.layers.split`). Paint is what does
not change from photo to photo:

- The albedo is the mean of the photos' own in logarithms, where each weighs as much as its bank is sure of it, as it is
  neither clipped nor glossy there, and as it agrees with the others. How bright and of which colour a photo's light is,
  is free.
- What differs from photo to photo by as much as their mean tells, is light that was left in the albedo: scale by scale
  it is taken out of the mean.
- The shading of a photo is what the common albedo leaves of it: of the colours that its own shading has, times one
  colour of its light. A highlight that was taken for paint, which other photos tell, goes to the specular.
- albedo · shading + specular is every photo wherever that is not clipped, and no layer is negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..images.frame import picture_of, planes_of
from ..networks.split import halved, luminance, resized
from .fill import filled
from .split import ceiling_of, into_bounds, readability, rest_of

Layers = dict[str, np.ndarray]

# Chosen on renders (docs/choices.md).
ERROR = 0.05  # natural logarithms: no photo is surer of its albedo than that
_LEVEL_ERROR = 0.1  # and of how bright it is on the whole
AGREES = 2.0  # expected errors that a photo may differ from the others before it weighs half
_ROUNDS = 3
_DOUBT = 4  # power of the agreement: half of it is little beside a whole one
_CHANGING = 0.5  # share of the variance between photos that is taken out of their mean
_COARSEST = 8  # pixels of the shorter side
_AROUND = 5  # pixels, at each scale, over which variances are averaged
_LEAST = 1e-3  # weight of a pixel that tells nothing, so that there is one of all
_DARK, _TINY = 5e-5, 1e-12  # keep logarithms and quotients finite


@dataclass(frozen=True)
class Photo:
    """A photo and what is known of it alone.

    Attributes:
        colour: linear [H, W, 3] ≥ 0.
        layers: "albedo", "shading" and, of a bank that has one, "specular", linear [H, W, 3].
        error: that the bank expects of them, [h, w, 3] (:func:`join_engine.layers.split.split`); None of one without
            an idea.
        shown: [H, W] in [0, 1]: 0 where the photo is cut out or ends.
    """

    colour: np.ndarray
    layers: Layers
    error: np.ndarray | None
    shown: np.ndarray


@torch.no_grad()
def fuse(photos: Sequence[Photo]) -> list[Layers]:
    """The layers of each photo, which have the albedo in common: one and the same array.

    Args:
        photos: all of one size, their texels over one another.

    Returns:
        As each photo's layers, float32 [H, W, 3] ≥ 0. Without a specular layer the shading takes up the rest and is not
        grey.
    """
    views = [View(photo) for photo in photos]
    paint = torch.cat([view.paint for view in views])
    base = torch.cat([view.weight for view in views])
    expected = torch.cat([view.error for view in views])
    mean, offsets, weights = _agreed(paint, base, expected)
    if len(views) > 1:
        mean = mean - _left_light(paint - offsets, weights)
    sure = torch.stack([1.0 / (view.error.mean().square() + _LEVEL_ERROR**2) for view in views])[:, None, None, None]
    level = (offsets * sure).sum(dim=0, keepdim=True) / sure.sum()
    albedo = (mean + level).exp()
    albedo = albedo * into_bounds(albedo)
    array = picture_of(albedo)
    log_albedo = albedo.clamp_min(_DARK).log()
    found = []
    for view, weight, weighed, offset in zip(views, weights, base, offsets, strict=True):
        found.append({"albedo": array, **view.lit(albedo, log_albedo, (weight / weighed)[None], (offset - level))})
    return found


class View:
    """A photo's planes, [1, C, H, W].

    Attributes:
        image: linear.
        paint: logarithm of its own albedo.
        error: that is expected of that, [1, 1, H, W].
        weight: how much it says, [1, 1, H, W].
    """

    def __init__(self, photo: Photo) -> None:
        self.image = planes_of(photo.colour)
        self.paint = planes_of(photo.layers["albedo"]).clamp_min(_DARK).log()
        self._shading = planes_of(photo.layers["shading"]).clamp_min(_DARK).log()
        self._glossy = "specular" in photo.layers
        specular = planes_of(photo.layers["specular"]) if self._glossy else torch.zeros_like(self.image)
        self._ceiling = ceiling_of(photo.colour)
        self._shown = torch.from_numpy(photo.shown.astype(np.float32))[None, None]
        self._readable = readability(self.image, specular, self._ceiling) * (self._shown > 0.5)
        error = torch.full_like(self._shown, ERROR)
        if photo.error is not None:
            told = planes_of(photo.error[..., :1])
            error = functional.interpolate(told, self.image.shape[2:], mode="bilinear", align_corners=False)
        self.error = error
        self.weight = (self._readable + _LEAST) / (error.square() + ERROR**2)

    def lit(self, albedo: Tensor, log_albedo: Tensor, agreement: Tensor, light: Tensor) -> Layers:
        """Shading and specular under the common albedo.

        Args:
            albedo, log_albedo: [1, 3, H, W].
            agreement: [1, 1, H, W] in [0, 1], how far the photo's own albedo agrees with the common one.
            light: [1, 3, 1, 1], logarithm of the colour of its light against that of all photos.
        """
        if not self._glossy:
            return {"shading": picture_of(self.image / albedo.clamp_min(_TINY))}
        # Where the albedo was read off the photo, what it differs by is light: below the common one a shadow, above it,
        # beyond what was expected, a highlight.
        change = luminance(self.paint - log_albedo - light)
        trusted = self._readable * torch.where(change > 0.0, agreement**_DOUBT, 1.0)
        shading = (self._shading + filled(change, trusted)).exp() * light.exp()
        room = torch.where(self.image < self._ceiling, self.image / (albedo * shading).clamp_min(_TINY), math.inf)
        shading = shading * room.amin(dim=1, keepdim=True).clamp_max(1.0)
        return {
            "shading": picture_of(shading),
            "specular": picture_of(rest_of(self.image, albedo * shading, self._ceiling)),
        }


def _agreed(paint: Tensor, base: Tensor, expected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean of several logarithms of the albedo, all known but for a constant.

    Args:
        paint: [n, 3, H, W].
        base, expected: [n, 1, H, W] weights, and errors that are expected.

    Returns:
        The mean [1, 3, H, W]; the constants [n, 3, 1, 1]; the weights [n, 1, H, W] after those that do not agree with
        the mean have been lowered.
    """
    weights = base
    offsets = paint.mean(dim=(2, 3), keepdim=True)
    mean = _mean(paint - offsets, weights)
    for _ in range(_ROUNDS):
        offsets = (weights * (paint - mean)).sum(dim=(2, 3), keepdim=True) / weights.sum(dim=(2, 3), keepdim=True)
        mean = _mean(paint - offsets, weights)
        apart = luminance(paint - offsets - mean) / (AGREES * (expected + ERROR))
        weights = base / (1.0 + apart.square())
    return _mean(paint - offsets, weights), offsets, weights


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Over the photos, [1, C, H, W]."""
    return (weights * values).sum(dim=0, keepdim=True) / weights.sum(dim=0, keepdim=True)


def _left_light(paint: Tensor, weights: Tensor) -> Tensor:
    """Light that is left in the mean of several albedos, [1, 1, H, W] logarithms of zero mean.

    At each scale the mean of n photos has 1/n of the variance between them as its own error: the mean is shrunk by as
    much of its energy as that explains (Wiener).

    Args:
        paint: logarithms [n, 3, H, W], constants taken off.
        weights: [n, 1, H, W].
    """
    levels, known = [paint], [weights]
    while min(levels[-1].shape[2:]) >= 2 * _COARSEST:
        smaller = halved(known[-1])
        levels.append(halved(levels[-1] * known[-1]) / smaller)
        known.append(smaller)
    left = _explained(levels[-1] - levels[-1].mean(dim=(2, 3), keepdim=True), known[-1])
    for level, coarser, weight in zip(levels[-2::-1], levels[:0:-1], known[-2::-1], strict=True):
        left = resized(left, level) + _explained(level - resized(coarser, level), weight)
    return left - left.mean()


def _explained(band: Tensor, weights: Tensor) -> Tensor:
    """The part of the mean of [n, 3, h, w] that their differences explain, its luminance [1, 1, h, w]."""
    share = weights / weights.sum(dim=0, keepdim=True)
    mean = (share * band).sum(dim=0, keepdim=True)
    count = 1.0 / share.square().sum(dim=0, keepdim=True)
    # One photo that weighs alone says nothing of how much they differ.
    spread = (share * (band - mean).square()).sum(dim=0, keepdim=True) / (count - 1.0).clamp_min(0.2)
    error, energy = around(luminance(spread)), around(luminance(mean.square()))
    return luminance(mean) * (_CHANGING * error / energy.clamp_min(1e-7)).clamp(0.0, 1.0)


def around(values: Tensor) -> Tensor:
    """The mean of what lies around each pixel, [B, C, H, W]."""
    side = _AROUND // 2
    return functional.avg_pool2d(functional.pad(values, (side,) * 4, mode="replicate"), _AROUND, 1)
