# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue, its jobs and the engine that they share, with a stand-in for the engine; no bpy."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from join_blender.engine.connection import SILENT, Connection
from join_blender.engine.decomposition import Decomposition, Layer
from join_blender.engine.failure import Failure
from join_blender.engine.job import State
from join_blender.engine.pixels import Source, load_layer
from join_blender.engine.process import EngineProcess, Launch
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


def decomposition(launch: Launch, folder: Path, name: str = "photo", keep_in: Path | None = None) -> Decomposition:
    scratch = folder / "süß und scharf"
    scratch.mkdir(exist_ok=True)
    source = Source(name, IMAGE[::-1].ravel(), 6, 4, 3)
    return Decomposition(source, Options(preset="draft"), launch, name, str(scratch), keep_in=keep_in)


def run(queue: Queue, until: Callable[[], bool], seconds: float = 10.0) -> list[Layer]:
    """Step, and take whatever comes, until that holds; the finished layers."""
    layers = []
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, [one.state for one in queue.jobs]
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


def working(one: Decomposition) -> Callable[[], bool]:
    return lambda: one.progress is not None


def test_from_pixels_to_layers(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    one = decomposition(launch, tmp_path, keep_in=tmp_path / "kept")
    queue.add(one)
    layers = {layer.component: pixels(layer, tmp_path) for layer in run(queue, lambda: one.ended)}
    assert one.state is State.DONE and one.failure is None
    np.testing.assert_allclose(layers["albedo"] * layers["shading"] + layers["specular"], IMAGE, atol=1e-6)
    assert (tmp_path / "kept" / "decomposition.join").read_bytes() == b"fake"
    queue.step()
    one.wait_until_closed()
    assert list((tmp_path / "süß und scharf").iterdir()) == []


@pytest.mark.slow
def test_one_engine_serves_many(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    pids = set()
    for _ in range(3):
        one = decomposition(launch, tmp_path)
        queue.add(one)
        run(queue, lambda one=one: one.state is State.READING)
        assert queue.connection.engine is not None
        pids.add(queue.connection.engine.pid)
        run(queue, lambda one=one: one.ended)
    assert len(pids) == 1
    queue.add(decomposition(Launch(launch.python, launch.root, "cpu"), tmp_path))
    run(queue, lambda: not queue.jobs)
    assert queue.connection.engine is not None and queue.connection.engine.pid not in pids


def test_they_wait_in_line_and_each_can_be_cancelled(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    first, second, third = (decomposition(launch, tmp_path, name) for name in ("a", "b", "c"))
    for one in (first, second, third):
        queue.add(one)
    run(queue, working(first))
    queue.stop(second.id, keep=False)
    queue.step()
    assert second.state is State.CANCELLED and queue.jobs == [first, third] and third.state is State.QUEUED
    queue.stop(first.id, keep=True)
    run(queue, lambda: first.ended)
    assert first.state is State.DONE and first.stopped_early
    run(queue, working(third))
    queue.stop(third.id, keep=False)
    run(queue, lambda: third.ended)
    assert third.state is State.CANCELLED and queue.failed is None


def test_previews_come_while_it_works(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    one = decomposition(launch, tmp_path)
    queue.add(one)
    seen: list[Layer] = []
    run(queue, lambda: bool(seen.extend(one.take_preview()) or len(seen) >= 3))
    assert {layer.component for layer in seen} == {"albedo", "shading", "specular"}
    assert seen[0].size == (4, 3) and pixels(seen[0], tmp_path).shape == (3, 4, 3)


@pytest.mark.slow
def test_an_engine_that_is_shot(queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time a message within 2 s, and a restart that ends well. ``test_in_blender.py`` does it fifty times."""
    rng = random.Random(0)
    engines = []
    for _ in range(5):
        monkeypatch.setenv("FAKE_ENGINE", "slow")
        one = decomposition(launch, tmp_path)
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
        assert one.state is State.DONE and len(layers) == 3
        assert queue.connection.engine is not None
        engines.append(queue.connection.engine._process)
        queue.connection.end()
    assert all(process.poll() is not None for process in engines), "an engine was left behind"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "state"),
    [("silent", State.STARTING), ("slow", State.RUNNING), ("deaf", State.STOPPING)],
)
def test_an_engine_that_is_stopped_is_noticed(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str, state: State
) -> None:
    """Within 10 s, whatever it does; and killed, as it would lie there for ever."""
    monkeypatch.setenv("FAKE_ENGINE", behaviour)
    one = decomposition(launch, tmp_path)
    queue.add(one)
    run(queue, (lambda: one.state is State.STARTING) if behaviour == "silent" else working(one))
    if state is State.STOPPING:
        one.stop(keep=True)
    assert one.state is state and queue.connection.engine is not None
    process = queue.connection.engine._process
    process.send_signal(signal.SIGSTOP)
    run(queue, lambda: one.ended, 10.0)
    assert process.poll() == -signal.SIGKILL
    if state is State.STOPPING:
        assert one.state is State.CANCELLED
    else:
        assert one.failure is not None and one.failure.code.startswith("engine_")
        assert "somebody had stopped its process" in str(one.failure)


@pytest.mark.slow
def test_an_engine_that_goes_on_is_not_given_up(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    one = decomposition(launch, tmp_path)
    queue.add(one)
    run(queue, working(one))
    assert queue.connection.engine is not None
    for _ in range(2):  # for less than it would take, and then again
        queue.connection.engine._process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 3.0
        run(queue, lambda until=until: time.monotonic() > until)
        queue.connection.engine._process.send_signal(signal.SIGCONT)
        until = time.monotonic() + 1.5
        run(queue, lambda until=until: time.monotonic() > until)
    queue.stop(one.id, keep=True)
    run(queue, lambda: one.ended)
    assert one.state is State.DONE


def test_a_stop_of_all_together_is_none(launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by Ctrl-Z in the shell that Blender was started from: this process sees the engine stopped when it goes on."""
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    now = [0.0]
    queue = Queue(Connection(lambda: now[0]))
    one = decomposition(launch, tmp_path)
    queue.add(one)
    run(queue, working(one))
    assert queue.connection.engine is not None
    monkeypatch.setattr(EngineProcess, "is_stopped", True)
    for later in (1000.0, 1004.0, 2000.0, 2004.0, 2008.0):
        now[0] = later
        queue.step()
        assert one.state is State.RUNNING, later
    now[0] = 2010.0
    queue.step()
    assert one.state is State.FAILED
    queue.close()


@pytest.mark.slow
def test_an_idle_engine_that_was_stopped_costs_nothing(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    first, second = decomposition(launch, tmp_path), decomposition(launch, tmp_path)
    queue.add(first)
    run(queue, lambda: first.ended)
    assert queue.connection.engine is not None
    before = queue.connection.engine._process
    before.send_signal(signal.SIGSTOP)
    queue.add(second)
    run(queue, lambda: second.ended, 15.0)
    assert second.state is State.DONE and before.poll() == -signal.SIGKILL


def test_an_engine_that_says_nothing_is_given_up_in_the_end(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    now = [0.0]
    queue = Queue(Connection(lambda: now[0]))
    one = decomposition(launch, tmp_path)
    queue.add(one)
    run(queue, working(one))
    time.sleep(0.2)
    queue.step()  # whatever it had still to say
    began = now[0]
    while one.state is State.RUNNING:
        now[0] += 4.0
        queue.step()
    assert SILENT < now[0] - began <= SILENT + 8.0
    assert one.failure is not None and "said nothing for 300 seconds" in str(one.failure)
    queue.close()


@pytest.mark.slow
def test_engine_trouble_stops_the_line_and_restart_moves_it(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "torch_missing")
    first, second = decomposition(launch, tmp_path), decomposition(launch, tmp_path)
    queue.add(first)
    queue.add(second)
    run(queue, lambda: first.ended)
    assert queue.halted and queue.failed is first and queue.current is None and second.state is State.QUEUED
    monkeypatch.setenv("FAKE_ENGINE", "ok")
    queue.restart()
    run(queue, lambda: not queue.jobs)
    assert first.state is second.state is State.DONE


def test_an_image_at_fault_does_not_stop_the_line(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    flat = np.full(12, np.nan, np.float32)
    broken = Decomposition(Source("nan", flat, 2, 2, 3), Options(), launch, "nan", str(tmp_path))
    good = decomposition(launch, tmp_path)
    queue.add(broken)
    queue.add(good)
    run(queue, lambda: good.ended)
    assert good.state is State.DONE and broken.failure is not None and broken.failure.code == "image_not_finite"
    queue.dismiss()
    assert queue.failed is None


def test_an_engine_that_hangs_is_replaced(
    queue: Queue, launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "deaf")
    one = decomposition(launch, tmp_path)
    queue.add(one)
    run(queue, working(one))
    one.stop_timeout = 0.1
    queue.stop(one.id, keep=False)
    run(queue, lambda: one.ended)
    assert one.state is State.CANCELLED and queue.connection.engine is None


@pytest.mark.slow
def test_an_engine_that_died_idle_is_no_failure(queue: Queue, launch: Launch, tmp_path: Path) -> None:
    queue.add(decomposition(launch, tmp_path))
    run(queue, lambda: not queue.jobs)
    assert queue.connection.engine is not None
    process = queue.connection.engine._process
    process.kill()
    process.wait()
    queue.add(one := decomposition(launch, tmp_path))
    run(queue, lambda: one.ended)
    assert one.state is State.DONE and queue.failed is None


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
    one = Decomposition(image, Options(), launch, image.name, None, tmp_path / "out")
    queue.add(one)
    assert run(queue, lambda: one.ended) == []
    assert one.state is State.DONE and (tmp_path / "out" / "report.json").exists()


def test_a_layer_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cut.npy").write_bytes(b"cut")
    for path in (tmp_path / "cut.npy", tmp_path / "gone.npy"):
        with pytest.raises(Failure, match="cannot be read"):
            load_layer(str(path))
