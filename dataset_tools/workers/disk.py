# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is room for what is about to be rendered."""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from dataset_tools.errors import UserError
from dataset_tools.rendering.job import Job
from dataset_tools.storage import passes, shards
from dataset_tools.storage.shards import Shard

# These are black in the scenes that Eq. 14 holds for and compress to nothing.
_BLACK = ("transmission_direct", "transmission_indirect", "transmission_color", "emission", "environment")
# Description, headers and padding of a sample's two members.
_BESIDE = 16 << 10
# Finished samples tell the size of the next ones nearly.
_MARGIN = 1.1


def sample_bytes(job: Job) -> float:
    """Bytes of a sample at most: as the finished shards of the folder are, else as its half floats uncompressed."""
    found = shards.finished(job.out)[:32]
    count = sum(shard.count for shard in found)
    if count:
        return _MARGIN * sum((job.out / "shards" / f"{shard.stem}.tar").stat().st_size for shard in found) / count
    layers = len([name for name in passes.stored(denoised=job.denoise) if name not in _BLACK])
    return job.resolution**2 * 2 * (3 * layers + 1) + _BESIDE


def check_room(job: Job, planned: Iterable[Shard]) -> None:
    """Raise UserError where the disk does not hold the shards."""
    needed = sum(shard.count for shard in planned) * sample_bytes(job)
    free = shutil.disk_usage(shards.nearest(job.out)).free
    if needed > free:
        raise UserError(
            f"{job.out} needs {_size(needed)} for what is still to be rendered, and {_size(free)} are free: "
            "make room there, choose another --out or ask for fewer samples."
        )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
