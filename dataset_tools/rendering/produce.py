# SPDX-License-Identifier: GPL-3.0-or-later
"""From an index to a stored sample, in this process: describe, render, check, encode. Needs bpy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

from dataset_tools.description.lighting import light_metadata
from dataset_tools.description.seeds import split
from dataset_tools.rendering.attempts import Take, take
from dataset_tools.rendering.denoise import Denoiser
from dataset_tools.rendering.job import Job
from dataset_tools.rendering.render import Quality, Renderer, blender_version, library_folders
from dataset_tools.specs import describe
from dataset_tools.storage import passes
from dataset_tools.storage.shards import Sample


class Producer:
    """Makes the samples of one job, one after another; sample i is the same whatever was made before it.

    One thread beside Blender's denoises and compresses a sample while the next one renders: neither needs Python's
    lock for long. bpy is only ever touched from the caller's thread.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._version = blender_version()
        self._sources = job.sources()
        quality = Quality(job.resolution, job.samples, device=job.device)
        self._renderer = Renderer(quality, *job.folders)
        self._denoiser = Denoiser(library_folders(), job.resolution) if job.denoise else None
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")

    @property
    def call_seconds(self) -> float:
        """Processor time that Blender's render calls have taken so far."""
        return self._renderer.call_seconds

    def sample(self, index: int) -> Sample:
        """Sample ``index``, checked. Raises SampleError when its passes do not add up or none passes the gate."""
        return next(self.samples([index]))

    def samples(self, indices: Iterable[int]) -> Iterator[Sample]:
        """Samples in the order given; while one is encoded, the next one renders already."""
        pending: Future[Sample] | None = None
        for index in indices:
            began = time.perf_counter()
            described = partial(describe, self._job.dataset, self._job.seed, index, sources=self._sources)
            taken = take(described, self._renderer.render, f"Sample {index}")
            # Of this thread, so that the seconds of all samples are about the run's.
            seconds = time.perf_counter() - began
            if pending:
                yield pending.result()
            pending = self._beside.submit(self._finish, index, taken, seconds)
        if pending:
            yield pending.result()

    def _finish(self, index: int, taken: Take, seconds: float) -> Sample:
        began = time.perf_counter()
        error = passes.check(taken.passes, f"Sample {index}")
        layers = {**taken.passes, passes.MASK: passes.validity(taken.passes)}
        if self._denoiser:
            for name in passes.DENOISED:
                layers[name] = self._denoiser(passes.raw_component(taken.passes, name))
        measured = {
            "identity_error": error,
            "identity_error_half": passes.check(passes.as_halves(layers), f"Sample {index}", passes.STORED_TOLERANCE),
            "valid": round(float(layers[passes.MASK].mean()), 4),
            "attempt": taken.scene.attempt,
            "rejected": list(taken.rejected),
        }
        exr = passes.encode(layers)
        notes = {
            **measured,
            "seconds": round(seconds, 3),
            "sampling_seconds": round(taken.sampling_seconds, 3),
            "encoding_seconds": round(time.perf_counter() - began, 3),
        }
        return Sample(index, split(self._job.seed, index), exr, {**self._description(index, taken), **measured}, notes)

    def _description(self, index: int, taken: Take) -> dict[str, Any]:
        return {
            "scene": taken.scene.to_json(),
            "metadata": light_metadata(taken.scene, taken.exposure or 1.0),
            **({} if taken.exposure is None else {"exposure": taken.exposure}),
            "seed": self._job.seed,
            "index": index,
            "resolution": self._job.resolution,
            "samples": self._job.samples,
            "denoise": self._job.denoise,
            "blender": self._version,
        }

    def close(self) -> None:
        """Wait for the thread, release the denoiser and remove the scratch files."""
        self._beside.shutdown(cancel_futures=True)
        if self._denoiser:
            self._denoiser.close()
        self._renderer.close()
