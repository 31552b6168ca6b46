# SPDX-License-Identifier: GPL-3.0-or-later
"""A start where the encoders see the components in the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...bank import Bank
from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState
from .mean_start import MeanStart


@register
@dataclass(frozen=True)
class EncoderStart(Stage):
    """Start every component where its encoder sees it in the image (JoIN, section 4.1).

    Args:
        space: "w" averages the codes of an encoder that tells one per layer, "w+" keeps them.
        required: refuse a bank without encoders; else start such a bank at its mean codes.
    """

    kind: ClassVar[str] = "encoder_start"
    words: ClassVar[str] = "First guess"
    space: str = "w"
    required: bool = True

    def lacks(self, bank: Bank) -> str:
        return "the bank has no encoders" if self.required and not bank.has_encoders else ""

    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Raises JoinError ``encoder_missing`` when the bank lacks one and the settings ask for it."""
        if not self.required and not state.bank.has_encoders:
            MeanStart().run(state, monitor)
            return
        for name in state.latents:
            codes = state.bank.components[name].encode(state.target)  # [B, 1 or num_ws, w_dim]
            state.latents[name] = codes.mean(dim=1, keepdim=True) if self.space == "w" else codes
