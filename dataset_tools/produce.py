# SPDX-License-Identifier: GPL-3.0-or-later
"""From an index to a stored sample, in this process: describe, render, check, encode. Needs bpy."""

from __future__ import annotations

import time

from dataset_tools import passes
from dataset_tools.job import Job
from dataset_tools.scenes.render import Quality, Renderer, blender_version
from dataset_tools.shards import Sample
from dataset_tools.specs import describe
from dataset_tools.specs.seeds import split


class Producer:
    """Makes the samples of one job, one after another; sample i is the same whatever was made before it."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._version = blender_version()
        self._renderer = Renderer(Quality(job.resolution, job.samples))

    def sample(self, index: int) -> Sample:
        """Sample ``index``, checked. Raises UserError when its passes do not add up."""
        began = time.perf_counter()
        job = self._job
        scene = describe(job.dataset, job.seed, index)
        exr = self._renderer.render(scene)
        error = passes.check(passes.read(exr), f"Sample {index}")
        description = {
            "scene": scene.to_json(),
            "seed": job.seed,
            "index": index,
            "resolution": job.resolution,
            "samples": job.samples,
            "blender": self._version,
            "identity_error": error,
        }
        seconds = time.perf_counter() - began
        notes = {"seconds": round(seconds, 3), "identity_error": error}
        return Sample(index, split(job.seed, index), exr, description, notes)

    def close(self) -> None:
        """Remove the scratch files."""
        self._renderer.close()
