# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers that are killed, hang and fail: what is stored is the same, or its absence is noted."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from dataset_tools.errors import UserError
from dataset_tools.rendering.job import Job
from dataset_tools.storage import shards
from dataset_tools.workers import disk, quarantine
from dataset_tools.workers.supervisor import default_timeout

TOOL = Path(__file__).with_name("invented_tool.py")


def _command(out: Path, count: int, workers: int = 1, *extra: str) -> list[str]:
    return [sys.executable, str(TOOL), "run", str(out), str(count), str(workers), *extra]


def _environment(**harm: str) -> dict[str, str]:
    return {**os.environ, "HARM": json.dumps({name.strip("_"): what for name, what in harm.items()})}


def _run(out: Path, count: int, workers: int = 1, *extra: str, **harm: str) -> subprocess.CompletedProcess[str]:
    environment = _environment(**harm)
    return subprocess.run(
        _command(out, count, workers, *extra), capture_output=True, text=True, timeout=60, env=environment
    )


def _events(result: subprocess.CompletedProcess[str], name: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in result.stdout.splitlines()]
    return [event for event in found if event["event"] == name]


def _tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "shards").glob("*.tar")}


def _indices(folder: Path) -> list[int]:
    return [json.loads(line)["index"] for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What twelve samples look like when nothing happens."""
    folder = tmp_path_factory.mktemp("whole") / "a set with ü"
    result = _run(folder, 12)
    assert result.returncode == 0, result.stderr
    assert len(_tars(folder)) == 3
    return _tars(folder)


@pytest.mark.slow
def test_events_tell_machines_how_it_goes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    result = _run(tmp_path / "set", 12, 2)
    (start,), (end,) = _events(result, "start"), _events(result, "end")
    assert (start["workers"], start["device"], start["total"], start["done"]) == (2, "cpu", 12, 0)
    samples = _events(result, "sample")
    assert sorted(event["index"] for event in samples) == list(range(12))
    assert [event["done"] for event in samples] == list(range(1, 13))
    assert samples[-1]["seconds_left"] == 0.0 and samples[-1]["rate"] > 0 and samples[-1]["resident"] > 1 << 20
    assert {event["shard"]: event["bytes"] for event in _events(result, "shard")} == {
        name.removesuffix(".tar"): len(data) for name, data in whole.items()
    }
    assert end["done"] == 12 and end["samples_per_hour"] > 0 and 0.0 < end["sampling_share"] < 1.0
    assert _tars(tmp_path / "set") == whole


@pytest.mark.slow
def test_a_worker_that_is_killed_once_is_replaced(tmp_path: Path, whole: dict[str, bytes]) -> None:
    result = _run(tmp_path / "set", 12, 2, _6="once-kill")
    assert result.returncode == 0, result.stderr
    (trouble,) = _events(result, "trouble")
    assert "sample 6: its process was ended by SIGKILL" in trouble["text"]
    assert _tars(tmp_path / "set") == whole
    assert not quarantine.read(tmp_path / "set")


@pytest.mark.slow
def test_harmful_samples_are_left_out_and_tried_again_on_request(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "set"
    result = _run(folder, 12, 2, "0.6", _1="kill", _5="hang", _11="raise")
    assert result.returncode == 0, result.stderr
    reasons = quarantine.read(folder)
    assert reasons.keys() == {1, 5, 11}
    assert "SIGKILL" in reasons[1] and "took longer than 1 seconds" in reasons[5] and "no such node" in reasons[11]
    assert _indices(folder) == [0, 2, 3, 4, 6, 7, 8, 9, 10]
    assert _events(result, "end")[0]["quarantined"] == 3
    # Their shards are finished: nothing is tried again unasked.
    assert _events(_run(folder, 12), "start")[0]["total"] == 0
    again = _run(folder, 12, 1, "--retry-quarantined")
    assert again.returncode == 0, again.stderr
    assert _tars(folder) == whole and not quarantine.read(folder) and _indices(folder) == list(range(12))


def test_busy_processors_make_no_sample_harmful(tmp_path: Path) -> None:
    # 128², 8 paths: 2 s with two workers on two cores, and seen to take more than 73 s beside seven other programs.
    assert default_timeout(Job("surfaces", 0, 0, 1, resolution=128, samples=8, out=tmp_path)) > 300 * 2.0


@pytest.mark.slow
def test_a_full_disk_stops_everything_with_one_sentence(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "set"
    result = _run(folder, 12, 1, _6="full")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1 and "No space left on device" in result.stderr
    assert _tars(folder).items() <= whole.items()
    assert not list(folder.rglob("*.partial")) and not quarantine.read(folder)


@pytest.mark.slow
def test_ten_kills_at_random_moments_leave_no_trace(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "set"
    rng = random.Random(3)
    slow = {f"_{index}": "slow" for index in range(12)}
    for _ in range(10):
        process = subprocess.Popen(
            _command(folder, 12, 2),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(**slow),
            start_new_session=True,
        )
        time.sleep(rng.uniform(0.1, 1.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert _tars(folder).items() <= whole.items()
    assert _run(folder, 12, 2).returncode == 0
    assert _tars(folder) == whole and _indices(folder) == list(range(12))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_supervisor(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        _command(tmp_path / "set", 4), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment(_2="hang")
    )
    assert process.stdout
    for line in process.stdout:
        if json.loads(line).get("index") == 1:
            break
    (worker,) = _children(process.pid)
    process.send_signal(number)
    process.wait(timeout=10)
    deadline = time.monotonic() + 10.0
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(worker)


def _children(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children")
    if not children.exists():
        pytest.skip("this system does not list a process's children")
    return [int(number) for number in children.read_text("ascii").split()]


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.parametrize(("ending", "share"), [("tar", 0.5), ("jsonl", 0.6), ("jsonl", 0.0)])
def test_a_cut_shard_is_rendered_again(tmp_path: Path, whole: dict[str, bytes], ending: str, share: float) -> None:
    folder = tmp_path / "set"
    assert _run(folder, 12).returncode == 0
    lists = {path.name: path.read_bytes() for path in folder.glob("shards/*.jsonl")}
    path = folder / "shards" / f"primeshapes-00000000-004.{ending}"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    (folder / "manifest.jsonl").write_bytes(b'{"index": 0, "sp')
    result = _run(folder, 12)
    assert result.returncode == 0, result.stderr
    assert "primeshapes-00000000-004 was cut" in _events(result, "trouble")[0]["text"]
    assert _events(result, "start")[0]["total"] == 4
    assert _tars(folder) == whole and _indices(folder) == list(range(12))
    assert {path.name: path.read_bytes() for path in folder.glob("shards/*.jsonl")} == lists


@pytest.mark.slow
def test_a_cut_shard_comes_back_under_another_name_in_a_longer_run(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "set"
    assert _run(folder, 2).returncode == 0
    (path,) = folder.glob("shards/*.jsonl")
    path.write_bytes(path.read_bytes()[:30])
    assert _run(folder, 12).returncode == 0
    assert _tars(folder) == whole


@pytest.mark.slow
def test_an_old_blender_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    environment = {**os.environ, "BLENDER": "[4, 1, 0]"}
    command = _command(tmp_path / "set", 4)
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "This is Blender 4.1.0, and 4.2 or newer is needed" in result.stderr
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    result = _run(tmp_path / "file" / "set", 4)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "Could not write" in result.stderr and "choose another folder" in result.stderr


def test_too_little_room_is_said_with_both_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job("primeshapes", 0, 0, 10_000, 128, 4, tmp_path / "set")
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"needs \d+\.\d GB .* 10\.0 MB are free: make room"):
        disk.check_room(job, shards.missing(job.out, job.dataset, job.wanted))
    disk.check_room(job, [shards.Shard("primeshapes", 0, 4)])
