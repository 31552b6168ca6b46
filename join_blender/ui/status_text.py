# SPDX-License-Identifier: GPL-3.0-or-later
"""What a decomposition is doing, in words for the sidebar."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.decomposition import Session, Stage
from ..engine.job import Job, Phase

_STAGES = {
    "": "Working",
    "pool_start": "First guess",
    "encoder_start": "First guess",
    "joint": "Optimising",
    "tuning": "Refining",
}


def describe(session: Session) -> str:
    """What a session is doing, in a few words."""
    if session.stage is Stage.QUEUED:
        return "Waiting"
    if session.stage is Stage.PREPARING:
        return "Reading the image"
    if session.stage is Stage.WORKING and session.job is not None:
        return _describe_job(session.job)
    return "Writing the layers"


def describe_end(session: Session, layers: Sequence[str]) -> str:
    """How a session ended, in one sentence."""
    if session.stage is Stage.CANCELLED:
        return f"{session.name}: cancelled, nothing was changed"
    early = " (stopped early)" if session.stopped_early else ""
    if session.output is not None:
        return f"{session.name}: layers in {session.output}{early}"
    return f"New layers{early}: {', '.join(layers)}"


def time_left(session: Session) -> str:
    """How long it will take, or nothing where that is not known."""
    job = session.job
    if session.stage is not Stage.WORKING or job is None or job.progress is None or job.progress.seconds_left is None:
        return ""
    return f"About {in_words(job.progress.seconds_left)} left"


def fraction(session: Session) -> float:
    """How far it is, 0 to 1."""
    if session.stage is Stage.READING:
        return 1.0
    return session.job.progress.fraction if session.job is not None and session.job.progress is not None else 0.0


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"  # finer would only flicker
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _describe_job(job: Job) -> str:
    if job.phase is Phase.WAITING:
        return "Starting the engine"
    if job.phase is Phase.STOPPING:
        return "Stopping"
    if job.done:
        return "Writing the layers"
    if job.progress is None:
        return "Loading the bank"
    stage = _STAGES.get(job.progress.stage, job.progress.stage.replace("_", " ").capitalize())
    return f"{stage} {job.progress.step}/{job.progress.of}"
