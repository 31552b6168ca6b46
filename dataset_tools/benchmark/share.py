# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a sample's processor time Cycles spends sampling, told on a machine that others use too. Needs bpy.

Wall time would count them. Processor time grows by the same amount with every light path: the rest is what a sample
costs without any (building the scene, handing it to Cycles, reading, denoising and encoding the passes).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from dataset_tools.rendering.job import Job

SEED = 0
# Paths that are set against one another, and samples that fill the templates of materials first.
_FEW, _MANY = 1, 17
_WARM = 60


@dataclass(frozen=True)
class Share:
    """Seconds of processor time of a sample: without light paths, and of each path a pixel."""

    rest: float
    path: float

    def inside(self, paths: int) -> float:
        """The share of sampling with so many paths a pixel."""
        return paths * self.path / (self.rest + paths * self.path)


def measure(dataset: str, resolution: int, count: int, warm: int = _WARM) -> Share:
    """Render ``count`` samples, denoised, with few paths and with many; nothing is stored."""
    few, many = (_seconds(dataset, resolution, count, paths, warm) for paths in (_FEW, _MANY))
    path = (many - few) / (_MANY - _FEW)
    return Share(few - _FEW * path, path)


def _seconds(dataset: str, resolution: int, count: int, paths: int, warm: int) -> float:
    from dataset_tools.rendering.produce import Producer
    from dataset_tools.scenes.build import build_scene, clear_scene
    from dataset_tools.specs import describe

    producer = Producer(Job(dataset, SEED, 0, count, resolution, paths, Path(), denoise=True))
    try:
        for index in range(count, count + warm):
            clear_scene()
            build_scene(describe(dataset, SEED, index))
        began = time.process_time()
        for _ in producer.samples(range(count)):
            pass
        return (time.process_time() - began) / count
    finally:
        producer.close()
