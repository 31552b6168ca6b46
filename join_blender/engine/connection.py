# SPDX-License-Identifier: GPL-3.0-or-later
"""The one engine, kept from job to job, since its start takes seconds; started again when it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .job import Job
from .process import DIED, EngineProcess
from .protocol import VERSION, Message

IDLE = 600.0
"""Seconds after which an engine without work ends: it holds hundreds of megabytes."""


@dataclass(frozen=True)
class Launch:
    """How the engine is started.

    Args:
        python: its interpreter.
        root: the folder that holds ``join_engine``.
        device: auto, cpu or cuda.
    """

    python: Path
    root: Path
    device: str = "auto"

    def start(self) -> EngineProcess:
        """Raises Failure ``engine_start``."""
        return EngineProcess(self.python, self.root, ("-m", "join_engine", "serve", "--device", self.device))


class Connection:
    """Hands jobs to the engine and the engine's events to the jobs; never blocks.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine: EngineProcess | None = None
        self.hello: Message | None = None
        """What the running engine said of itself."""
        self._launch: Launch | None = None
        self._jobs: list[Job] = []
        self._clock = clock
        self._idle_since = clock()

    @property
    def busy(self) -> bool:
        """Whether a job is under way."""
        return bool(self._jobs)

    def start(self, launch: Launch) -> None:
        """See that such an engine runs. The time is well spent before there is a job.

        Raises:
            Failure: ``engine_start``.
        """
        self.step()  # a dead one is noticed here
        if self.engine is not None and launch != self._launch:
            self.end()
        if self.engine is None:
            self.engine = launch.start()
            self._launch = launch
        self._idle_since = self._clock()

    def submit(self, job: Job, launch: Launch) -> None:
        """Hand over a job; :meth:`step` moves it on.

        Raises:
            Failure: ``engine_start``.
        """
        self.start(launch)
        self._jobs.append(job)
        if self.hello is not None:
            self._advance(job, [self.hello])

    def step(self) -> None:
        """Take in what the engine said since the last time, and tell it what the jobs want."""
        if self.engine is None:
            return
        events = self.engine.poll()
        for event in events:
            if event["type"] == "hello":
                self.hello = event
        for job in self._jobs:
            self._advance(job, events)
        given_up = any(job.gave_up for job in self._jobs) or self._is_useless(events)
        self._jobs = [job for job in self._jobs if not job.done]
        if any(event["type"] == DIED for event in events):
            self._forget()
        elif given_up:
            self.end()
        elif self._jobs:
            self._idle_since = self._clock()
        elif self._clock() - self._idle_since > IDLE:
            self.end()

    def end(self) -> None:
        """End the engine at once; jobs that it had are told that it died."""
        if self.engine is None:
            return
        self.engine.kill()
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.advance([{"type": DIED, "message": "it was ended"}], self._clock())
        self._forget()

    def _is_useless(self, events: list[Message]) -> bool:
        """Whether an engine that runs will never take a job."""
        if self.hello is None:  # before its hello it reports errors only to end right after them
            return any(event["type"] == "error" for event in events)
        return self.hello.get("protocol") != VERSION

    def _advance(self, job: Job, events: list[Message]) -> None:
        assert self.engine is not None
        for message in job.advance(events, self._clock()):
            self.engine.send(message)

    def _forget(self) -> None:
        self.engine = None
        self.hello = None
        self._launch = None
