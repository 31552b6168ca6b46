# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary folders: those of dead Blenders go, those of living ones stay, and one that vanishes gets a sentence."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from join_blender.engine import background
from join_blender.engine.decomposition import Decomposition
from join_blender.engine.failure import Failure
from join_blender.engine.job import Job, State
from join_blender.engine.pixels import Source
from join_blender.engine.process import Launch
from join_blender.engine.protocol import Options
from join_blender.engine.queue import Queue
from join_blender.engine.relight import Relight, StoredDecomposition
from tests.join_blender.support import ROOT, fake_python

PIXELS = np.full(18, 0.5, np.float32)


@pytest.fixture
def blender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of a Blender, in a system's place of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / "blender_a1"
    folder.mkdir()
    return folder


@pytest.fixture
def queue() -> Iterator[Queue]:
    queue = Queue()
    yield queue
    queue.close()


def decomposition(blender: Path, launch: Launch) -> Decomposition:
    return Decomposition(Source("photo", PIXELS, 3, 2, 3), Options(), launch, "photo", str(blender))


def step(queue: Queue, until: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline
        queue.step()
        if queue.current is not None:
            try:
                queue.current.take_layer()
            except Failure as failure:
                queue.current.fail(failure)
        time.sleep(0.002)


def left_by_a_killed_one(folder: Path) -> Path:
    program = (
        "import os, sys; from join_blender.engine.background import make_folder;"
        "folder = make_folder(sys.argv[1]); open(folder.name + '/image.npy', 'w').close();"
        "print(folder.name, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    path = Path(done.stdout.strip())
    assert (path / "image.npy").exists()
    return path


@pytest.mark.slow
def test_what_killed_blenders_left_goes_at_the_next_start(tmp_path: Path, blender: Path) -> None:
    alone, other = tmp_path / "blender_b2", tmp_path / "blender_c3"
    for folder in (alone, other):
        folder.mkdir()
    (other / "autosave.blend").touch()
    left = [left_by_a_killed_one(folder) for folder in (alone, other, other, tmp_path, blender)]
    living = background.make_folder(str(other))
    foreign = [tmp_path / "join-abc", tmp_path / "join-0-0-0-x", other / "join-notes"]
    for path in foreign:
        path.mkdir()
    background.remove_left_behind(str(blender)).result()
    assert not any(path.exists() for path in left)
    assert not alone.exists() and (other / "autosave.blend").exists() and blender.is_dir()
    assert Path(living.name).is_dir() and all(path.is_dir() for path in foreign)
    background.remove_left_behind(None).result()
    living.cleanup()


def test_a_folder_that_was_deleted_before_the_job(blender: Path) -> None:
    shutil.rmtree(blender)
    with pytest.raises(Failure, match=r"was deleted while Blender was using it\. Save your file and start") as caught:
        decomposition(blender, Launch(Path("python"), ROOT))
    assert "room" not in str(caught.value)
    with pytest.raises(Failure, match="was deleted"):
        Job.with_files({}, {"type": "export"}, Launch(Path("python"), ROOT), str(blender))


def test_only_names_in_the_folder_are_filled_in(blender: Path) -> None:
    """Whatever the user's own paths are called."""
    theirs = "/home/x/{folder}/{folder}.exr"
    request = {"type": "export", "layers": {"albedo": "{folder}/{folder}.exr"}, "output": theirs, "depth": 16}
    job = Job.with_files({}, request, Launch(Path("python"), ROOT), str(blender))
    (folder,) = blender.glob("join-*")
    assert job.request == {**request, "layers": {"albedo": f"{folder}/{{folder}}.exr"}, "id": job.id}
    job.close()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the engine", "while it works", "before the layers are read"])
@pytest.mark.parametrize("whole", [True, False], ids=["blender's", "the job's"])
def test_a_folder_that_is_deleted_during_a_job(
    blender: Path, tmp_path: Path, queue: Queue, moment: str, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "slow" if moment == "while it works" else "ok")
    one = decomposition(blender, Launch(fake_python(tmp_path), ROOT))
    assert one._preparing is not None
    one._preparing.wait()
    queue.add(one)
    if moment == "while it works":
        step(queue, lambda: one.progress is not None)
    elif moment == "before the layers are read":
        monkeypatch.setattr(one, "take_layer", lambda: None)
        step(queue, lambda: one.state is State.READING)
        monkeypatch.undo()
    (folder,) = blender.glob("join-*")
    (blender if whole else folder).rename(tmp_path / "swept away")  # at once, whatever the engine writes into it
    if moment == "while it works":
        assert queue.connection.engine is not None
        queue.connection.engine.kill()  # it would notice nothing before it needs the pixels
    step(queue, lambda: one.ended)
    assert one.failure is not None and one.failure.code == "temporary_gone", one.failure
    assert str(folder) in str(one.failure)
    assert ("Try again" in str(one.failure)) is blender.is_dir()  # the engine may have made it anew


def test_the_light_says_the_same(blender: Path, tmp_path: Path, queue: Queue) -> None:
    light = Relight(StoredDecomposition(b"x", {"albedo": b"y"}), Launch(fake_python(tmp_path), ROOT), str(blender))
    light._storing.wait()
    shutil.rmtree(blender)
    light._fail(Failure("decomposition_missing", "There is no decomposition.", "Check the path."))
    assert light.failure is not None and light.failure.code == "temporary_gone"
    light.close()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "Make room"), (errno.EACCES, "preferences"), (errno.EROFS, "preferences")]
)
def test_other_troubles_get_their_own_advice(
    blender: Path, number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    with pytest.raises(Failure, match=words):
        background.make_folder(str(blender))
