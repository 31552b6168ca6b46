# SPDX-License-Identifier: GPL-3.0-or-later
"""A small network that tells from an image how bright its albedo is: one number, which the image hardly tells itself.

Not in the paper. A dim light on white paint and a bright one on grey paint make nearly the same picture; what speaks
for one of them (the colour, how strong a highlight is beside the rest, where the image is cut off at white) a network
that has nothing else to do learns better than the encoders do, and in a fraction of their time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..color import srgb_decode
from ..json_data import Described
from .limits import WIDEST, check_size, check_sizes

_SMALLEST_LIGHT = 0.01  # the logarithm of darker pixels is mostly that of noise


@dataclass(frozen=True)
class BrightnessConfig(Described):
    """Architecture of a brightness network.

    Attributes:
        widths: channels at 1/2, 1/4, … of the resolution; two convolutions at each but the first.
        hidden: units between what is seen and the answer.
        dropout: of these, in training.
    """

    widths: tuple[int, ...] = (24, 48, 96, 192)
    hidden: int = 128
    dropout: float = 0.3

    def __post_init__(self) -> None:
        check_sizes("widths", self.widths, WIDEST)
        check_size("hidden", self.hidden, WIDEST)
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"the dropout must be at least 0 and below 1, not {self.dropout}")

    @property
    def smallest_image(self) -> int:
        """Shortest side at which the last convolutions still see a pixel."""
        return int(2 ** len(self.widths))


class Brightness(nn.Module):
    """Images → the level of their albedo (:func:`join_engine.layers.albedo_level.level_of`)."""

    def __init__(self, config: BrightnessConfig) -> None:
        super().__init__()
        self.config = config
        first, *rest = self.config.widths
        layers: list[nn.Module] = [nn.Conv2d(6, first, 3, stride=2, padding=1), nn.ReLU()]
        before = first
        for width in rest:
            layers += [*_convolution(before, width, 2), *_convolution(width, width, 1)]
            before = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(2 * before, self.config.hidden),
            nn.ReLU(),
            nn.Dropout(self.config.dropout),
            nn.Linear(self.config.hidden, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        """sRGB-encoded images [B, 3, H, W] in [0, 1] → [B], natural logarithms."""
        light = (srgb_decode(images) + _SMALLEST_LIGHT).log() / 3.0
        features = self.body(torch.cat([images * 2.0 - 1.0, light], dim=1))
        return self.head(torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1))[:, 0]  # type: ignore[no-any-return]


def _convolution(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
