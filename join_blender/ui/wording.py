# SPDX-License-Identifier: GPL-3.0-or-later
"""What a running job is doing, in words for the sidebar."""

from __future__ import annotations

from ..core.job import Job, Phase

_STAGES = {"": "Working", "pool_start": "First guess", "joint": "Optimising", "tuning": "Refining"}


def describe(job: Job) -> str:
    """What a job is doing, in a few words."""
    if job.phase is Phase.WAITING:
        return "Starting the engine"
    if job.phase is Phase.STOPPING:
        return "Stopping"
    if job.done:
        return "Writing the layers"
    if job.progress is None:
        return "Loading the bank"
    stage = _STAGES.get(job.progress.stage, job.progress.stage.capitalize())
    return f"{stage} {job.progress.step}/{job.progress.of}"


def time_left(job: Job) -> str:
    """How long it will take, or nothing where that is not known."""
    if job.done or job.progress is None or job.progress.seconds_left is None:
        return ""
    return f"About {_in_words(job.progress.seconds_left)} left"


def _in_words(seconds: float) -> str:
    if seconds < 10:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"  # finer would only flicker
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
