# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a job takes and how large it gets, from a few of its samples rendered on trial into a temporary folder."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset_tools.errors import UserError
from dataset_tools.progress import Reporter
from dataset_tools.rendering.job import Job
from dataset_tools.storage import scratch
from dataset_tools.storage.shards import Shard
from dataset_tools.workers.supervisor import Limits, Supervisor, default_timeout
from dataset_tools.workers.worker_process import this_command

TRIALS = 4


@dataclass(frozen=True)
class Estimate:
    """Of a whole job: seconds with its workers, bytes of its tars, and how many samples were rendered to tell."""

    samples: int
    seconds: float
    bytes: float
    trials: int

    def __str__(self) -> str:
        return (
            f"{self.samples} samples: about {self.seconds / 3600.0:.2f} hours and {self.bytes / 1e9:.3f} GB "
            f"(from {self.trials} samples on trial; nothing was stored)"
        )


class _Trials(Reporter):
    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[int, float] = {}
        self.reasons: list[str] = []

    def sample(self, worker: int, message: dict[str, Any]) -> None:
        # Encoding runs beside the next render; the slower of the two sets the pace.
        self.seconds[message["index"]] = max(message["seconds"], message.get("encoding_seconds", 0.0))

    def quarantine(self, index: int, reason: str) -> None:
        self.reasons.append(f"sample {index}: {reason}")


def estimate(job: Job, workers: int, trials: int = TRIALS) -> Estimate:
    """Render ``trials`` samples, spread over the job, and project. Raises UserError where they cannot be rendered."""
    count = min(trials, job.count)
    chosen = [job.start + (2 * number + 1) * job.count // (2 * count) for number in range(count)]
    with tempfile.TemporaryDirectory(prefix=scratch.prefix(), dir=scratch.scratch_folder()) as folder:
        trial = replace(job, out=Path(folder))
        report = _Trials()

        def plan(found: Job, hello: dict[str, Any]) -> Sequence[Shard]:
            return [Shard(job.dataset, index, 1) for index in chosen]

        # As many at once as the job will have: they share the machine.
        Supervisor(trial, this_command(), workers, Limits(default_timeout(job)), report).run(plan)
        sizes = [path.stat().st_size for path in (trial.out / "shards").glob("*.tar")]
    if not report.seconds:
        raise UserError(f"No sample could be rendered on trial ({'; '.join(report.reasons)}).")
    mean = sum(report.seconds.values()) / len(report.seconds)
    # A tar of one sample is filled up to a full record, by half of one on average; one of many is hardly.
    size = sum(sizes) / len(sizes) - tarfile.RECORDSIZE / 2.0
    return Estimate(job.count, mean * job.count / workers, size * job.count, len(report.seconds))
