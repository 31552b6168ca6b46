# SPDX-License-Identifier: GPL-3.0-or-later
"""Has shards rendered by worker processes, whatever happens to them: one code path for one worker and for many.

A shard is handed out when a worker is free. A worker that ends, or says nothing for too long, is replaced and its
shard begun again, then sample after sample, so that it is known which one does the harm. A sample that does it twice
goes into quarantine: its shard is written without it. Workers are replaced before their memory grows.
"""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_tools.errors import UserError
from dataset_tools.progress import Reporter
from dataset_tools.rendering.job import Job
from dataset_tools.storage import scratch
from dataset_tools.storage.shards import Shard
from dataset_tools.workers import disk, quarantine
from dataset_tools.workers.worker_process import STARTUP_SECONDS, WorkerProcess

MIB = 1 << 20
# A graphics card's kernels are compiled before the first sample, once per machine.
COMPILING_SECONDS = 900.0

# Decides what is to be rendered once the first worker has said which Blender and device it runs.
Plan = Callable[[Job, dict[str, Any]], Sequence[Shard]]


@dataclass(frozen=True)
class Limits:
    """When a worker is lost, and when it is replaced although it is well."""

    timeout: float
    """Seconds without a word."""
    samples: int = 1024
    """Samples of one worker; it ends after the shard in which it reaches them."""
    growth: int = 512 * MIB
    """Bytes that its memory may grow by since its first sample; looked at after each shard."""
    harm: int = 2
    """How often a sample may end its worker before it is left out."""
    stillborn: int = 3
    """How many workers in a row may end before they begin a sample."""


def default_timeout(job: Job) -> float:
    """Seconds that no sample needs: ten minutes, and five hundred times what one thread was measured to take. While
    others kept the processors busy, a twentieth of one was left to each worker, and a minute made samples harmful."""
    return 600.0 + 1e-3 * job.resolution**2 * job.samples


class Supervisor:
    """Renders shards of one job with up to ``workers`` processes started by ``command``."""

    def __init__(self, job: Job, command: list[str], workers: int, limits: Limits, report: Reporter) -> None:
        self._job = job
        self._command = command
        self._count = workers
        self._limits = limits
        self._report = report
        self._inbox: queue.SimpleQueue[tuple[WorkerProcess, dict[str, Any] | None]] = queue.SimpleQueue()
        self._workers: dict[int, WorkerProcess] = {}
        self._pending: deque[Shard] = deque()
        self._harm: Counter[int] = Counter()
        self._careful: set[Shard] = set()
        self._stillborn = 0
        self._planned = False

    def run(self, plan: Plan) -> None:
        """Render all that ``plan`` names. Raises UserError when it cannot go on; no worker outlives this call."""
        scratch.remove_stale()
        try:
            self._start(0)
            while self._workers:
                self._receive(plan)
                self._end_silent()
        finally:
            for worker in self._workers.values():
                worker.end()

    def _start(self, number: int) -> None:
        self._workers[number] = WorkerProcess(number, self._command, self._job, self._inbox)

    def _dismiss(self, worker: WorkerProcess) -> None:
        del self._workers[worker.number]
        worker.end()

    def _receive(self, plan: Plan) -> None:
        try:
            worker, message = self._inbox.get(timeout=0.5)
        except queue.Empty:
            return
        if self._workers.get(worker.number) is not worker:
            return  # the last words of one that was replaced
        if message is None:
            self._lost(worker, worker.end(patience=5.0))
            return
        shard = worker.shard
        worker.hear(message)
        match message["event"]:
            case "ready":
                self._welcome(worker, message, plan)
            case "begin":
                self._stillborn = 0
            case "sample":
                self._report.sample(worker.number, message)
            case "shard":
                assert shard
                self._report.shard(shard, message["bytes"])
                self._next(worker)
            case "failed":
                self._lost(worker, message["reason"])
            case "error":
                raise UserError(message["message"])

    def _welcome(self, worker: WorkerProcess, hello: dict[str, Any], plan: Plan) -> None:
        """The first worker settles the device and brings the plan about; the others must be alike."""
        self._job = self._job.on(hello["device"])
        wanted = plan(self._job, hello)
        if not self._planned:
            self._planned = True
            self._pending.extend(wanted)
            count = min(self._count, max(1, len(self._pending)))
            left = sum(shard.count - len(quarantine.of_shard(self._job.out, shard)) for shard in wanted)
            self._report.start(left, count, hello)
            for number in range(1, count):
                self._start(number)
        self._next(worker)

    def _next(self, worker: WorkerProcess) -> None:
        """Hand out the next shard, to a fresh worker if this one has done enough."""
        if not self._pending:
            self._dismiss(worker)
        elif worker.rendered >= self._limits.samples or worker.grown > self._limits.growth:
            self._dismiss(worker)
            self._start(worker.number)
        else:
            busy = [other.shard for other in self._workers.values() if other.shard]
            disk.check_room(self._job, [self._pending[0], *busy])
            shard = self._pending.popleft()
            skip = sorted(quarantine.of_shard(self._job.out, shard))
            worker.hand_out(shard, skip, careful=shard in self._careful)

    def _end_silent(self) -> None:
        for worker in list(self._workers.values()):
            allowed = self._limits.timeout
            if worker.hello is None:
                allowed = STARTUP_SECONDS
            elif worker.rendered == 0 and self._job.device != "cpu":
                allowed += COMPILING_SECONDS
            if worker.silent_seconds > allowed:
                worker.end()
                self._lost(worker, f"it took longer than {allowed:.0f} seconds")

    def _lost(self, worker: WorkerProcess, reason: str) -> None:
        """Put the blame on the sample it was at, its shard back to the front, and a fresh worker in its place."""
        worker.end()
        del self._workers[worker.number]
        shard, index = worker.shard, worker.current
        if shard is None or index is None:
            self._stillborn += 1
            if self._stillborn >= self._limits.stillborn:
                raise UserError(_stillborn_text(reason, worker.last_words))
        else:
            self._harm[index] += 1
            last = "".join(f"\n    {line}" for line in worker.last_words.splitlines()[-12:])
            self._report.trouble(f"sample {index}: {reason}{last}")
            self._careful.add(shard)
            if self._harm[index] >= self._limits.harm:
                quarantine.add(self._job.out, index, reason)
                self._report.quarantine(index, reason)
        if shard is not None:
            self._pending.appendleft(shard)
        self._start(worker.number)


def _stillborn_text(reason: str, last_words: str) -> str:
    last = last_words.splitlines()[-1] if last_words else "it wrote nothing"
    return f"Workers end before they render anything ({reason}; last line: {last}): see that Blender starts by itself."
