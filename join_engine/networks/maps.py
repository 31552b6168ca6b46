# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that tells, pixel by pixel, how high a material's surface lies, how rough it is and how much it mirrors.

Not in the paper, whose components stop at light. It is a U-Net over the photo beside its shading and its specular
layer: what is light is known then, and how light falls on a relief, where gloss lies on it and what its pattern is tell
of the surface together. It tells heights and no slopes: which way a slope runs a photo hardly tells whose light is not
known, but that joints lie deep and pebbles high it does. At first it says that all is flat.

Of its answers only roughness is made use of (:mod:`join_engine.layers.maps`): height and level are learned with it, and
are no better yet than a flat surface and a constant (docs/choices.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..color import srgb_encode
from ..json_data import Described
from .limits import LARGEST_SIDE
from .split import log_light, luminance
from .unet import Backbone, check_backbone

ROUGHNESS_AT_FIRST, LEVEL_AT_FIRST = 0.57, 0.39
"""Means of renders of *materials* and *surfaces*."""
SEEN = 128
"""Pixels of each side at which a whole picture is looked at."""
_TOLD = 2  # channels beside the photo


@dataclass(frozen=True)
class MapsConfig(Described):
    """Architecture of a network of maps.

    Attributes:
        widths: channels at 1, 1/2, 1/4 … of the size, each a multiple of 8.
    """

    widths: tuple[int, ...] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        check_backbone(self.widths, SEEN, LARGEST_SIDE)


class Maps(Backbone):
    """See the module."""

    def __init__(self, config: MapsConfig) -> None:
        super().__init__(config.widths, _TOLD)
        self.config = config
        self.out = nn.Conv2d(config.widths[0], 3, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, photo: Tensor, shading: Tensor, specular: Tensor) -> Tensor:
        """What it says of photos.

        Args:
            photo: linear [B, 3, H, W], its sides halved evenly as often as there are widths but one.
            shading, specular: of the photo, linear [B, 3, H, W], or [B, 1, H, W] where they are grey.

        Returns:
            [B, 3, H, W]: height in widths of a pixel, but for a constant; roughness and specular level, as of a
            Principled BSDF, in [0, 1].
        """
        light = log_light(_grey(shading))
        told = (light - light.mean(dim=(2, 3), keepdim=True)) / 3.0, srgb_encode(_grey(specular).clamp(0.0, 1.0))
        x = self.out(functional.silu(self.features(srgb_encode(photo.clamp(0.0, 1.0)), *told)[0])).float()
        first = x.new_tensor([ROUGHNESS_AT_FIRST, LEVEL_AT_FIRST])[None, :, None, None].logit()
        return torch.cat([x[:, :1], (x[:, 1:] + first).sigmoid()], dim=1)


def _grey(linear: Tensor) -> Tensor:
    return linear if linear.shape[1] == 1 else luminance(linear)
