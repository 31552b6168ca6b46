# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a sample's processor time is spent inside Cycles, told on a machine that others use too. Needs bpy.

Wall time would count them. Inside Cycles is its render call: it takes over the scene, makes its tables of a sky or a
picture, samples, and writes the passes. What grows with every light path is its sampling. The rest is ours: building
the scene, reading, denoising and encoding the passes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from dataset_tools.rendering.job import Job

SEED = 0
# Paths that are set against one another, and samples that fill memory with what all share (shapes, pictures) first.
_FEW, _MANY = 1, 17
_WARM = 60


@dataclass(frozen=True)
class Share:
    """Seconds of processor time of a sample: of each path a pixel, without light paths, and what of the latter lies
    outside Cycles' render call."""

    path: float
    rest: float
    outside: float

    def inside(self, paths: int) -> float:
        """The share of Cycles' render call with so many paths a pixel."""
        return 1.0 - self.outside / (self.rest + paths * self.path)

    def sampling(self, paths: int) -> float:
        """The share of sampling with so many paths a pixel."""
        return paths * self.path / (self.rest + paths * self.path)


def measure(job: Job, warm: int = _WARM) -> Share:
    """Render the job's samples with few paths and with many; nothing is stored."""
    (few, outside_few), (many, outside_many) = (_seconds(replace(job, samples=n), warm) for n in (_FEW, _MANY))
    path = (many - few) / (_MANY - _FEW)
    return Share(path, few - _FEW * path, 0.5 * (outside_few + outside_many))


def _seconds(job: Job, warm: int) -> tuple[float, float]:
    """Seconds of processor time a sample, and those outside Cycles."""
    from dataset_tools.rendering.produce import Producer
    from dataset_tools.scenes.build import build_scene, clear_scene
    from dataset_tools.specs import describe

    producer = Producer(job)
    sources = job.sources()
    try:
        for index in range(job.count, job.count + warm):
            clear_scene()
            build_scene(describe(job.dataset, job.seed, index, sources=sources), *job.folders)
        began, before = time.process_time(), producer.call_seconds
        # One by one: another thread's work would fall into the call.
        for index in job.wanted:
            producer.sample(index)
        total = (time.process_time() - began) / job.count
        return total, total - (producer.call_seconds - before) / job.count
    finally:
        producer.close()
