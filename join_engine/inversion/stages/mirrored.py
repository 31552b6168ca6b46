# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirror images beside the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..losses.guide import know_mirrored
from ..progress import Monitor
from ..stage import Stage, register
from ..state import InversionState


@register
@dataclass(frozen=True)
class Mirrored(Stage):
    """Go on with each image and with its mirror image, and take the mean of what comes out of both in the end.

    A first stage; see :meth:`join_engine.inversion.state.InversionState.settle`. Does nothing with a bank whose
    encoders were not trained on mirrored samples.
    """

    kind: ClassVar[str] = "mirrored"
    views: ClassVar[int] = 2

    def run(self, state: InversionState, monitor: Monitor) -> None:
        if not know_mirrored(state.bank):
            return
        images = torch.arange(len(state.target), device=state.target.device)
        state.take(images.repeat(2))
        state.target = _half_flipped(state.target)
        state.saturated = None if state.saturated is None else _half_flipped(state.saturated)
        state.region = None if state.region is None else _half_flipped(state.region)
        state.mirrored = True


def _half_flipped(images: Tensor) -> Tensor:
    upright, other = images.chunk(2)
    return torch.cat([upright, other.flip(3)])
