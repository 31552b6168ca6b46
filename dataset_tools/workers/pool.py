# SPDX-License-Identifier: GPL-3.0-or-later
"""Render a job into its folder: open it, have what is missing rendered by processes here or on a cluster, list it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.progress import Reporter
from dataset_tools.rendering.job import Job
from dataset_tools.specs import describe
from dataset_tools.storage import shards
from dataset_tools.storage.shards import Shard
from dataset_tools.workers import disk, quarantine
from dataset_tools.workers.supervisor import Limits, Supervisor, default_timeout
from dataset_tools.workers.worker_process import this_command


@dataclass(frozen=True)
class How:
    """What does not touch the bytes: ``workers`` processes, seconds without a word before one is lost (None: derived
    from the job), whether samples in quarantine are tried again."""

    workers: int = 1
    timeout: float | None = None
    retry_quarantined: bool = False

    def limits(self, job: Job) -> Limits:
        """For the supervisor."""
        return Limits(self.timeout or default_timeout(job))


# Has shards rendered by processes elsewhere: settled job, shards, how, report.
Cluster = Callable[[Job, Sequence[Shard], How, Reporter], None]


def render(job: Job, how: How, report: Reporter, cluster: Cluster | None = None) -> int:
    """Render all that is missing; returns the number of samples in the folder. Raises UserError if it cannot."""
    job = _like_the_folder(job)
    elsewhere: list[Shard] = []
    settled = job

    def plan(found: Job, hello: dict[str, Any]) -> Sequence[Shard]:
        nonlocal settled
        settled = found
        missing = _open(found, hello, how, report)
        if cluster is None:
            return missing
        elsewhere.extend(missing)
        return []

    with shards.dataset_of_ones_own(job.out):
        try:
            local = report if cluster is None else Reporter()
            Supervisor(job, this_command(), how.workers, how.limits(job), local).run(plan)
            if cluster is not None:
                cluster(settled, elsewhere, how, report)
        finally:
            report.close()
        count = shards.write_manifest(job.out)
    report.end()
    return count


def _like_the_folder(job: Job) -> Job:
    """Refuse a folder that cannot be rendered to before Blender starts, and take over the device that it began with."""
    shards.check_folder(job.out)
    if job.device == "auto" and (job.out / "dataset.json").exists():
        return job.on(shards.read_header(job.out).get("device", job.device))
    return job


def _open(job: Job, hello: dict[str, Any], how: How, report: Reporter) -> list[Shard]:
    """Create the dataset's folder, or check that it holds this very dataset; returns what is to be rendered."""
    if not (job.out / "dataset.json").exists():
        # Before anything is written.
        disk.check_room(job, shards.missing(job.out, job.dataset, job.wanted))
    shards.open_dataset(job.out, job.header(hello["blender"]))
    shards.remove_stale(job.out)
    damaged = shards.damaged(job.out)
    for shard in damaged:
        report.trouble(f"{shard.stem} was cut since it was written.")
        # Under a longer --count it may come back under another name.
        if shard.first in job.wanted and shard.indices[-1] in job.wanted:
            shards.discard(job.out, shard)
    _check_descriptions(job, damaged)
    again = []
    if how.retry_quarantined:
        again = [index for index in quarantine.read(job.out) if index in job.wanted]
        quarantine.forget(job.out, again)
    missing = shards.missing(job.out, job.dataset, job.wanted, again)
    disk.check_room(job, missing)
    return missing


def _check_descriptions(job: Job, damaged: Sequence[Shard]) -> None:
    """Refuse to continue a dataset that another version of the scene descriptions began."""
    first = shards.entries(job.out, without=damaged)[:1]
    for _, _, stored in shards.read_samples(job.out, first):
        scene = describe(job.dataset, job.seed, stored["index"], stored["scene"]["attempt"], job.sources())
        if Scene.from_json(stored["scene"]) != scene:
            raise UserError(f"{job.out} was begun with other scene descriptions than today's: choose another --out.")
