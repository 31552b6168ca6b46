# SPDX-License-Identifier: GPL-3.0-or-later
"""The invertibility network S of spatially adaptive multilayer inversion (Parmar 2022, section 3.1): a photo → how far
its inversion into each latent space will be off, pixel by pixel, for every generator of a bank.

One backbone, and a head for each space, as in the thesis; here for each component, too: a region may be what one
generator knows and another does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from ..json_data import Described
from .limits import DEEPEST, LARGEST_SIDE, check_sizes
from .stylegan2 import GeneratorConfig
from .unet import Backbone, check_backbone

_SMALLEST = 8


@dataclass(frozen=True)
class InvertibilityConfig(Described):
    """Architecture of an invertibility network.

    Attributes:
        components: whose generators it tells of.
        resolution: side of the photos and maps.
        spaces: resolutions of the feature spaces beside W+, from the most editable one on: small to large.
        widths: of the backbone, at 1, 1/2, 1/4 … of the resolution, each a multiple of 8.
    """

    components: tuple[str, ...]
    resolution: int = 64
    spaces: tuple[int, ...] = (8, 16, 32)
    widths: tuple[int, ...] = (16, 32, 48, 64)

    def __post_init__(self) -> None:
        check_backbone(self.widths, self.resolution, LARGEST_SIDE)
        check_sizes("spaces", self.spaces, self.resolution)
        if not 1 <= len(self.components) <= DEEPEST or len(set(self.components)) != len(self.components):
            raise ValueError(f"it needs components, each once, not {self.components}")
        if list(self.spaces) != sorted(set(self.spaces)):
            raise ValueError(f"spaces must grow, not be {self.spaces}")

    @classmethod
    def of(cls, generators: Mapping[str, GeneratorConfig], **changes: Any) -> InvertibilityConfig:
        """For the generators of a bank: of all feature spaces from 8² to half of the picture. Raises ValueError for
        impossible changes."""
        resolution = next(iter(generators.values())).resolution
        sides = [side for side in (_SMALLEST << power for power in range(16)) if side < resolution]
        config = cls(**{"components": tuple(generators), "resolution": resolution, "spaces": tuple(sides), **changes})
        config.check_fits(generators)
        return config

    def check_fits(self, generators: Mapping[str, GeneratorConfig]) -> None:
        """Raises ValueError where it tells of other generators than these."""
        if set(generators) != set(self.components):
            raise ValueError(f"the invertibility network tells of {', '.join(self.components)}")
        for name, config in generators.items():
            if config.resolution != self.resolution or not set(self.spaces) <= set(config.block_resolutions):
                raise ValueError(f"the invertibility network does not fit the generator of {name!r}")


class Invertibility(Backbone):
    """See the module."""

    def __init__(self, config: InvertibilityConfig) -> None:
        super().__init__(config.widths)
        self.config = config
        self.heads = nn.Conv2d(config.widths[0], len(config.components) * (1 + len(config.spaces)), 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """sRGB-encoded photos [B, 3, R, R] in [0, 1] → by component, errors of W+ and then of each of the spaces,
        [B, 1 + spaces, R, R], not negative."""
        told = functional.softplus(self.heads(functional.silu(self.features(images)[0])).float())
        return dict(zip(self.config.components, told.chunk(len(self.config.components), dim=1), strict=True))
