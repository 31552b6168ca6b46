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

# Reflectances between charcoal and fresh snow; what lies outside must be light.
DARKEST, BRIGHTEST = 0.02, 1.0


def level_of(albedo: Tensor, visible: Tensor | None = None) -> Tensor:
    """The level of linear albedos [B, 3, H, W]: the mean over pixels and channels of their natural logarithm, [B].

    Values are taken to be at least :data:`DARKEST`, below which logarithms differ more than anybody sees. Where
    ``visible``, [B, 1, H, W] booleans, is given, only those pixels count; of an image without any, all.
    """
    logarithm = albedo.clamp_min(DARKEST).log().mean(dim=1, keepdim=True)
    return logarithm.mean(dim=(1, 2, 3)) if visible is None else visible_mean(logarithm, visible)[:, 0, 0, 0]


def visible_mean(values: Tensor, visible: Tensor) -> Tensor:
    """The mean [B, C, 1, 1] of values [B, C, H, W] over the pixels that are ``visible``, [B, 1, H, W] booleans; of an
    image without any, over all."""
    weights = (visible | ~visible.any(dim=(2, 3), keepdim=True)).to(values)
    return (values * weights).sum(dim=(2, 3), keepdim=True) / weights.sum(dim=(2, 3), keepdim=True)


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
