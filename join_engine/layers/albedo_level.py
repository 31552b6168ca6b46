# SPDX-License-Identifier: GPL-3.0-or-later
"""How bright an albedo is, as one number, and what a bank's network tells of it.

It is nearly all of the error of a material's layers (docs/choices.md); everything else of them the image tells.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..bank import Bank
from ..images.orientation import known_orientations
from .caution import seen_mean

# Reflectances between charcoal and fresh snow; what lies outside must be light.
DARKEST, BRIGHTEST = 0.02, 1.0


def level_of(albedo: Tensor, visible: Tensor | None = None) -> Tensor:
    """The level of linear albedos [B, 3, H, W]: the mean over pixels and channels of their natural logarithm, [B].

    Values are taken to be at least :data:`DARKEST`, below which logarithms differ more than anybody sees. ``visible``:
    [B, 1, H, W], what counts where it is over a half; None for all.
    """
    levels = albedo.clamp_min(DARKEST).log().mean(dim=1, keepdim=True)
    found = levels.mean(dim=(2, 3), keepdim=True) if visible is None else seen_mean(levels, visible)
    return found.flatten()


@torch.no_grad()
def albedo_levels(bank: Bank, images: Tensor) -> list[float | None]:
    """What the bank's network tells of the level of each image's albedo (:func:`level_of`); None without a network.

    It looks at the images in all the ways that it has known samples, and the mean of its answers counts. ``images``:
    [B, 3, R, R], sRGB-encoded.
    """
    network, header = bank.brightness, bank.header.brightness
    if network is None or header is None:
        return [None] * len(images)
    device = next(network.parameters()).device
    seen = images.to(device, torch.float32).clamp(0.0, 1.0)
    told = torch.stack([network(view.of(seen)) for view in known_orientations(header.training)]).mean(dim=0)
    return list(told.clamp(math.log(DARKEST), math.log(BRIGHTEST)).tolist())
