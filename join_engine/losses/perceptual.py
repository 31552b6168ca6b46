# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruction loss L of JoIN's Eq. 4, in a form that needs no downloaded weights.

The paper uses E-LPIPS, whose trunk is trained on ImageNet. This one has the shape of LPIPS (Zhang et al. 2018:
unit-normalised channels, squared difference, mean over space, sum over layers) on a random-weight trunk, and a
multi-scale pixel term, which carries the absolute colours that a normalised feature cannot see.
"""

from __future__ import annotations

import torch.nn.functional as functional
from torch import Tensor

from ..networks.features import RandomFeatures


class PerceptualLoss:
    """Distance of images to fixed targets; the targets' features are computed once.

    Args:
        target: [B, 3, H, W], sRGB-encoded.
        pixel_weight: of the mean squared error over an average-pool pyramid, full size down to 4 pixels.
        feature_weight: of the LPIPS-shaped distance.
        seed: which random trunk.
    """

    def __init__(self, target: Tensor, pixel_weight: float = 1.0, feature_weight: float = 1.0, seed: int = 0) -> None:
        self.pixel_weight = pixel_weight
        self.feature_weight = feature_weight
        self._trunk = RandomFeatures(seed=seed).to(target.device)
        self._target_pyramid = _pyramid(target)
        self._target_features = [_unit(tap) for tap in self._trunk(target)] if feature_weight else []

    def __call__(self, image: Tensor) -> Tensor:
        """sRGB-encoded images [B, 3, H, W] → loss [B], one for each target."""
        loss = self.pixel_weight * self.pixel_term(image)
        if self.feature_weight:
            loss = loss + self.feature_weight * self.feature_term(image)
        return loss

    def pixel_term(self, image: Tensor) -> Tensor:
        """Mean squared error at each level of the pyramid, averaged over the levels: [B]."""
        levels = [
            (mine - theirs).square().mean(dim=(1, 2, 3))
            for mine, theirs in zip(_pyramid(image), self._target_pyramid, strict=True)
        ]
        return sum(levels[1:], levels[0]) / len(levels)

    def feature_term(self, image: Tensor) -> Tensor:
        """LPIPS-shaped distance, summed over the trunk's taps: [B]."""
        taps = [
            (_unit(mine) - theirs).square().sum(dim=1).mean(dim=(1, 2))
            for mine, theirs in zip(self._trunk(image), self._target_features, strict=True)
        ]
        return sum(taps[1:], taps[0])


def _pyramid(image: Tensor) -> list[Tensor]:
    levels = [image]
    while min(levels[-1].shape[2:]) >= 8:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    return levels


def _unit(features: Tensor) -> Tensor:
    """Channels of each position scaled to unit length (LPIPS); a dead position stays zero, with a finite gradient."""
    return features * (features.square().sum(dim=1, keepdim=True) + 1e-8).rsqrt()
