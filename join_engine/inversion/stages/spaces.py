# SPDX-License-Identifier: GPL-3.0-or-later
"""Which latent space each segment of a picture is inverted in (SAM: Parmar 2022, sections 3.1 and 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank
from ...errors import JoinError
from ...face_crop import FACE_OVAL
from ...images.superpixels import segment_means, superpixels
from ...networks.residuals import Residual
from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState


@register
@dataclass(frozen=True)
class Spaces(Stage):
    """Give every component residual features Δf = 0 at several resolutions, each behind a binary mask of the segments
    that are to be inverted there; what no mask has is inverted in W+.

    The bank's invertibility network tells how far off each space will be; of every segment the mean counts, and it gets
    the most editable space whose mean is at most τ, the last one where none is. Each component has masks of its own.

    Args:
        threshold: τ; None takes what the network's training suggests.
        segments: how many superpixels there are before those of like colour are put together; 0 takes each pixel by
            itself, without refinement.
        only: invert everything in the features of this resolution instead, for which no network is needed; 0 for the
            network's choice.
        face: of ``only``, spare the face, which stays in W+: the map is then one of classes, the bank's subject and
            everything else, as in the thesis's section 4.6, but by where FFHQ's crop puts a face.
    """

    kind: ClassVar[str] = "spaces"
    words: ClassVar[str] = "Choosing latent spaces"
    threshold: float | None = None
    segments: int = 24
    only: int = 0
    face: bool = False

    def lacks(self, bank: Bank) -> str:
        if self.face and not bank.header.faces:
            return "the bank has no faces"
        if self.only:
            known = all(self.only in part.generator.config.block_resolutions for part in bank.components.values())
            return "" if known else f"the bank has no features at {self.only} pixels"
        return "the bank has no invertibility network" if bank.invertibility is None else ""

    @torch.no_grad()
    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Raises JoinError ``invertibility_missing``."""
        lacking = self.lacks(state.bank)
        if lacking:
            message = f"For this preset {lacking}."
            raise JoinError("invertibility_missing", message, "Choose another preset, or train one for the bank.")
        for name, masks in self.masks(state.bank, state.target).items():
            config = state.bank.components[name].generator.config
            state.residuals[name] = {
                side: Residual(mask.new_zeros(len(mask), config.width(side), side, side), mask)
                for side, mask in masks.items()
            }

    def masks(self, bank: Bank, target: Tensor) -> dict[str, dict[int, Tensor]]:
        """m_l by component and resolution, [B, 1, r, r]: binary, but for the borders that the reduction makes soft.
        ``target``: sRGB-encoded [B, 3, R, R]."""
        if self.only:
            mask = target.new_ones(len(target), 1, self.only, self.only)
            if self.face:
                mask = _reduced(1.0 - _oval(target), self.only)
            return {name: {self.only: mask} for name in bank.forward_model.components}
        assert bank.invertibility is not None
        spaces = bank.invertibility.config.spaces
        return {
            name: {
                side: _reduced((chosen == index)[:, None].to(target), side)
                for index, side in enumerate(spaces, start=1)
            }
            for name, chosen in self.chosen(bank, target).items()
        }

    @torch.no_grad()
    def chosen(self, bank: Bank, target: Tensor) -> dict[str, Tensor]:
        """The invertibility map of each component: [B, R, R], 0 for W+, then the number of the space."""
        assert bank.invertibility is not None and bank.header.invertibility is not None
        threshold = self.threshold
        if threshold is None:
            threshold = float(bank.header.invertibility.training.get("scores", {}).get("threshold", 0.0))
        errors = bank.invertibility(target.clamp(0.0, 1.0))
        if self.segments:
            labels = superpixels(target, self.segments)
            errors = {name: segment_means(maps, labels) for name, maps in errors.items()}
        return {name: earliest(maps, threshold) for name, maps in errors.items()}


def earliest(errors: Tensor, threshold: float) -> Tensor:
    """Of errors [B, spaces, R, R] the first space whose error is at most τ, the last one where none is: [B, R, R]."""
    good = errors <= threshold
    good[:, -1] = True
    return good.to(torch.uint8).argmax(dim=1)


def _oval(target: Tensor) -> Tensor:
    """1 where a face is in crops [B, 3, R, R]: [B, 1, R, R]."""
    side, (u, v, across, down) = target.shape[-1], FACE_OVAL
    middles = (torch.arange(side, device=target.device) * 2 + 1) / side - 1.0
    inside = ((middles - u) / across).square() + ((middles[:, None] - v) / down).square() < 1.0
    return inside.to(target).expand(len(target), 1, -1, -1)


def _reduced(mask: Tensor, side: int) -> Tensor:
    """Bilinearly, every pixel counted."""
    return functional.interpolate(mask, (side, side), mode="bilinear", antialias=True).clamp(0.0, 1.0)
