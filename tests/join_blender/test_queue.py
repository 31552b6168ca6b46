# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue, its sessions and the engine that they share, with a stand-in for the engine; no bpy."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from join_blender.engine.connection import Launch
from join_blender.engine.decomposition import Layer, Session, Stage
from join_blender.engine.failure import Failure
from join_blender.engine.pixels import Source, load_layer
from join_blender.engine.protocol import Options
from join_blender.engine.queue import Queue
from tests.join_blender.support import ROOT, fake_python

IMAGE = np.random.default_rng(0).random((4, 6, 3), dtype=np.float32)


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(fake_python(tmp_path), ROOT)


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.close()


def session(launch: Launch, folder: Path, name: str = "photo") -> Session:
    scratch = folder / "süß und scharf"
    scratch.mkdir(exist_ok=True)
    source = Source(name, IMAGE[::-1].ravel(), 6, 4, 3)
    return Session(source, Options(preset="draft"), launch, name, str(scratch))


def run(queue: Queue, until: Callable[[], bool], seconds: float = 10.0) -> list[Layer]:
    """Step, and take whatever comes, until that holds; the finished layers."""
    layers = []
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, [one.stage for one in queue.sessions]
        queue.step()
        if queue.current is not None:
            layer = queue.current.take_layer()
            layers += [layer] if layer is not None else []
            if queue.current.all_taken:
                queue.current.finish()
        time.sleep(0.002)
    return layers


def pixels(layer: Layer, folder: Path) -> np.ndarray:
    path = folder / "layer.exr"
    path.write_bytes(layer.data)
    with OpenEXR.File(str(path)) as file:
        return np.array(file.channels()["RGB"].pixels)


def working(one: Session) -> Callable[[], bool]:
    return lambda: one.job is not None and one.job.progress is not None


