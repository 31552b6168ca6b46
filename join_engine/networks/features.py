# SPDX-License-Identifier: GPL-3.0-or-later
"""Features of several scales to compare images in, with nothing to download.

One small interface, :data:`Features`: sRGB-encoded images [B, 3, H, W] in [0, 1] → a list of taps [B, C, H′, W′]. A
random trunk, discriminators and sums of several, all here, offer it, and so does a trained trunk
(:mod:`join_engine.networks.trunk`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .stylegan2 import Discriminator

Features = Callable[[Tensor], list[Tensor]]

# All of them take a second argument, which is applied to what each of their convolutions (or blocks) gets to see.
OnInput = Callable[[Tensor], Tensor]


def unchanged(features: Tensor) -> Tensor:
    """The :data:`OnInput` that does nothing."""
    return features


# Below this, a discriminator's features tell what an image shows, and no longer where.
_SMALLEST_TAP = 8


class DiscriminatorFeatures(nn.Module):
    """What the discriminators' residual blocks make of an image, down to 8 pixels: a critic of each component looks.

    They have seen components alone, never a recombined image; their early blocks are filters like any others.
    """

    def __init__(self, discriminators: Sequence[Discriminator]) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(discriminators)

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """Images [B, 3, R, R] in [0, 1] at the discriminators' resolution → the taps of each in turn."""
        taps: list[Tensor] = []
        for discriminator in self.discriminators:
            resolution = images.shape[-1]
            features = discriminator.get_submodule(f"b{resolution}").get_submodule("fromrgb")(
                on_input(images * 2.0 - 1.0)
            )
            while resolution > _SMALLEST_TAP:
                features = discriminator.get_submodule(f"b{resolution}")(on_input(features))
                resolution //= 2
                taps.append(features)
        return taps


class SummedFeatures(nn.Module):
    """The taps of several features one after the other: a distance in them is the sum of those in each."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """Images [B, 3, H, W] in [0, 1] → the taps of each part in turn."""
        return [tap for part in self.parts for tap in part(images, on_input)]


def takes_one_size(features: Features) -> bool:
    """Whether they look at images of one size only."""
    parts = features.parts if isinstance(features, SummedFeatures) else [features]
    return any(isinstance(part, DiscriminatorFeatures) for part in parts)


class RandomFeatures(nn.Module):
    """3×3 convolutions with He-initialised weights, ReLU and average pooling; frozen.

    Random filters keep the geometry of what they see well enough for a distance (Ulyanov et al., "Deep image prior";
    Saxe et al., "On random weights and unsupervised feature learning"). Filters of the first layer have zero mean, as
    trained ones nearly do, so that it sees edges and colour contrasts rather than brightness. The weights come from
    numpy's PCG64, so a seed means the same trunk on every machine and under every version of torch.

    Args:
        widths: channels of each stage; each stage but the first starts by halving the resolution.
        seed: which trunk.
    """

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 64), seed: int = 0) -> None:
        super().__init__()
        rng = np.random.Generator(np.random.PCG64(seed))
        layers = []
        inputs = 3
        for width in widths:
            filters = rng.standard_normal((width, inputs, 3, 3)) * np.sqrt(2.0 / (inputs * 9))
            if inputs == 3:
                filters -= filters.mean(axis=(1, 2, 3), keepdims=True)
            layers.append(nn.Parameter(torch.from_numpy(filters.astype(np.float32)), requires_grad=False))
            inputs = width
        self.filters = nn.ParameterList(layers)

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """Images [B, 3, H, W] in [0, 1] → one tap per stage, [B, width, H / 2^i, W / 2^i]."""
        taps = []
        features = images * 2.0 - 1.0
        for stage, filters in enumerate(self.filters):
            if stage and min(features.shape[2:]) > 1:
                features = functional.avg_pool2d(features, 2)
            padded = functional.pad(on_input(features), (1, 1, 1, 1), mode="replicate")
            features = functional.conv2d(padded, filters).relu()
            taps.append(features)
        return taps
