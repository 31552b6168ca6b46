# SPDX-License-Identifier: GPL-3.0-or-later
"""The pSp encoder (Richardson et al. 2021, arXiv:2008.00951), sized for small banks: image → latent codes.

As published: a residual backbone with squeeze-and-excitation, its features of three scales tied together by a feature
pyramid, and small "map2style" blocks that shrink a level of the pyramid to one code. The codes are offsets from the
generator's mean code. Smaller than published: IR-SE50 alone would take a second per image on two cores; widths and
depths are settings here. Written from the paper.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ..json_data import Described
from .convolutions import EqualizedLinear
from .limits import DEEPEST, LARGEST_SIDE, LONGEST_CODE, WIDEST, check_size, check_sizes

SPACES = ("w", "w+")
# In W+, the published split: codes 0 to 2 from the coarsest level, 3 to 6 from the middle one, the rest from the
# finest.
_COARSE, _MIDDLE = 3, 7
_LEVELS = 3


@dataclass(frozen=True)
class EncoderConfig(Described):
    """Architecture of an encoder.

    Attributes:
        resolution: side of the square input, a power of two, at least 16.
        w_dim: size of a code.
        num_ws: codes that the generator takes.
        space: "w" for one code (JoIN optimises in W), "w+" for one per layer.
        widths: channels of the backbone at 1/2, 1/4, 1/8 and 1/16 of the resolution.
        depths: residual blocks at each of these.
        pyramid: channels of the feature pyramid and of the map2style blocks.
    """

    resolution: int
    w_dim: int
    num_ws: int
    space: str = "w"
    widths: tuple[int, ...] = (24, 48, 96, 128)
    depths: tuple[int, ...] = (1, 2, 2, 1)
    pyramid: int = 96

    def __post_init__(self) -> None:
        check_size("resolution", self.resolution, LARGEST_SIDE)
        check_size("w_dim", self.w_dim, LONGEST_CODE)
        check_size("num_ws", self.num_ws, DEEPEST)
        check_size("pyramid", self.pyramid, WIDEST)
        check_sizes("widths", self.widths, WIDEST)
        check_sizes("depths", self.depths, DEEPEST)
        if self.resolution < 16 or self.resolution & (self.resolution - 1):
            raise ValueError(f"an encoder's resolution must be a power of two from 16 on, not {self.resolution}")
        if len(self.widths) != _LEVELS + 1 or len(self.depths) != _LEVELS + 1:
            raise ValueError(f"an encoder has {_LEVELS + 1} widths and depths")
        if self.space not in SPACES:
            raise ValueError(f"an encoder's space must be one of {', '.join(SPACES)}, not {self.space!r}")

    @property
    def levels(self) -> tuple[int, ...]:
        """Which level of the pyramid (0 the coarsest) each map2style block reads."""
        if self.space == "w":
            return tuple(range(_LEVELS))  # one block per level, averaged to one code
        return tuple(0 if layer < _COARSE else 1 if layer < _MIDDLE else 2 for layer in range(self.num_ws))


class SqueezeExcitation(nn.Module):
    """Channels weighted by what the whole image shows (Hu et al. 2018), reduced by 16 in between as in IR-SE50."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(4, channels // 16)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, features: Tensor) -> Tensor:
        weights = self.excite(self.squeeze(features.mean(dim=(2, 3))).relu()).sigmoid()
        return features * weights[:, :, None, None]


class ResidualBlock(nn.Module):
    """The "improved residual" unit of ArcFace with squeeze-and-excitation: [B, in, H, W] → [B, out, H/s, W/s]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm0 = nn.BatchNorm2d(inputs)
        self.conv0 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.slope = nn.PReLU(outputs)
        self.conv1 = nn.Conv2d(outputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.weigh = SqueezeExcitation(outputs)
        self.stride = stride
        self.skip = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        shortcut = self.skip(functional.avg_pool2d(features, self.stride) if self.stride > 1 else features)
        inner = self.conv1(self.slope(self.conv0(self.norm0(features))))
        return shortcut + self.weigh(self.norm1(inner))


class Map2Style(nn.Module):
    """A level of the pyramid, [B, channels, size, size], → one code [B, w_dim]: halved until one pixel is left."""

    def __init__(self, channels: int, w_dim: int, size: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1) for _ in range(int(math.log2(size)))
        )
        self.linear = EqualizedLinear(channels, w_dim)

    def forward(self, features: Tensor) -> Tensor:
        for convolution in self.convolutions:
            features = functional.leaky_relu(convolution(features), 0.01)
        return self.linear(features.flatten(1))


class Encoder(nn.Module):
    """sRGB-encoded image → codes, as offsets from a mean code."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        widths, pyramid = config.widths, config.pyramid
        # The first convolution halves the image at once: its full resolution would cost more than all the rest.
        self.stem = nn.Conv2d(3, widths[0], 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.stem_slope = nn.PReLU(widths[0])
        inputs = widths[0]
        for stage, (width, depth) in enumerate(zip(widths, config.depths, strict=True)):
            strides = [2 if stage else 1] + [1] * (depth - 1)
            blocks = []
            for stride in strides:
                blocks.append(ResidualBlock(inputs, width, stride))
                inputs = width
            self.add_module(f"stage{stage}", nn.Sequential(*blocks))
        self.laterals = nn.ModuleList(nn.Conv2d(width, pyramid, 1) for width in reversed(widths[1:]))
        sizes = [config.resolution // 16 * 2**level for level in range(_LEVELS)]
        self.styles = nn.ModuleList(Map2Style(pyramid, config.w_dim, sizes[level]) for level in config.levels)
        # Zero offsets at the start: training sets out from the mean code.
        for style in self.styles:
            assert isinstance(style, Map2Style)
            nn.init.zeros_(style.linear.weight)

    def forward(self, images: Tensor) -> Tensor:
        """sRGB-encoded [B, 3, R, R] in [0, 1] → offsets from the mean code, [B, 1, w_dim] or [B, num_ws, w_dim].

        Raises:
            ValueError: images of another size than the encoder's.
        """
        found = self.features(images)
        levels: list[Tensor] = []  # coarsest first
        for lateral, tap in zip(self.laterals, reversed(found[1:]), strict=True):
            level = lateral(tap)
            if levels:
                level = level + functional.interpolate(levels[-1], scale_factor=2, mode="bilinear", align_corners=False)
            levels.append(level)
        codes = [style(levels[level]) for style, level in zip(self.styles, self.config.levels, strict=True)]
        stacked = torch.stack(codes, dim=1)  # [B, blocks, w_dim]
        return stacked.mean(dim=1, keepdim=True) if self.config.space == "w" else stacked

    def features(self, images: Tensor) -> list[Tensor]:
        """sRGB-encoded [B, 3, R, R] in [0, 1] → what the backbone makes of them at 1/2, 1/4, 1/8 and 1/16 of the
        resolution, [B, width, r, r] each. Raises ValueError as :meth:`forward`."""
        side = self.config.resolution
        if images.dim() != 4 or images.shape[1:] != (3, side, side):
            raise ValueError(f"images must be [B, 3, {side}, {side}], not {list(images.shape)}")
        features = self.stem_slope(self.stem_norm(self.stem(images * 2.0 - 1.0)))
        found: list[Tensor] = []
        for stage in range(_LEVELS + 1):
            features = self.get_submodule(f"stage{stage}")(features)
            found.append(features)
        return found
