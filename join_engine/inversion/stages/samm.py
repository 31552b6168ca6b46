# SPDX-License-Identifier: GPL-3.0-or-later
"""SAMM (Yang et al., "Out-of-domain GAN inversion via invertibility decomposition"): flow and masks told by the bank's
alignment module, from whatever codes there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...bank import Bank, fingerprint
from ...errors import JoinError
from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState
from .masking import tell_by_residual


@register
@dataclass(frozen=True)
class Samm(Stage):
    """Align what the generators make of the codes, and mask what they cannot make.

    Args:
        masked: False leaves the masks out, to see what the alignment alone does.
        aligned: False leaves the flow out.
        residual: not of SAMM, as in :class:`join_engine.inversion.stages.masking.Masking`; 0 leaves it at α.
    """

    kind: ClassVar[str] = "samm"
    words: ClassVar[str] = "Aligning"
    masked: bool = True
    aligned: bool = True
    residual: float = 0.0

    def lacks(self, bank: Bank) -> str:
        if bank.samm is None:
            return "the bank has no alignment module"
        if not bank.has_encoders:
            return "the bank has no encoders"
        assert bank.header.samm is not None
        own = {name: fingerprint(part.encoder) for name, part in bank.components.items() if part.encoder is not None}
        same = own == dict(bank.header.samm.encoders)
        return "" if same else "the bank's alignment module was trained with other encoders"

    @torch.no_grad()
    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Raises JoinError ``samm_missing``."""
        lacking = self.lacks(state.bank)
        if lacking:
            raise JoinError(
                "samm_missing", f"For this preset {lacking}.", "Choose another preset, or train one for it."
            )
        samm, parts = state.bank.samm, state.bank.components
        assert samm is not None
        encoders = {name: part.encoder for name, part in parts.items() if part.encoder is not None}
        generators = {name: part.generator for name, part in parts.items()}
        seen = samm.seen(state.target.clamp(0.0, 1.0), encoders)
        found = samm(seen, generators, state.latents, hooks=state.residuals)
        state.flows = found.flows if self.aligned else {}
        state.masks = found.masks if self.masked else {}
        if self.residual:
            tell_by_residual(state, self.residual)
