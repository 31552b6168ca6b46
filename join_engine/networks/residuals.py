# SPDX-License-Identifier: GPL-3.0-or-later
"""Residual features: what a generator's features at some resolutions get beside what its codes make of them.

Δf of SAM (Parmar et al. 2022), here behind a soft mask as SAMM has it: features + mask · Δf, between a block's last
convolution and its RGB output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from .stylegan2 import Generator, generate


@dataclass(frozen=True)
class Residual:
    """At one resolution r.

    Attributes:
        delta: Δf, [B, C, r, r].
        mask: [B, 1, r, r] in [0, 1]: how much of it counts; 0 leaves the features what the codes make of them.
    """

    delta: Tensor
    mask: Tensor

    @property
    def added(self) -> Tensor:
        """mask · Δf, [B, C, r, r]."""
        return self.mask * self.delta

    def __call__(self, features: Tensor) -> Tensor:
        """Features [B, C, r, r] with the residual."""
        return features + self.added.to(features.dtype)

    def __getitem__(self, items: Tensor | slice) -> Residual:
        """Of some items of the batch."""
        return Residual(self.delta[items], self.mask[items])

    @staticmethod
    def joined(parts: Sequence[Residual]) -> Residual:
        """Of the items of all parts, in their order."""
        return Residual(torch.cat([part.delta for part in parts]), torch.cat([part.mask for part in parts]))


# By resolution.
Residuals = Mapping[int, Residual]


def moved(generator: Generator, before: Tensor, after: Tensor, residuals: Residuals) -> Tensor:
    """G of codes that were moved, with the residuals of the codes before: features ← features · (1 − m) + F · m.

    F are the features of before with all of Δf: where a mask is 1 they stay, however the codes move (SAM's rule for
    edits); where it is 0 they follow. With ``after`` the same as ``before`` this is what the residuals alone make.

    Args:
        before, after: codes [B, 1 or num_ws, w_dim].

    Returns:
        [B, 3, R, R] in the generator's range.
    """
    kept: dict[int, Tensor] = {}

    def keep(resolution: int, residual: Residual, features: Tensor) -> Tensor:
        kept[resolution] = features + residual.delta
        return residual(features)

    def blend(resolution: int, residual: Residual, features: Tensor) -> Tensor:
        return features.lerp(kept[resolution], residual.mask)

    generate(generator, before, hooks={r: partial(keep, r, residual) for r, residual in residuals.items()})
    return generate(generator, after, hooks={r: partial(blend, r, residual) for r, residual in residuals.items()})


def aligned(features: Tensor, flow: Tensor) -> Tensor:
    """Features [B, C, r, r], each place taken from where the flow points, as SAMM (Yang et al. 2022) aligns them.
    ``flow``: [B, 2, r, r], to the right and downwards, in halves of the side: 2 / r is a place. Beyond the border the
    border's features stay."""
    side = features.shape[-1]
    middles = (torch.arange(side, device=flow.device, dtype=flow.dtype) * 2 + 1) / side - 1.0
    grid = torch.stack([middles.expand(side, side), middles[:, None].expand(side, side)], dim=-1)
    places = grid + flow.permute(0, 2, 3, 1)
    return functional.grid_sample(
        features, places.to(features.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )


def smoothed(flow: Tensor) -> Tensor:
    """SAMM's blur of a flow [B, 2, r, r] by [1, 3, 3, 1], symmetric here: [1, 2, 1] / 4 in both directions."""
    kernel = flow.new_tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel / 16.0).expand(2, 1, 3, 3)
    return functional.conv2d(functional.pad(flow, (1, 1, 1, 1), mode="replicate"), kernel, groups=2)
