# SPDX-License-Identifier: GPL-3.0-or-later
"""The seeing encoder: a photo → codes in W+ and residual features of all of a bank's generators at once.

One network for each bank: a backbone that all components share, and for each component a head that tells one code for
each layer of its generator, and heads that tell, at some resolutions, Δf and the soft mask that it counts behind (the
encoder setting of SAM, the masks of SAMM). It knows what its generators make only by its training through them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..json_data import Described
from .limits import DEEPEST, LARGEST_SIDE, LONGEST_CODE, WIDEST, check_size
from .residuals import Residual
from .stylegan2 import GeneratorConfig
from .unet import Backbone, check_backbone

SPACES = (8, 16, 32, 64)
_CODE_WIDTH = 48  # channels of the coarsest features that the codes are told of


@dataclass(frozen=True)
class SeeingConfig(Described):
    """Architecture of a seeing encoder.

    Attributes:
        components: whose generators it tells of.
        channels: of each component, its generator's channels at each of ``spaces``.
        resolution: side of the generators' pictures, and of the photos that it looks at.
        w_dim, num_ws: of all generators.
        spaces: resolutions at which it tells residual features; none for codes alone.
        masks: tells soft masks; without them Δf counts everywhere.
        widths: of the backbone, at 1, 1/2, 1/4 … of the resolution, each a multiple of 8.
    """

    components: tuple[str, ...]
    channels: tuple[tuple[int, ...], ...]
    resolution: int = 64
    w_dim: int = 128
    num_ws: int = 10
    spaces: tuple[int, ...] = SPACES
    masks: bool = True
    widths: tuple[int, ...] = (24, 48, 96, 160, 192)

    def __post_init__(self) -> None:
        check_backbone(self.widths, self.resolution, LARGEST_SIDE)
        check_size("w_dim", self.w_dim, LONGEST_CODE)
        check_size("num_ws", self.num_ws, 2 * DEEPEST)
        if not 1 <= len(self.components) <= DEEPEST or len(set(self.components)) != len(self.components):
            raise ValueError(f"it needs components, each once, not {self.components}")
        if len(set(self.spaces)) != len(self.spaces) or not set(self.spaces) <= set(self.levels):
            raise ValueError(f"features can be told at {', '.join(map(str, self.levels))}, not at {self.spaces}")
        if len(self.channels) != len(self.components):
            raise ValueError("channels must be told of every component")
        for channels in self.channels:
            if len(channels) != len(self.spaces):
                raise ValueError("channels must be told of every space")
            for channel in channels:
                check_size("channels", channel, WIDEST)

    @property
    def levels(self) -> tuple[int, ...]:
        """Resolutions of the backbone's features, fine to coarse."""
        return tuple(self.resolution >> index for index in range(len(self.widths)))

    @classmethod
    def of(cls, generators: Mapping[str, GeneratorConfig], **changes: Any) -> SeeingConfig:
        """For the generators of a bank. Raises ValueError for generators of several sizes, and for impossible
        changes."""
        first = next(iter(generators.values()))
        spaces = tuple(changes.pop("spaces", [side for side in SPACES if side <= first.resolution]))
        channels = tuple(tuple(config.width(side) for side in spaces) for config in generators.values())
        config = cls(tuple(generators), channels, first.resolution, first.w_dim, first.num_ws, spaces, **changes)
        config.check_fits(generators)
        return config

    def check_fits(self, generators: Mapping[str, GeneratorConfig]) -> None:
        """Raises ValueError where it tells of other generators than these."""
        if set(generators) != set(self.components):
            raise ValueError(f"the seeing encoder tells of {', '.join(self.components)}")
        for name, channels in zip(self.components, self.channels, strict=True):
            config = generators[name]
            mine = (self.resolution, self.w_dim, self.num_ws, channels)
            if mine != (config.resolution, config.w_dim, config.num_ws, tuple(map(config.width, self.spaces))):
                raise ValueError(f"the seeing encoder does not fit the generator of {name!r}")


class Sight(NamedTuple):
    """What it sees of one component.

    Attributes:
        offsets: of the codes from the generator's mean code, [B, num_ws, w_dim].
        residuals: by resolution.
    """

    offsets: Tensor
    residuals: dict[int, Residual]


class Seeing(Backbone):
    """See the module. Before its training it sees mean codes without residuals."""

    def __init__(self, config: SeeingConfig) -> None:
        super().__init__(config.widths)
        self.config = config
        count, coarsest = len(config.components), config.levels[-1]
        self.narrow = nn.Conv2d(config.widths[-1], _CODE_WIDTH, 1)
        self.codes = nn.Linear(_CODE_WIDTH * coarsest**2, count * config.num_ws * config.w_dim)
        said = [sum(channels) for channels in zip(*config.channels, strict=True)]
        seen = [config.widths[config.levels.index(side)] for side in config.spaces]
        self.deltas, self.masks = nn.ModuleDict(), nn.ModuleDict()
        for side, width, channels in zip(config.spaces, seen, said, strict=True):
            self.deltas[str(side)] = nn.Conv2d(width, channels, 1)
        for side, width in zip(config.spaces if config.masks else (), seen, strict=False):
            self.masks[str(side)] = nn.Conv2d(width, count, 1)
        for head in (self.codes, *self.deltas.values()):
            for parameter in head.parameters():
                nn.init.zeros_(parameter)

    def forward(self, images: Tensor) -> dict[str, Sight]:
        """sRGB-encoded photos [B, 3, R, R] in [0, 1] → by component, in float32."""
        config, features = self.config, self.features(images)
        told = self.codes(functional.silu(self.narrow(functional.silu(features[-1]))).flatten(1)).float()
        codes = told.view(len(images), len(config.components), config.num_ws, config.w_dim).unbind(dim=1)
        residuals: list[dict[int, Residual]] = [{} for _ in config.components]
        for side, channels in zip(config.spaces, zip(*config.channels, strict=True), strict=True):
            seen = functional.silu(features[config.levels.index(side)])
            deltas = self.deltas[str(side)](seen).float().split(channels, dim=1)
            masks = torch.ones_like(deltas[0][:, :1]).expand(-1, len(channels), -1, -1)
            if config.masks:
                masks = self.masks[str(side)](seen).float().sigmoid()
            for index, delta in enumerate(deltas):
                residuals[index][side] = Residual(delta, masks[:, index : index + 1])
        return {
            name: Sight(*found)
            for name, found in zip(config.components, zip(codes, residuals, strict=True), strict=True)
        }
