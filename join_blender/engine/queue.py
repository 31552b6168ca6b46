# SPDX-License-Identifier: GPL-3.0-or-later
"""The decompositions that wait, the one at work, and the last one that failed."""

from __future__ import annotations

from .connection import Connection
from .decomposition import Decomposition
from .failure import Failure
from .job import State

_ENGINE_FAILURES = ("engine_", "torch_missing", "device_missing")
"""How the codes of failures begin that the next in the queue would meet as well."""


class Queue:
    """Jobs in the order in which they came; the first is at work.

    Attributes:
        jobs: those that have not ended.
        failed: the last one that failed, kept with its pixels so that it can be tried again.
        halted: an engine that does not work makes the others wait, until :meth:`restart`.
        connection: the engine.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.jobs: list[Decomposition] = []
        self.failed: Decomposition | None = None
        self.halted = False
        self.connection = connection or Connection()

    @property
    def current(self) -> Decomposition | None:
        """The one at work, or about to be."""
        return self.jobs[0] if self.jobs and not self.halted else None

    def add(self, job: Decomposition) -> None:
        """Put it at the end. Whoever adds something wants the engine to be tried again."""
        self.halted = False
        self.jobs.append(job)

    def step(self) -> list[Decomposition]:
        """Move on as far as that needs no waiting; returns the jobs that have ended since, which are closed
        unless they failed."""
        if self.current is not None and self.current.waiting:
            self.connection.add(self.current)
        self.connection.step()
        ended = [job for job in self.jobs if job.ended]
        self.jobs = [job for job in self.jobs if not job.ended]
        for job in ended:
            if job.state is State.FAILED:
                self._remember(job)
            else:
                job.close()
        return ended

    def stop(self, job_id: str, keep: bool) -> None:
        """Stop one; an unknown id is one that has ended meanwhile."""
        for job in self.jobs:
            if job.id == job_id:
                job.stop(keep)

    def stop_all(self) -> None:
        """Stop everything and keep nothing."""
        for job in self.jobs:
            job.stop(keep=False)
        self.dismiss()

    def restart(self) -> None:
        """A fresh engine; what failed is tried again, before the others."""
        self.connection.end()
        self.halted = False
        if self.failed is not None:
            self.failed.try_again()
            self.jobs.insert(0, self.failed)
            self.failed = None

    def dismiss(self) -> None:
        """Forget the failure and the pixels that go with it; the others go on."""
        if self.failed is not None:
            self.failed.close()
        self.failed = None
        self.halted = False

    def close(self) -> None:
        """End the engine and remove all temporary files."""
        self.dismiss()
        for job in self.jobs:
            job.stop(keep=False)
            job.close()
            job.wait_until_closed()
        self.jobs = []
        self.connection.end()

    def _remember(self, job: Decomposition) -> None:
        if self.failed is not None:
            self.failed.close()
        self.failed = job
        self.halted = concerns_engine(job.failure) and bool(self.jobs)


def concerns_engine(failure: Failure | None) -> bool:
    """Whether the engine is at fault and not the image."""
    return failure is not None and failure.code.startswith(_ENGINE_FAILURES)
