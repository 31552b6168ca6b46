# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion beside masks of what is foreign to the bank, and with a flow that aligns what it makes: the masks and
the spatial alignment of SAMM (Yang et al., "Out-of-domain GAN inversion via invertibility decomposition"), searched for
instead of told by networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank
from ...networks.residuals import smoothed
from ..progress import Monitor
from ..stage import register
from ..state import InversionState
from .joint import Joint, Point

_LAYERS = 4
_START = 0.9  # of φ
_WINDOW, _ALPHA = 5, 0.2  # pixels over which a residual is averaged; how much α counts beside it
# From which part of the search on the flow of each mask's resolution moves, as SAMM's layers are trained from iteration
# 0, 2,000, 6,000 and 10,000 of 40,000 on.
ENABLED = (0.0, 0.05, 0.15, 0.25)


@register
@dataclass(frozen=True)
class Masking(Joint):
    """Joint optimisation of all codes and of soft masks at an eighth, a quarter, half and all of the resolution:
    put together to α (:func:`join_engine.inversion.state.together`), they say where the image is the target itself
    instead of what the generators make, α · I* + (1 − α) · I.

    Of SAMM these are the masks, the blending, the masks' loss, and, where it has a reach, the flow, one for all
    generators. It has networks tell masks and flows, trained on many pictures with a discriminator's loss.

    Args:
        mask_rate: how fast the masks' logits move, in parts of ``learning_rate``.
        mask_weight: of Σ_i max(0, mean m_i − φ_i).
        coarse_area, fine_area: φ of the two coarser masks and of the two finer ones.
        binary_weight: of Σ_i mean min(m_i, 1 − m_i).
        reach: how far the flow of each resolution takes features at most, in halves of the side (SAMM's code: 0.08); 0
            moves nothing.
        smoothness: weight of the flows' mean squared step from place to place, in units of ``reach``.
        residual: not of SAMM. In the end foreign is where α, which then counts a fifth, and what the generators miss,
            the mean of |I* − I| over 5 × 5 pixels, are together above this; 0 leaves it at α.
    """

    kind: ClassVar[str] = "masking"
    mask_rate: float = 4.0
    mask_weight: float = 5.0
    coarse_area: float = 0.3
    fine_area: float = 0.25
    binary_weight: float = 0.2
    reach: float = 0.0
    smoothness: float = 0.1
    residual: float = 0.0

    def lacks(self, bank: Bank) -> str:
        names = set(bank.forward_model.components)
        suits = names == {"image"} or {"albedo", "shading"} <= names
        return super().lacks(bank) if suits else "the bank has no albedo and shading"

    def run(self, state: InversionState, monitor: Monitor) -> None:
        super().run(state, monitor)
        if self.residual:
            tell_by_residual(state, self.residual)

    def _variables(self, state: InversionState) -> tuple[list[Tensor], Callable[[], Point]]:
        codes, code_point = super()._variables(state)
        side, logits, moves = state.target.shape[-1], dict[int, Tensor](), dict[int, Tensor]()
        known = next(iter(state.bank.components.values())).generator.config.block_resolutions
        for halvings in reversed(range(_LAYERS)):
            area = (self.coarse_area, self.fine_area)[halvings < _LAYERS // 2]
            shape = (len(state.target), 1, side >> halvings, side >> halvings)
            # Below φ, where their loss pulls at no pixel: a push that all pixels get would be remembered by Adam.
            start = math.log(_START * area / (1.0 - _START * area)) / self.mask_rate
            logits[side >> halvings] = state.target.new_full(shape, start).requires_grad_()
            if self.reach and side >> halvings in known:
                moves[side >> halvings] = state.target.new_zeros(shape[0], 2, *shape[2:]).requires_grad_()
        starts = dict(zip(logits, ENABLED, strict=True))
        begun = 0  # points, of which there is one before the first step

        def point() -> Point:
            nonlocal begun
            found = code_point()
            masks = {side: (one * self.mask_rate).sigmoid() for side, one in logits.items()}
            flows = {
                side: self.reach * float(begun >= starts[side] * self.steps) * smoothed(one.tanh())
                for side, one in moves.items()
            }
            begun += 1
            return Point(found.codes, found.residuals, masks, flows)

        return [*codes, *logits.values(), *moves.values()], point

    def _kept(self, state: InversionState) -> Callable[[Point], Tensor]:
        def cost(point: Point) -> Tensor:
            areas = self.coarse_area, self.fine_area
            total = mask_loss(point.masks, max(point.masks), self.mask_weight, areas, self.binary_weight)
            for flow in point.flows.values():
                steps = [(flow / self.reach).diff(dim=dim).square().mean(dim=(1, 2, 3)) for dim in (2, 3)]
                total = total + self.smoothness * (steps[0] + steps[1])
            return total

        return cost

    def _image(self, state: InversionState, outputs: Mapping[str, Tensor], point: Point) -> Tensor:
        return state.render(state.blended(outputs, point.masks))


def mask_loss(
    masks: Mapping[int, Tensor], resolution: int, weight: float, areas: tuple[float, float], binary: float
) -> Tensor:
    """L_mask of SAMM (supplement, section 3.1): weight · max(0, mean m_i − φ_i) + binary · mean min(m_i, 1 − m_i),
    summed over the masks, by resolution [B, 1, r, r] → [B].

    Args:
        resolution: of the picture.
        areas: φ of masks of up to a quarter of it, and of finer ones.
    """
    total = torch.zeros(len(next(iter(masks.values()))), device=next(iter(masks.values())).device)
    for side, soft in masks.items():
        mask = soft.flatten(1)
        total = total + weight * (mask.mean(dim=1) - areas[4 * side > resolution]).clamp_min(0.0)
        total = total + binary * torch.minimum(mask, 1.0 - mask).mean(dim=1)
    return total


def tell_by_residual(state: InversionState, threshold: float) -> None:
    """Let foreign be where :func:`suspicion` is above a threshold."""
    state.masks = {state.target.shape[-1]: (suspicion(state) > threshold).to(state.target)}


@torch.no_grad()
def suspicion(state: InversionState) -> Tensor:
    """How much speaks for a place being foreign to the bank, [B, 1, R, R]: α / 5, and the mean of |I* − I| over the
    colours and the 5 × 5 pixels around it, I being what the generators make without any blending."""
    missed = (state.render(state.synthesize()).clamp(0.0, 1.0) - state.target).abs().mean(dim=1, keepdim=True)
    residual = functional.avg_pool2d(missed, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
    return residual if state.foreign is None else residual + _ALPHA * state.foreign
