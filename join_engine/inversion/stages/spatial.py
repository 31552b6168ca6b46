# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion of codes and residual features: JoIN's Eq. 4 over W+ and the feature spaces of SAM."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...networks.residuals import Residual, Residuals
from ..stage import register
from ..state import InversionState
from .joint import Joint, Point
from .seeing_start import seen_all_ways


@register
@dataclass(frozen=True)
class Spatial(Joint):
    """Joint optimisation of all codes and residual features, from where the seeing encoder sees them, or from Δf = 0
    in the segments that :class:`join_engine.inversion.stages.spaces.Spaces` has chosen.

    Args:
        delta_rate: how fast Δf moves, in parts of ``learning_rate``; the masks stay as they are.
        delta_weight: of the mean square of what the features of a component get more or less than at the start, summed
            over the resolutions and components. From Δf = 0 on it is Σ‖Δf‖² of SAM's Eq. 3.7, as a mean in each space.
    The guide keeps the components near what the seeing encoder (without one, each encoder) sees, whichever way up, on
    average. All other settings
    are those of the joint inversion, of which ``space`` "w+" and "whitened" make sense.
    """

    kind: ClassVar[str] = "spatial"
    words: ClassVar[str] = "Optimising"
    delta_rate: float = 0.2
    delta_weight: float = 0.05

    def _variables(self, state: InversionState) -> tuple[list[Tensor], Callable[[], Point]]:
        codes, code_point = super()._variables(state)
        # Δf / delta_rate is what Adam moves, whose steps have the same length for all that it moves.
        moved = {
            name: {side: (one.delta.detach() / self.delta_rate).requires_grad_() for side, one in residuals.items()}
            for name, residuals in state.residuals.items()
        }
        masks = {name: {side: one.mask for side, one in each.items()} for name, each in state.residuals.items()}

        def point() -> Point:
            residuals: dict[str, Residuals] = {
                name: {side: Residual(d * self.delta_rate, masks[name][side]) for side, d in deltas.items()}
                for name, deltas in moved.items()
            }
            return Point(code_point().codes, residuals)

        return codes + [delta for deltas in moved.values() for delta in deltas.values()], point

    def _seen(self, state: InversionState) -> dict[str, Tensor] | None:
        if state.bank.seeing is None:
            return super()._seen(state)
        return seen_all_ways(state.bank, state.target)

    def _kept(self, state: InversionState) -> Callable[[Point], Tensor]:
        start = {
            name: {side: one.added.detach() for side, one in residuals.items()}
            for name, residuals in state.residuals.items()
        }

        def cost(point: Point) -> Tensor:
            total = torch.zeros_like(state.loss)
            for name, each in point.residuals.items():
                for side, one in each.items():
                    total = total + (one.added - start[name][side]).square().mean(dim=(1, 2, 3))
            return self.delta_weight * total

        return cost