def test_from_pixels_to_layers(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    one = session(launch, tmp_path)
    one.keep_in = tmp_path / "kept"
    queue.add(one)
    layers = {layer.component: pixels(layer, tmp_path) for layer in run(queue, lambda: one.ended)}
    assert one.stage is Stage.DONE and one.failure is None
    np.testing.assert_allclose(layers["albedo"] * layers["shading"] + layers["specular"], IMAGE, atol=1e-6)
    assert (tmp_path / "kept" / "decomposition.join").read_bytes() == b"fake"
    queue.step()
    assert list((tmp_path / "süß und scharf").iterdir()) == []


def test_one_engine_serves_many(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    pids = set()
    for _ in range(3):
        one = session(launch, tmp_path)
        queue.add(one)
        run(queue, lambda one=one: one.stage is Stage.READING)
        assert queue.connection.engine is not None
        pids.add(queue.connection.engine.pid)
        run(queue, lambda one=one: one.ended)
    assert len(pids) == 1
    queue.add(session(Launch(launch.python, launch.root, "cpu"), tmp_path))
    run(queue, lambda: not queue.sessions)
    assert queue.connection.engine is not None and queue.connection.engine.pid not in pids


def test_they_wait_in_line_and_each_can_be_cancelled(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    first, second, third = (session(launch, tmp_path, name) for name in ("a", "b", "c"))
    for one in (first, second, third):
        queue.add(one)
    run(queue, working(first))
    queue.stop(second.id, keep=False)
    queue.step()
    assert second.stage is Stage.CANCELLED and queue.sessions == [first, third] and third.stage is Stage.QUEUED
    queue.stop(first.id, keep=True)
    run(queue, lambda: first.ended)
    assert first.stage is Stage.DONE and first.stopped_early
    run(queue, working(third))
    queue.stop(third.id, keep=False)
    run(queue, lambda: third.ended)
    assert third.stage is Stage.CANCELLED and queue.failed is None


def test_previews_come_while_it_works(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    one = session(launch, tmp_path)
    queue.add(one)
    seen: list[Layer] = []
    run(queue, lambda: bool(seen.extend(one.take_preview()) or len(seen) >= 3))
    assert {layer.component for layer in seen} == {"albedo", "shading", "specular"}
    assert seen[0].size == (4, 3) and pixels(seen[0], tmp_path).shape == (3, 4, 3)


def test_an_engine_that_is_shot(queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a message within 2 s, and a restart that ends well. ``test_in_blender.py`` does it fifty times."""
    rng = random.Random(0)
    engines = []
    for _ in range(5):
        monkeypatch.setenv("FAKE_ENGINE", "slow")
        one = session(launch, tmp_path)
        queue.add(one)
        queue.step()
        deadline = time.monotonic() + rng.uniform(0.0, 0.3)
        run(queue, lambda deadline=deadline: time.monotonic() > deadline)
        assert queue.connection.engine is not None
        engines.append(queue.connection.engine._process)
        os.kill(queue.connection.engine.pid, 9)
        run(queue, lambda one=one: one.ended, 2.0)
        assert one.failure is not None and "signal 9" in str(one.failure), one.failure
        assert queue.failed is one
        monkeypatch.setenv("FAKE_ENGINE", "ok")
        queue.restart()
        layers = run(queue, lambda one=one: one.ended)
        assert one.stage is Stage.DONE and len(layers) == 3
        assert queue.connection.engine is not None
        engines.append(queue.connection.engine._process)
        queue.connection.end()
    assert all(process.poll() is not None for process in engines), "an engine was left behind"


def test_engine_trouble_stops_the_line_and_restart_moves_it(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "torch_missing")
    first, second = session(launch, tmp_path), session(launch, tmp_path)
    queue.add(first)
    queue.add(second)
    run(queue, lambda: first.ended)
    assert queue.halted and queue.failed is first and queue.current is None and second.stage is Stage.QUEUED
    monkeypatch.setenv("FAKE_ENGINE", "ok")
    queue.restart()
    run(queue, lambda: not queue.sessions)
    assert first.stage is second.stage is Stage.DONE


def test_an_image_at_fault_does_not_stop_the_line(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    flat = np.full(12, np.nan, np.float32)
    broken = Session(Source("nan", flat, 2, 2, 3), Options(), launch, "nan", str(tmp_path))
    good = session(launch, tmp_path)
    queue.add(broken)
    queue.add(good)
    run(queue, lambda: good.ended)
    assert good.stage is Stage.DONE and broken.failure is not None and broken.failure.code == "image_not_finite"
    queue.dismiss()
    assert queue.failed is None


def test_an_engine_that_hangs_is_replaced(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "deaf")
    one = session(launch, tmp_path)
    queue.add(one)
    run(queue, working(one))
    assert one.job is not None
    one.job._stop_timeout = 0.1
    queue.stop(one.id, keep=False)
    run(queue, lambda: one.ended)
    assert one.stage is Stage.CANCELLED and queue.connection.engine is None


def test_an_engine_that_died_idle_is_no_failure(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    queue.add(session(launch, tmp_path))
    run(queue, lambda: not queue.sessions)
    assert queue.connection.engine is not None
    process = queue.connection.engine._process
    process.kill()
    process.wait()
    queue.add(one := session(launch, tmp_path))
    run(queue, lambda: one.ended)
    assert one.stage is Stage.DONE and queue.failed is None


def test_an_idle_engine_ends(launch: Launch) -> None:
    from join_blender.engine.connection import IDLE, Connection

    now = [0.0]
    connection = Connection(lambda: now[0])
    connection.start(launch)
    now[0] = IDLE - 1
    connection.step()
    assert connection.engine is not None
    now[0] = IDLE + 1
    connection.step()
    assert connection.engine is None


def test_files_for_other_programs(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(b"pixels")
    one = Session(image, Options(), launch, image.name, None, tmp_path / "out")
    queue.add(one)
    assert run(queue, lambda: one.ended) == []
    assert one.stage is Stage.DONE and (tmp_path / "out" / "report.json").exists()


def test_a_layer_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cut.npy").write_bytes(b"cut")
    for path in (tmp_path / "cut.npy", tmp_path / "gone.npy"):
        with pytest.raises(Failure, match="cannot be read"):
            load_layer(str(path))
