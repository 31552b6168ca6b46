# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an inversion begins."""

from __future__ import annotations

from ..presets import MeanStart
from .state import InversionState, Monitor


def mean_start(settings: MeanStart, state: InversionState, monitor: Monitor) -> None:
    """All components at their mean code w̄ (JoIN, section 7)."""
    batch = len(state.target)
    for name in state.latents:
        state.latents[name] = state.bank.components[name].w_avg.expand(batch, 1, -1).clone()
