# SPDX-License-Identifier: GPL-3.0-or-later
"""On Ray: the same bytes as here. Skipped where Ray is not installed; what is said then is tested always."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from dataset_tools.errors import UserError
from dataset_tools.progress import Reporter
from dataset_tools.rendering.job import Job
from dataset_tools.storage import shards
from dataset_tools.workers import pool as workers
from dataset_tools.workers import quarantine, ray_jobs

TOOL = Path(__file__).with_name("invented_tool.py")
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs the ray package")


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"has no ray package: run 'python -m pip install ray'"):
        ray_jobs.cluster("")


@needs_ray
def test_ray_writes_the_same_bytes_and_leaves_out_the_same_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (workers, ray_jobs):
        monkeypatch.setattr(module, "this_command", lambda: [sys.executable, str(TOOL)])
    monkeypatch.setattr(shards, "SHARD_SIZE", 4)
    monkeypatch.setenv("HARM", '{"5": "raise"}')
    stored = {}
    for name, cluster in (("here", None), ("ray", ray_jobs.cluster(""))):
        job, report = Job("primeshapes", 1, 0, 10, 8, 1, tmp_path / name), Reporter()
        assert workers.render(job, workers.How(workers=2), report, cluster) == 9
        assert (report.done, report.quarantined) == (9, 1)
        assert quarantine.read(job.out) == {5: "ValueError: no such node"}
        stored[name] = {path.name: path.read_bytes() for path in (job.out / "shards").glob("*.tar")}
    assert len(stored["ray"]) == 3 and stored["ray"] == stored["here"]
