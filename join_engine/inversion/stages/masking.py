# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion beside masks of what is foreign to the bank: the masks of SAMM (Yang et al., "Out-of-domain GAN
inversion via invertibility decomposition"), searched for instead of told by networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...bank import Bank
from ..stage import register
from ..state import InversionState
from .joint import Joint, Point

_LAYERS = 4
_START = 0.9  # of φ


@register
@dataclass(frozen=True)
class Masking(Joint):
    """Joint optimisation of all codes and of soft masks at an eighth, a quarter, half and all of the resolution:
    put together to α (:func:`join_engine.inversion.state.together`), they say where the image is the target itself
    instead of what the generators make, α · I* + (1 − α) · I.

    Of SAMM these are the masks, the blending and the masks' loss. It has networks tell masks and a flow that moves the
    generator's features, trained on many pictures with a discriminator's loss; neither network nor flow is here.

    Args:
        mask_rate: how fast the masks' logits move, in parts of ``learning_rate``.
        mask_weight: of Σ_i max(0, mean m_i − φ_i).
        coarse_area, fine_area: φ of the two coarser masks and of the two finer ones.
        binary_weight: of Σ_i mean min(m_i, 1 − m_i).
    """

    kind: ClassVar[str] = "masking"
    mask_rate: float = 4.0
    mask_weight: float = 5.0
    coarse_area: float = 0.3
    fine_area: float = 0.25
    binary_weight: float = 0.2

    def lacks(self, bank: Bank) -> str:
        names = set(bank.forward_model.components)
        suits = names == {"image"} or {"albedo", "shading"} <= names
        return super().lacks(bank) if suits else "the bank has no albedo and shading"

    def _variables(self, state: InversionState) -> tuple[list[Tensor], Callable[[], Point]]:
        codes, code_point = super()._variables(state)
        side, logits = state.target.shape[-1], {}
        for halvings, area in zip(reversed(range(_LAYERS)), self._areas, strict=True):
            shape = (len(state.target), 1, side >> halvings, side >> halvings)
            # Below φ, where their loss pulls at no pixel: a push that all pixels get would be remembered by Adam.
            start = math.log(_START * area / (1.0 - _START * area)) / self.mask_rate
            logits[side >> halvings] = state.target.new_full(shape, start).requires_grad_()

        def point() -> Point:
            found = code_point()
            masks = {side: (one * self.mask_rate).sigmoid() for side, one in logits.items()}
            return Point(found.codes, found.residuals, masks)

        return [*codes, *logits.values()], point

    def _kept(self, state: InversionState) -> Callable[[Point], Tensor]:
        return lambda point: self.mask_loss(point.masks)

    @property
    def _areas(self) -> list[float]:
        """φ of each mask, from coarse to fine."""
        return [self.coarse_area] * (_LAYERS // 2) + [self.fine_area] * (_LAYERS - _LAYERS // 2)

    def mask_loss(self, masks: Mapping[int, Tensor]) -> Tensor:
        """L_mask of SAMM (supplement, section 3.1): masks by resolution, [B, 1, r, r] → [B]."""
        total = torch.zeros(len(next(iter(masks.values()))), device=next(iter(masks.values())).device)
        for area, side in zip(self._areas, sorted(masks), strict=True):
            mask = masks[side].flatten(1)
            total = total + self.mask_weight * (mask.mean(dim=1) - area).clamp_min(0.0)
            total = total + self.binary_weight * torch.minimum(mask, 1.0 - mask).mean(dim=1)
        return total

    def _image(self, state: InversionState, outputs: Mapping[str, Tensor], point: Point) -> Tensor:
        return state.render(state.blended(outputs, point.masks))
