# SPDX-License-Identifier: GPL-3.0-or-later
"""What a decomposition is doing, in words for the sidebar."""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.decomposition import Decomposition
from ..engine.job import State

_WORDS = {
    State.QUEUED: "Waiting",
    State.PREPARING: "Reading the image",
    State.STARTING: "Starting the engine",
    State.RUNNING: "Loading the bank",
    State.STOPPING: "Stopping",
}


def describe(job: Decomposition) -> str:
    """What a job is doing, in a few words."""
    if job.state is State.RUNNING and job.progress is not None:
        steps = f" {job.progress.step}/{job.progress.of}" if job.progress.of > 0 else ""
        return job.progress.words + steps
    return _WORDS.get(job.state, "Writing the layers")


def describe_end(job: Decomposition, layers: Sequence[str]) -> str:
    """How a job ended, in one sentence."""
    if job.state is State.CANCELLED:
        return f"{job.name}: cancelled, nothing was changed"
    early = " (stopped early)" if job.stopped_early else ""
    if job.output is not None:
        told = job.result or {}
        if told.get("skipped"):
            return f"{job.name}: finished already, in {job.output}"
        instead = ", in place of earlier ones" if told.get("replaced") else ""
        return f"{job.name}: layers in {job.output}{early}{instead}{_notes(job)}"
    if job.is_together:
        return f"New layers{early} of {len(job.photos)} photos with one albedo{_notes(job)}"
    return f"New layers{early}: {', '.join(layers)}{_notes(job)}"


def _notes(job: Decomposition) -> str:
    """What the engine has to say about the picture, such as pixels that it filled."""
    told = (job.result or {}).get("notes")
    notes = [note for note in told if isinstance(note, str)] if isinstance(told, list) else []
    return "".join(f". {note.rstrip('.')}" for note in (*job.notes, *notes))


def time_left(job: Decomposition) -> str:
    """How long it will take, the layers included, or nothing where that is not known: such as after *Stop*, or where
    it should have been over by now."""
    if job.state is State.RUNNING and job.progress is not None:
        left = job.progress.left_now
        return f"About {in_words(left + job.reading_left)} left" if left is not None else ""
    return f"About {in_words(job.reading_left)} left" if job.state is State.READING and job.reading_left > 0.0 else ""


def fraction(job: Decomposition) -> float:
    """How far it is, 0 to 1."""
    if job.state is State.READING:
        return 1.0
    return job.progress.fraction if job.progress is not None else 0.0


def in_words(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return f"{max(round(seconds), 1)} s"
    if seconds < 90:
        return f"{5 * round(seconds / 5)} s"  # finer would only flicker
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
