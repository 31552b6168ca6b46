# SPDX-License-Identifier: GPL-3.0-or-later
"""The renderer's real processes around an invented Blender, so that what kills a worker can be ordered by index.

``python invented_tool.py run OUT COUNT WORKERS [TIMEOUT]`` renders; the environment's HARM names what samples do, such
as '{"3": "kill"}': kill, hang, raise, full (the disk), once-kill (the first time only), slow.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
import types
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dataset_tools import progress, specs
from dataset_tools.errors import UserError
from dataset_tools.rendering.job import Job
from dataset_tools.storage import shards
from dataset_tools.storage.shards import Sample
from dataset_tools.workers import pool as workers
from dataset_tools.workers import worker, worker_process

HARM = json.loads(os.environ.get("HARM", "{}"))


class InventedProducer:
    """Samples whose bytes depend on their index alone."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def samples(self, indices: Iterable[int]) -> Iterator[Sample]:
        for index in indices:
            yield self.sample(index)

    def sample(self, index: int) -> Sample:
        self._harm(HARM.get(str(index), ""))
        scene = specs.describe(self._job.dataset, self._job.seed, index).to_json()
        notes = {"seconds": 0.001, "sampling_seconds": 0.03}  # a share also where starting takes long
        return Sample(index, "train", b"pixels %d" % index * 500, {"index": index, "scene": scene}, notes)

    def _harm(self, what: str) -> None:
        if what == "once-kill":
            mark = self._job.out / ".once.partial"
            what = "" if mark.exists() else "kill"
            mark.touch()
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "hang":
            time.sleep(600.0)
        elif what == "slow":
            time.sleep(0.05)
        elif what == "raise":
            raise ValueError("no such node")
        elif what == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _invent_blender() -> None:
    app = types.SimpleNamespace(version=tuple(json.loads(os.environ.get("BLENDER", "[4, 5, 0]"))))
    device = types.SimpleNamespace(choose=lambda kind: "cpu", name=lambda kind: "CPU")
    sys.modules["bpy"] = types.SimpleNamespace(app=app)  # type: ignore[assignment]
    parts = {
        "device": device,
        "textures": types.SimpleNamespace(check=lambda job, sources: None),
        "produce": types.SimpleNamespace(Producer=InventedProducer),
        "render": types.SimpleNamespace(blender_version=lambda: "invented"),
    }
    for name, part in parts.items():
        sys.modules[f"dataset_tools.rendering.{name}"] = part  # type: ignore[assignment]


def _run(out: str, count: str, processes: str, timeout: str = "20") -> int:
    workers.this_command = worker_process.this_command = lambda: [sys.executable, __file__]  # type: ignore[assignment]
    job = Job("primeshapes", 1, 0, int(count), 8, 1, Path(out))
    again = "--retry-quarantined" in sys.argv
    try:
        workers.render(job, workers.How(int(processes), float(timeout), again), progress.JsonLines())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # Small shards, so that few samples make many.
    shards.SHARD_SIZE = 4
    if sys.argv[1] == "worker":
        _invent_blender()
        sys.exit(worker.run())
    sys.exit(_run(*[argument for argument in sys.argv[2:] if not argument.startswith("--")]))
