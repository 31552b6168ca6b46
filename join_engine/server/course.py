# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a whole decomposition is, told from the progress of its stages and from the size of the image."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inversion.presets import Preset
    from ..inversion.progress import Progress


FINISH, WRITE, FILES, TOGETHER = 1.2, 0.15, 0.6, 0.8
"""Seconds for each megapixel, see :class:`Paces`."""
_SMALLEST = 0.25
"""Megapixels below which the time after the stages says little about that of a larger image."""


class Paces:
    """Seconds for each megapixel that what follows the stages takes: "finish" makes the layers at the image's own size,
    "write" writes them for the client, "files" for other programs, "together" puts those of several photos together.
    Measured on one core, and then on what is done."""

    def __init__(self) -> None:
        self._seconds = {"finish": FINISH, "write": WRITE, "files": FILES, "together": TOGETHER}

    def expected(self, what: str, pixels: int) -> float:
        """Seconds for an image."""
        return self._seconds[what] * pixels / 1e6

    def learn(self, what: str, pixels: int, seconds: float) -> None:
        """What it took."""
        if pixels >= _SMALLEST * 1e6:
            self._seconds[what] = seconds / pixels * 1e6


class Tail:
    """What a job does after its stages: the words for it, and when it should be done. ``words``: what a person reads.
    ``seconds``: that it should take, and all that comes after it."""

    def __init__(self, words: str, seconds: float) -> None:
        self.words = words
        self._begun = time.monotonic()
        self._seconds = seconds

    def left(self) -> float | None:
        """Seconds until the end; None where that should have come already, and nobody knows."""
        left = self._begun + self._seconds - time.monotonic()
        return left if left > 0.0 else None


class Course:
    """How far a whole job is, from the progress of its preset's stages, which know only of themselves. ``preset``:
    whose stages. ``after``: seconds that all that follows them should take."""

    def __init__(self, preset: Preset, after: float = 0.0) -> None:
        self._after = after
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
        left = remaining + after + (self._after / pace if pace > 0.0 else 0.0)
        return done / max(done + left, 1e-9), progress.seconds_left + pace * after + self._after

    _pace = 0.0
    """Seconds per unit of work, as last seen."""
