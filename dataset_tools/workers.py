# SPDX-License-Identifier: GPL-3.0-or-later
"""Render missing shards, in this process or in several: each worker is this command again with its share of shards."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dataset_tools import denoise, shards
from dataset_tools.errors import UserError
from dataset_tools.job import Job
from dataset_tools.progress import progress
from dataset_tools.shards import Sample, Shard
from dataset_tools.specs import describe
from dataset_tools.specs.description import Scene


def open_folder(job: Job) -> None:
    """Create the dataset's folder or check that it holds this very dataset."""
    # bpy: only where something is rendered
    from dataset_tools.scenes.render import blender_version, library_folders

    if job.denoise:
        denoise.load(library_folders())
    shards.open_dataset(job.out, job.header(blender_version()))
    shards.remove_stale(job.out)
    _check_descriptions(job)


def _check_descriptions(job: Job) -> None:
    """Refuse to continue a dataset that another version of the scene descriptions began."""
    for _, _, stored in shards.read_samples(job.out, shards.entries(job.out)[:1]):
        scene = describe(job.dataset, job.seed, stored["index"], stored["scene"]["attempt"])
        if Scene.from_json(stored["scene"]) != scene:
            raise UserError(f"{job.out} was begun with other scene descriptions than today's: choose another --out.")


def render_share(job: Job, worker: int, workers: int) -> None:
    """Render every ``workers``-th missing shard, beginning with number ``worker``."""
    from dataset_tools.produce import Producer

    # By position on the grid and not in the list of what is missing, which changes while others render.
    share = [
        shard
        for shard in shards.missing(job.out, job.dataset, job.wanted)
        if shard.first // shards.SHARD_SIZE % workers == worker
    ]
    producer = Producer(job)
    try:
        with progress(sum(shard.count for shard in share), f"worker {worker}", worker) as advance:
            for shard in share:
                shards.write_shard(job.out, shard, _samples(producer, shard, advance))
    finally:
        producer.close()


def _samples(producer: Any, shard: Shard, advance: Any) -> Iterator[Sample]:
    for sample in producer.samples(shard.indices):
        yield sample
        advance()


def render_parallel(arguments: Sequence[str], workers: int) -> None:
    """Start ``workers`` processes with this command's own arguments and wait; the first failure ends them all."""
    command = [*_this_command(), *arguments]
    running = [subprocess.Popen([*command, "--worker", f"{n}/{workers}"]) for n in range(workers)]
    try:
        while any(process.poll() is None for process in running):
            if any(process.poll() not in (None, 0) for process in running):
                raise UserError("A worker stopped (its reason is above); run the same command again to resume.")
            time.sleep(0.2)
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
            process.wait()
    if any(process.returncode for process in running):
        raise UserError("A worker stopped (its reason is above); run the same command again to resume.")


def _this_command() -> list[str]:
    """How to start this tool again: Blender and the script, or Python and the script."""
    import bpy  # type: ignore[import]

    script = str(Path(__file__).with_name("render.py"))
    # bpy.app.module is younger than 4.2; as a module, older versions name no binary.
    if not getattr(bpy.app, "module", not bpy.app.binary_path):
        return [bpy.app.binary_path, "-b", "--factory-startup", "-P", script, "--"]
    return [sys.executable, script]
