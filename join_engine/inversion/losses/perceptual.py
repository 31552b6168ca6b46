# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruction loss L of JoIN's Eq. 4, in a form that needs no downloaded weights.

The paper uses E-LPIPS, whose trunk is trained on ImageNet. This one has the shape of LPIPS (Zhang et al. 2018:
unit-normalised channels, squared difference, mean over space, sum over layers) on features of the project's own
(:mod:`join_engine.networks.features`), and a multi-scale pixel term, which carries the absolute colours that a
normalised feature cannot see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from ...networks.features import Features


class PerceptualLoss:
    """Distance of images to fixed targets; the targets' features are computed once.

    Args:
        target: [B, 3, H, W], sRGB-encoded.
        pixel_weight: of the mean squared error over an average-pool pyramid, full size down to 4 pixels.
        feature_weight: of the LPIPS-shaped distance.
        features: what that distance is taken in, see :func:`join_engine.inversion.losses.reconstruction.make_features`;
            None leaves it out.
        distance: instead of the LPIPS-shaped one, with the same interface.
        dtype: precision of the features' convolutions.
        style_weight: of :func:`style_loss` in the same features.
    """

    def __init__(
        self,
        target: Tensor,
        pixel_weight: float = 1.0,
        feature_weight: float = 1.0,
        features: Features | None = None,
        distance: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype | None = None,
        style_weight: float = 0.0,
    ) -> None:
        self.pixel_weight = pixel_weight
        self.feature_weight = feature_weight
        self._target_pyramid = _pyramid(target)
        self._distance: Callable[[Tensor], Tensor] | None = distance if feature_weight else None
        self._style: Callable[[Tensor], Tensor] | None = None
        compares = distance is None and bool(feature_weight)
        if features is None or not (compares or style_weight):
            return
        if style_weight:
            with torch.no_grad():
                theirs = taps_of(features, target, dtype)
            self._style = lambda image: style_weight * style_loss(taps_of(features, image, dtype), theirs)
        if compares:
            self._distance = FeatureDistance(features, target, dtype)

    def __call__(self, image: Tensor) -> Tensor:
        """sRGB-encoded images [B, 3, H, W] → loss [B], one for each target."""
        loss = self.pixel_weight * self.pixel_term(image)
        if self._distance is not None:
            loss = loss + self.feature_weight * self._distance(image)
        return loss if self._style is None else loss + self._style(image)

    def pixel_term(self, image: Tensor) -> Tensor:
        """Mean squared error at each level of the pyramid, averaged over the levels: [B]."""
        levels = [
            (mine - theirs).square().mean(dim=(1, 2, 3))
            for mine, theirs in zip(_pyramid(image), self._target_pyramid, strict=True)
        ]
        return sum(levels[1:], levels[0]) / len(levels)


class FeatureDistance:
    """LPIPS-shaped distance of images to fixed targets, whose features are computed once. Over features of
    :func:`join_engine.inversion.losses.elpips_weights.load_lpips` it is the published LPIPS.

    Args:
        features: what to compare; its ``heads``, where it has any, weigh the channels.
        target: [B, 3, H, W] in [0, 1].
        dtype: precision of the features' convolutions.

    Attributes:
        taps: how many distances are summed.
    """

    def __init__(self, features: Features, target: Tensor, dtype: torch.dtype | None = None) -> None:
        self._features = features
        self._dtype = dtype
        self._heads: Sequence[Tensor] | None = getattr(features, "heads", None)
        with torch.no_grad():
            self._target = [unit_features(tap) for tap in taps_of(features, target, dtype)]
        self.taps = len(self._target)

    def __call__(self, image: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] → distance, summed over the taps: [B]."""
        taps = [unit_features(tap) for tap in taps_of(self._features, image, self._dtype)]
        return lpips_distance(taps, self._target, self._heads)


def lpips_distance(mine: Sequence[Tensor], theirs: Sequence[Tensor], heads: Sequence[Tensor] | None = None) -> Tensor:
    """d of LPIPS (Zhang et al. 2018, arXiv:1801.03924, Eq. 1): of taps [B, C, H, W] of two images, channels scaled to
    unit length, → [B].

    Args:
        heads: of each tap the weights [C] of its channels' squared differences, the paper's w_l²; None counts them
            alike.
    """
    total = mine[0].new_zeros(len(mine[0]))
    for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        squared = (one - other).square()
        if heads is not None:
            squared = squared * heads[index].to(squared.device)[:, None, None]
        total = total + squared.sum(dim=1).mean(dim=(1, 2))
    return total


def gram_matrices(taps: Sequence[Tensor]) -> list[Tensor]:
    """Of features [B, C, H, W] the Gram matrices (Gatys et al. 2016): [B, C, C], the mean over the places of each
    product of two channels, over C."""
    flat = [tap.flatten(2) for tap in taps]
    return [one @ one.transpose(1, 2) / (one.shape[1] * one.shape[2]) for one in flat]


def style_loss(mine: Sequence[Tensor], theirs: Sequence[Tensor]) -> Tensor:
    """Σ λ_i · mean |Gram_i − Gram_i*| of taps [B, C, H, W] of two pictures, SAMM's Eq. 2 → [B]. λ_i as
    :func:`tap_weights`."""
    compared = zip(tap_weights(len(mine)), gram_matrices(mine), gram_matrices(theirs), strict=True)
    return torch.stack([weight * (one - other).abs().mean(dim=(1, 2)) for weight, one, other in compared]).sum(dim=0)


def tap_weights(count: int) -> list[float]:
    """λ_i of SAMM's Eq. 1 and 2, fine to coarse: those of VGG19's five features, without the last."""
    return [0.1, 0.1, *[1.0] * (count - 2)][:count]


def spatial_distance(features: Features, image: Tensor, target: Tensor) -> Tensor:
    """The distance pixel by pixel, without LPIPS's mean over space (SAM's Eq. 3.1): images [B, 3, H, W] in [0, 1] →
    [B, H, W], each tap brought to the images' size bilinearly, summed over the taps."""
    maps = [
        functional.interpolate(
            (unit_features(mine) - unit_features(theirs)).square().sum(dim=1, keepdim=True),
            image.shape[2:],
            mode="bilinear",
            align_corners=False,
        )
        for mine, theirs in zip(features(image), features(target), strict=True)
    ]
    return sum(maps[1:], maps[0])[:, 0]


def _pyramid(image: Tensor) -> list[Tensor]:
    levels = [image]
    while min(levels[-1].shape[2:]) >= 8:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return levels


def taps_of(
    features: Callable[..., list[Tensor]], images: Tensor, dtype: torch.dtype | None, *arguments: Any
) -> list[Tensor]:
    """``features(images, *arguments)``, convolved in ``dtype`` (None: as they are); taps in that of the images."""
    if dtype is None or dtype == images.dtype:
        return features(images, *arguments)
    with torch.autocast(images.device.type, dtype):
        taps = features(images.contiguous(memory_format=torch.channels_last), *arguments)
    return [tap.to(images.dtype) for tap in taps]


def unit_features(features: Tensor) -> Tensor:
    """Channels of each position scaled to unit length (LPIPS); a dead position stays zero, with a finite gradient."""
    return features * (features.square().sum(dim=1, keepdim=True) + 1e-8).rsqrt()
