# SPDX-License-Identifier: GPL-3.0-or-later
"""Render on a Ray cluster: each task has one shard rendered by a worker process of its node, into the shared folder.

A task runs the same supervisor as a single machine does, so that bytes, retries and quarantine are the same. Every node
needs this checkout, the Blender (or Python) that the command was started with and the folder, at the same paths.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataset_tools.errors import UserError
from dataset_tools.progress import Reporter
from dataset_tools.rendering.job import Job
from dataset_tools.storage.shards import Shard, open_dataset
from dataset_tools.workers import disk
from dataset_tools.workers.pool import Cluster, How
from dataset_tools.workers.supervisor import Limits, Supervisor
from dataset_tools.workers.worker_process import this_command

_CHECKOUT = Path(__file__).resolve().parents[2]


class _Recorder(Reporter):
    """Keeps what happens on a node, for the report of the machine that started it all."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, tuple[Any, ...]]] = []

    def sample(self, worker: int, message: dict[str, Any]) -> None:
        self.events.append(("sample", (worker, message)))

    def shard(self, shard: Shard, size: int) -> None:
        self.events.append(("shard", (shard, size)))

    def trouble(self, text: str) -> None:
        self.events.append(("trouble", (text,)))

    def quarantine(self, index: int, reason: str) -> None:
        self.events.append(("quarantine", (index, reason)))


def cluster(address: str) -> Cluster:
    """How to render on the cluster at ``address``; empty for one on this machine. Raises UserError without Ray."""
    try:
        import ray  # type: ignore[import]
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UserError(
            f"This Python ({version}) has no ray package: run 'python -m pip install ray' with it, or leave --ray out."
        ) from None

    def render(job: Job, wanted: Sequence[Shard], how: How, report: Reporter) -> None:
        if not wanted:
            return
        # A cluster that is already there is Ray's own default for no address; here that means one of our own.
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": {"PYTHONPATH": str(_CHECKOUT)}},
            log_to_driver=False,
            **({} if address else {"num_cpus": how.workers, "include_dashboard": False}),
        )
        try:
            _dispatch(ray, job, wanted, how, report)
        finally:
            ray.shutdown()

    return render


def _dispatch(ray: Any, job: Job, wanted: Sequence[Shard], how: How, report: Reporter) -> None:
    task = ray.remote(num_cpus=1, max_retries=3)(render_shard)
    limits = how.limits(job)
    waiting = list(reversed(wanted))
    running: list[Any] = []
    # On a cluster the processors of all nodes set the limit, unless --workers asks for more than one.
    most = how.workers if how.workers > 1 else max(1, int(ray.cluster_resources().get("CPU", 1)))
    hello = {"blender": "on Ray", "device": job.device, "name": job.device.upper()}
    report.start(sum(shard.count for shard in wanted), min(most, len(wanted)), hello)
    while waiting or running:
        while waiting and len(running) < most:
            disk.check_room(job, [waiting[-1]] * (len(running) + 1))
            running.append(task.remote(job, waiting.pop(), this_command(), limits))
        done, running = ray.wait(running)
        for finished in done:
            events, error = ray.get(finished)
            for name, arguments in events:
                getattr(report, name)(*arguments)
            if error:
                raise UserError(error)


def render_shard(job: Job, shard: Shard, command: list[str], limits: Limits) -> tuple[list[Any], str]:
    """One shard on a node; returns what happened there, and the sentence for the user if it cannot go on."""
    recorder = _Recorder()

    def plan(found: Job, hello: dict[str, Any]) -> Sequence[Shard]:
        # Refuses a node whose Blender or device is another than the dataset's.
        open_dataset(found.out, found.header(hello["blender"]))
        return [shard]

    try:
        Supervisor(job, command, 1, limits, recorder).run(plan)
    except UserError as error:
        return recorder.events, str(error)
    return recorder.events, ""
