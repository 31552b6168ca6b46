# SPDX-License-Identifier: GPL-3.0-or-later
"""A flow that moves a generator's features, between a block's last convolution and its RGB output.

The spatial alignment of SAMM (Yang et al., "Out-of-domain GAN inversion via invertibility decomposition").
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def aligned(features: Tensor, flow: Tensor) -> Tensor:
    """Features [B, C, r, r], each place taken from where the flow points. ``flow``: [B, 2, r, r], to the right and
    downwards, in halves of the side: 2 / r is a place. Beyond the border the border's features stay."""
    side = features.shape[-1]
    middles = (torch.arange(side, device=flow.device, dtype=flow.dtype) * 2 + 1) / side - 1.0
    grid = torch.stack([middles.expand(side, side), middles[:, None].expand(side, side)], dim=-1)
    places = grid + flow.permute(0, 2, 3, 1)
    return functional.grid_sample(
        features, places.to(features.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
