# SPDX-License-Identifier: GPL-3.0-or-later
"""A start at the mean codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState


@register
@dataclass(frozen=True)
class MeanStart(Stage):
    """Start every component at its mean code w̄ (JoIN, section 7)."""

    kind: ClassVar[str] = "mean_start"
    words: ClassVar[str] = "First guess"

    def run(self, state: InversionState, monitor: Monitor) -> None:
        for name, w in state.latents.items():
            state.latents[name] = state.bank.components[name].w_avg.expand(len(w), 1, -1).clone()
