# SPDX-License-Identifier: GPL-3.0-or-later
"""Seconds an image, ours and the plainest loop's, on the same descriptions, with the whole machine for each."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.storage.passes import PASSES
from dataset_tools.storage.shards import SHARD_SIZE
from dataset_tools.workers.worker_process import this_command

SEED = 0


@dataclass(frozen=True)
class Row:
    """Seconds an image, starts of Blender included."""

    label: str
    ours: float
    plain: float

    def __str__(self) -> str:
        return f"{self.label:<40} {self.ours:8.2f} s {self.plain:8.2f} s {self.plain / self.ours:7.1f} ×"


@dataclass(frozen=True)
class Sides:
    """Our processes, and the numbers of images that we and the loop are measured with; its are spread over ours."""

    workers: int
    ours: int
    plain: int

    @property
    def first(self) -> int:
        """Where to begin so that two workers have equal parts: a shard is one worker's."""
        return max(0, SHARD_SIZE - self.ours // 2) if self.workers > 1 else 0

    @property
    def scenes(self) -> list[int]:
        """What the loop renders."""
        step = self.ours / self.plain
        return [self.first + round((number + 0.5) * step - 0.5) for number in range(self.plain)]


def compare(dataset: str, samples: int, resolutions: Sequence[int], sides: Sides) -> Iterator[Row]:
    """A row per resolution for the same light paths, then one at the largest for about the same noise."""
    for size in resolutions:
        label = f"{size}², {samples} spp each"
        yield Row(label, _ours(dataset, size, samples, sides), _plain(dataset, size, samples, sides.scenes))
    size = max(resolutions)
    label = f"{size}², {samples} spp denoised : {4 * samples} spp raw"
    denoised = _ours(dataset, size, samples, sides, "--denoise")
    yield Row(label, denoised, _plain(dataset, size, 4 * samples, sides.scenes))


def _ours(dataset: str, size: int, samples: int, sides: Sides, *extra: str) -> float:
    numbers = f"--range {sides.first}:{sides.first + sides.ours} --resolution {size} --samples {samples} --seed {SEED}"
    with tempfile.TemporaryDirectory() as folder:
        where = ["--workers", str(sides.workers), "--out", folder]
        return _seconds([*this_command(), dataset, *numbers.split(), *where, *extra]) / sides.ours


def _plain(dataset: str, size: int, samples: int, scenes: Sequence[int]) -> float:
    script = Path(__file__).with_name("plain_loop.py")
    total = 0.0
    for index in scenes:
        with tempfile.TemporaryDirectory() as folder:
            numbers = [dataset, str(SEED), str(index), str(size), str(samples), folder]
            command = this_command(script)
            total += _seconds([*command, *([] if command[-1] == "--" else ["--"]), *numbers])
            if len(list(Path(folder).iterdir())) != len(PASSES) + 1:
                raise UserError("The plain loop did not write every pass: this Blender's File Output node is unknown.")
    return total / len(scenes)


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise UserError(f"The benchmark's own render failed: {result.stderr.strip().splitlines()[-1:]}")
    return time.perf_counter() - began
