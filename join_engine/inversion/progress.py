# SPDX-License-Identifier: GPL-3.0-or-later
"""How the stages of an inversion tell of themselves, and how they are stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import Discarded


@dataclass(frozen=True)
class Progress:
    """Step ``step`` of ``of`` in ``stage``, the mean loss where there is one, and the seconds left in the stage."""

    stage: str
    step: int
    of: int
    loss: float | None
    seconds_left: float


class Clock:
    """Estimates the time left from the steps done, the first of which prepares much and is slow."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._start = time.perf_counter()
        self._counted = 0  # of the steps done, those before the start

    def left(self, done: int) -> float:
        """Seconds, after ``done`` steps."""
        now = time.perf_counter()
        pace = (now - self._start) / (done - self._counted)
        if done == 1:
            self._start, self._counted = now, 1
        return pace * (self._steps - done)


@dataclass(frozen=True)
class Monitor:
    """What a stage reports to and asks; the default is silent and never cancels.

    Args:
        on_progress: called after every step.
        cancelled: asked before every step, and before every look at the photo; True ends the stage with the best codes
            so far.
        preview_every: call ``on_preview`` at each so many steps; 0 never.
        on_preview: gets the step and the generators' outputs, each [B, 3, R, R] in the generator's range.
        on_finish: called after the last stage, before the layers are made at the image's own size.
        discarded: asked after the last stage; True where nobody wants even the best so far.
    """

    on_progress: Callable[[Progress], None] = lambda progress: None
    cancelled: Callable[[], bool] = lambda: False
    preview_every: int = 0
    on_preview: Callable[[int, Mapping[str, Tensor]], None] = lambda step, outputs: None
    on_finish: Callable[[], None] = lambda: None
    discarded: Callable[[], bool] = lambda: False

    def go_on(self) -> bool:
        """Whether to make the layers any better, after the last stage. Raises Discarded."""
        if self.discarded():
            raise Discarded
        return not self.cancelled()
