# SPDX-License-Identifier: GPL-3.0-or-later
"""A start where the seeing encoder sees all components at once, with residual features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...bank import Bank
from ...errors import JoinError
from ...images.orientation import Orientation
from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState

# It is trained on samples turned and mirrored in all these ways.
_ORIENTATIONS = tuple(Orientation(flip, turns) for turns in range(4) for flip in (False, True))


@register
@dataclass(frozen=True)
class SeeingStart(Stage):
    """Start all components where the bank's seeing encoder sees them in the image: codes in W+ and residual features.

    Not in the paper, whose encoders know nothing of each other and tell codes alone.
    """

    kind: ClassVar[str] = "seeing_start"
    words: ClassVar[str] = "First guess"

    def lacks(self, bank: Bank) -> str:
        return "the bank has no seeing encoder" if bank.seeing is None else ""

    @torch.no_grad()
    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Raises JoinError ``encoder_missing``."""
        seeing = state.bank.seeing
        if seeing is None:
            message = f"The bank '{state.bank.header.name}' has no seeing encoder."
            raise JoinError("encoder_missing", message, "Choose another preset, or a bank with one.")
        for name, (offsets, residuals) in seeing(state.target.clamp(0.0, 1.0)).items():
            state.latents[name] = state.bank.components[name].w_avg + offsets
            state.residuals[name] = residuals


@torch.no_grad()
def seen_all_ways(bank: Bank, target: Tensor) -> dict[str, Tensor]:
    """What the generators make of what the seeing encoder sees in sRGB-encoded images, whichever way up, on average;
    all [B, 3, R, R], in the generators' range."""
    views = [(orientation, bank.seen(orientation.of(target))) for orientation in _ORIENTATIONS]
    return {
        name: torch.stack([orientation.back(seen[name]) for orientation, seen in views]).mean(dim=0)
        for name in bank.forward_model.components
    }
