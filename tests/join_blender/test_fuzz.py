# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten thousand broken messages in both directions: nothing crashes, nothing hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from join_blender.engine.decomposition import Decomposition
from join_blender.engine.job import State
from join_blender.engine.pixels import Source
from join_blender.engine.process import DIED, Launch
from join_blender.engine.protocol import Decoder, NotTheProtocol, Options, decompose
from join_blender.engine.queue import Queue
from tests.join_blender.broken_messages import broken
from tests.join_blender.support import ROOT, fake_python

COUNT = 10_000
EVENTS: list[dict[str, Any]] = [
    {"type": "hello", "protocol": 1, "engine": "0", "python": "3", "torch": "2", "device": "cpu", "banks": []},
    {"type": "accepted", "id": "1"},
    {"type": "progress", "id": "1", "stage": "joint", "step": 1, "of": 2, "seconds_left": 1.0, "loss": 0.1},
    {"type": "preview", "id": "1", "step": 1, "layers": {"albedo": "a.npy"}, "recomposed": "r.npy"},
    {"type": "result", "id": "1", "layers": {"albedo": "a.npy"}, "bank": {}, "settings": {}, "metrics": {}},
    {"type": "cancelled", "id": "1", "result": {"layers": {"albedo": "a.npy"}}},
    {"type": "error", "id": "1", "code": "internal", "message": "It failed.", "hint": ""},
    {"type": "bye", "id": "1"},
]
REQUESTS: list[dict[str, Any]] = [
    {**decompose(Path("nowhere.npy"), Path("nothing"), Options()), "output": "/dev/null/x", "id": "1"},
    {"type": "cancel", "id": "1", "keep": True},
    {"type": "relight", "id": "2", "decomposition": "nowhere.join", "output": "/dev/null/x", "edits": []},
    {"type": "list_banks", "id": "3"},
]


@pytest.mark.slow
def test_a_job_survives_whatever_the_engine_says(tmp_path: Path) -> None:
    job, told, ends = _job(tmp_path), 0, set()
    for data in broken(1, COUNT, EVENTS):
        try:
            messages = Decoder().feed(data)
        except NotTheProtocol:
            continue
        told += len(messages)
        for message in messages:
            assert message["type"] != DIED
        for message in messages:
            job.hear(message)
        job.look_at_the_clock(1.0)
        if job.progress is not None:
            assert 0.0 <= job.progress.fraction <= 1.0
        if job.ended:
            ends.add(job.state)
            job = _job(tmp_path)
    assert told > COUNT / 2 and ends == {State.DONE, State.CANCELLED, State.FAILED}


@pytest.mark.slow
def test_a_queue_survives_whatever_the_engine_sends(tmp_path: Path, monkeypatch: Any) -> None:
    """Over real pipes: every job ends, with layers or with a sentence."""
    monkeypatch.setenv("FAKE_ENGINE", "fuzz")
    queue = Queue()
    launch = Launch(fake_python(tmp_path), ROOT)
    for seed in range(10):
        monkeypatch.setenv("FAKE_SEED", str(seed))
        one = Decomposition(Source("it", np.ones(12, np.float32), 2, 2, 3), Options(), launch, "it", str(tmp_path))
        queue.add(one)
        deadline = time.monotonic() + 10
        while not one.ended:
            assert time.monotonic() < deadline, "it hangs"
            queue.step()
            if queue.current is not None and queue.current.all_taken:
                queue.current.finish()
            elif queue.current is not None:
                queue.current.take_preview()
                try:
                    queue.current.take_layer()
                except Exception as error:
                    queue.current.fail(_as_failure(error))
            time.sleep(0.002)
        assert one.state in (State.DONE, State.CANCELLED) or str(one.failure)
        queue.connection.end()
    queue.close()


@pytest.mark.slow
def test_the_engine_survives_whatever_a_client_sends() -> None:
    """The real one; it answers a sound request afterwards and ends in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "join_engine", "serve", "--device", "cpu", "--threads", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None and process.stdout is not None
    answers: list[dict[str, Any]] = []
    reader = threading.Thread(target=_read, args=(process.stdout, answers), daemon=True)
    reader.start()
    for data in broken(2, COUNT, REQUESTS):
        process.stdin.write(data)
    process.stdin.write(json.dumps({"type": "list_banks", "id": "alive"}).encode() + b"\0")
    process.stdin.write(json.dumps({"type": "shutdown", "id": "end"}).encode() + b"\0")
    process.stdin.flush()
    assert process.wait(60) == 0
    reader.join(10)
    kinds = [answer["type"] for answer in answers]
    assert kinds[0] == "hello" and kinds[-1] == "bye"
    assert [answer["type"] for answer in answers if answer.get("id") == "alive"] == ["banks"]
    assert kinds.count("error") > COUNT / 2
    process.stdin.close()
    process.stdout.close()


def _job(folder: Path) -> Decomposition:
    job = Decomposition(Path("in.png"), Options(), Launch(Path("python"), ROOT), "in.png", output=folder)
    job.request["id"] = job.id = "1"
    job.begin(0.0, running=False)
    job.hear(EVENTS[0])
    job.stop(keep=True)
    return job


def _as_failure(error: Exception) -> Any:
    from join_blender.engine.failure import Failure

    assert isinstance(error, Failure), repr(error)
    return error


def _read(pipe: Any, answers: list[dict[str, Any]]) -> None:
    rest = b""
    while piece := os.read(pipe.fileno(), 65536):
        *whole, rest = (rest + piece).split(b"\0")
        answers += [json.loads(text) for text in whole]
