# SPDX-License-Identifier: GPL-3.0-or-later
"""The one engine, kept from job to job, since its start takes seconds; started again when it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable

from .failure import Failure
from .job import Job, State
from .process import DIED, EngineProcess, Launch
from .protocol import VERSION, Message

IDLE = 600.0
"""Seconds after which an engine without work ends: it holds hundreds of megabytes."""
STOPPED = 5.0
"""Seconds after which an engine that somebody has stopped is given up. One that was stopped together with this Blender,
by Ctrl-Z in a shell, goes on earlier."""
SILENT = 300.0
"""The same for one that says nothing at all, where it says every other second that it works."""
_BETWEEN_LOOKS = 0.5


class Connection:
    """Hands jobs to the engine and the engine's events to the jobs; never blocks.

    Args:
        clock: seconds, for tests.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.engine: EngineProcess | None = None
        self.hello: Message | None = None
        """What the running engine said of itself."""
        self.words: list[str] = []
        """The last lines that an engine which is gone has logged."""
        self._launch: Launch | None = None
        self._jobs: list[Job] = []
        self._clock = clock
        self._idle_since = clock()
        self._heard_at = self._looked_at = clock()
        self._stopped_since: float | None = None

    def add(self, job: Job) -> None:
        """Take a job on, unless that has happened already; :meth:`step` moves it on."""
        if job not in self._jobs:
            self._jobs.append(job)

    def run(self, job: Job) -> Message:
        """Take a job on, block until it has ended, and close it; the engine's answer.

        Raises:
            Failure: why there is none.
        """
        self.add(job)
        while not job.ended:
            self.step()
            time.sleep(0.005)
        job.close()
        return job.answer()

    def step(self) -> None:
        """Take in what the engine said since the last time, and tell it what the jobs want."""
        events = self.engine.poll() if self.engine is not None else []
        self.hello = next((event for event in events if event["type"] == "hello"), self.hello)
        kinds = {event["type"] for event in events}
        # Before its hello it reports errors only to end right after them; one of another version never takes a job.
        useless = "error" in kinds if self.hello is None else self.hello.get("protocol") != VERSION
        if DIED in kinds:
            self._forget()
            useless = False
        for job in self._jobs:
            self._move(job, events)
        if events or self.hello is None:
            self._heard_at = self._clock()
        if self.engine is not None and (why := self._why_stuck(self.engine)):
            self.end(why)
        if useless or any(job.gave_up for job in self._jobs):
            self.end()
        self._jobs = [job for job in self._jobs if job.waiting or job.with_engine]
        if self._jobs:
            self._idle_since = self._clock()
        elif self._clock() - self._idle_since > IDLE:
            self.end()

    def end(self, why: str = "it was ended") -> None:
        """End the engine at once; jobs that it had are told that it died."""
        if self.engine is None:
            return
        self.engine.kill()
        for job in self._jobs:
            job.hear({"type": DIED, "message": why})
        self._forget()

    def _why_stuck(self, engine: EngineProcess) -> str:
        """Why there is nothing to wait for from an engine that has work; empty where there is."""
        now = self._clock()
        asleep = now - self._looked_at > STOPPED  # this process itself was: it cannot tell what happened meanwhile
        if not asleep and now - self._looked_at < _BETWEEN_LOOKS:
            return ""
        self._looked_at = now
        if asleep or not any(job.with_engine for job in self._jobs):
            self._heard_at, self._stopped_since = now, None
        elif not engine.is_stopped:
            self._stopped_since = None
        elif self._stopped_since is None:
            self._stopped_since = now
        if self._stopped_since is not None and now - self._stopped_since >= STOPPED:
            return "somebody had stopped its process, and it did not go on"
        return f"it said nothing for {SILENT:.0f} seconds" if now - self._heard_at > SILENT else ""

    def start(self, launch: Launch) -> None:
        """See that such an engine runs. The time is well spent before there is a job.

        Raises:
            Failure: ``engine_start``.
        """
        if self.engine is not None and launch != self._launch:
            self.end()
        if self.engine is None:
            arguments = ("-m", "join_engine", "serve", "--device", launch.device)
            self.engine = EngineProcess(launch.python, launch.root, arguments)
            self._launch = launch
        self._idle_since = self._clock()

    def _move(self, job: Job, events: list[Message]) -> None:
        """Start the engine for a job that waits; tell one that it has what it said, and it what the job wants."""
        try:
            if job.waiting:
                events = []  # they are older than the job
                self.start(job.launch)  # it starts while the job's files are written
                job.state = State.PREPARING
            if job.prepared:
                job.begin(self._clock(), running=self.hello is not None)
                events = [self.hello] if self.hello is not None else []
        except Failure as failure:
            job.fail(failure)
        for event in events:
            job.hear(event)
        job.look_at_the_clock(self._clock())
        while job.outbox and self.engine is not None:
            self.engine.send(job.outbox.pop(0))

    def _forget(self) -> None:
        if self.engine is not None:
            self.words = self.engine.words
        self.engine = None
        self.hello = None
        self._launch = None
        self._stopped_since = None
