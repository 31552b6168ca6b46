# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a whole decomposition is, told from the progress of its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inversion.presets import Preset
    from ..inversion.progress import Progress


class Course:
    """How far a whole preset is, from the progress of its stages, which know only of themselves."""

    def __init__(self, preset: Preset) -> None:
        self._kinds = [stage.kind for stage in preset.stages]
        self._weights = [stage.cost for stage in preset.stages]
        self._now = 0
        self._last_step = 0

    def update(self, progress: Progress) -> tuple[float, float]:
        """The part done of the whole, 0 to 1, and the seconds left of all of it."""
        if progress.step < self._last_step or progress.stage != self._kinds[self._now]:
            later = range(self._now + 1, len(self._kinds))
            self._now = next((index for index in later if self._kinds[index] == progress.stage), self._now)
        self._last_step = progress.step
        of = max(progress.of, 1)
        here, after = self._weights[self._now], sum(self._weights[self._now + 1 :])
        done = sum(self._weights[: self._now]) + here * progress.step / of
        remaining = here * (of - progress.step) / of
        pace = progress.seconds_left / remaining if remaining > 0 else self._pace
        self._pace = pace
        return done / max(done + remaining + after, 1e-9), progress.seconds_left + pace * after

    _pace = 0.0
    """Seconds per unit of work, as last seen."""
