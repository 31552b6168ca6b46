# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own perceptual trunk: a small VGG whose features know albedo from shading.

Its weights come from :mod:`join_engine.training.trunk` and travel in the bank file, so that nothing has to be
downloaded. Stages of 3×3 convolutions with ReLU, average pooling between them (as E-LPIPS wants it: max pooling has
jumps in its gradient), one tap per stage.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as functional
from torch import Tensor, nn

from ..json_data import Described
from .features import OnInput, unchanged
from .limits import DEEPEST, WIDEST, check_sizes


@dataclass(frozen=True)
class TrunkConfig(Described):
    """Architecture of a trunk.

    Attributes:
        widths: channels of each stage; each stage but the first works at half the resolution of the one before.
        depths: convolutions of each stage. One is enough at full resolution, where they cost most.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2, 2)

    def __post_init__(self) -> None:
        check_sizes("widths", self.widths, WIDEST)
        check_sizes("depths", self.depths, DEEPEST)
        if len(self.widths) != len(self.depths):
            raise ValueError("widths and depths must be equally many")

    @property
    def smallest_image(self) -> int:
        """Shortest side at which every stage still sees a pixel."""
        return 2 ** (len(self.widths) - 1)


class Trunk(nn.Module):
    """Images → features of several scales; of any size from ``config.smallest_image`` on."""

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        self.config = config
        inputs = 3
        for stage, (width, depth) in enumerate(zip(self.config.widths, self.config.depths, strict=True)):
            convolutions = nn.ModuleList()
            for _ in range(depth):
                convolution = nn.Conv2d(inputs, width, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
                convolutions.append(convolution)
                inputs = width
            self.add_module(f"stage{stage}", convolutions)

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """sRGB-encoded images [B, 3, H, W] in [0, 1] → one tap per stage, [B, width, H / 2^i, W / 2^i].

        ``on_input`` is applied to what every convolution gets to see (E-LPIPS drops some of it out).
        """
        taps: list[Tensor] = []
        features = images * 2.0 - 1.0
        for stage in range(len(self.config.widths)):
            if stage:
                features = functional.avg_pool2d(features, 2)
            convolutions = self.get_submodule(f"stage{stage}")
            assert isinstance(convolutions, nn.ModuleList)
            for convolution in convolutions:
                features = convolution(on_input(features)).relu()
            taps.append(features)
        return taps
