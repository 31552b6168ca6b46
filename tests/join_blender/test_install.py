# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the engine's environment: real pip, real environments, tiny wheels from an index on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from join_blender.engine.failure import Failure
from join_blender.install import task
from join_blender.install.builds import Build
from join_blender.install.paths import Condition, Paths
from tests.join_blender.tiny_index import Index, make_lock, make_wheels
from tools.build_zip import download


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.upper().startswith("PIP_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    index = Index(make_wheels(tmp_path / "served"))
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    yield index
    index.close()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "Benutzer Jürgen" / "engine 緑")


def finish(started: task.Task, seconds: float = 300) -> task.Task:
    deadline = time.monotonic() + seconds
    while not started.step():
        assert time.monotonic() < deadline, started.progress
        time.sleep(0.02)
    return started


def install(build: Build, paths: Paths, wheels: Path | None = None) -> task.Task:
    return finish(task.install(build, paths.folder, wheels, Path(sys.executable)))


def failed(build: Build, paths: Paths, wheels: Path | None = None) -> Failure:
    failure = install(build, paths, wheels).failure
    assert failure is not None and failure.hint, failure
    return failure


def children_of(folder: Path) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command:
            found.append(int(entry.parent.name))
    return found


def gone(folder: Path) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if not children_of(folder):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_from_a_folder_into_a_path_with_spaces_and_umlauts(tmp_path: Path, paths: Paths) -> None:
    wheels = make_wheels(tmp_path / "Räder & mehr")
    build = make_lock(tmp_path / "locks", wheels)
    done = install(build, paths, wheels)
    assert done.failure is None and done.answer is not None
    state = paths.state(build.digest)
    assert state.condition is Condition.READY
    assert state.facts["versions"]["torch"] == "9.1" and state.facts["kind"] == "cpu"
    assert paths.state("another").condition is Condition.OLD
    program = "import torch, numpy; print(torch.__version__, numpy.__version__)"
    said = subprocess.run([paths.python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["9.1", "9.2"]
    assert sorted(path.name for path in paths.folder.iterdir()) == ["env", "install.log", "lock"]
    assert len(list(wheels.iterdir())) == 2, "the user's own folder stays as it is"


@pytest.mark.slow
def test_the_full_zip_carries_the_wheels_that_the_lock_names(tmp_path: Path, index: Index) -> None:
    build = make_lock(tmp_path / "locks", index.wheels)
    named = index.wheels / "torch-1.0-py3-none-any.whl"
    newer = index.wheels / "torch-1.0-2-py3-none-any.whl"  # what pip takes when it may choose
    newer.write_bytes(named.read_bytes() + b" ")
    folder = download(build, tmp_path / "wheels")
    assert not build.missing_in(folder) and len(list(folder.iterdir())) == len(build.wheels)
    assert (folder / named.name).read_bytes() == named.read_bytes()
    index.fetched.clear()
    download(build, folder)
    assert index.fetched == []
    (folder / named.name).write_bytes(b"spoiled")
    download(build, folder)
    assert (folder / named.name).read_bytes() == named.read_bytes()


@pytest.mark.slow
def test_a_download_that_was_killed_goes_on_where_it_was(tmp_path: Path, paths: Paths, index: Index) -> None:
    build = make_lock(tmp_path / "locks", index.wheels)
    index.hangs = "torch"
    first = task.install(build, paths.folder, python=Path(sys.executable))
    texts = set()
    while not index.hanging.wait(0.02):
        assert not first.step(), first.failure
        texts.add(first.progress.text)
    assert any(text.startswith("Downloading tinynumpy") for text in texts)
    first._process.kill()
    assert finish(first).failure is not None
    assert paths.state().condition is Condition.UNFINISHED and not paths.python.exists()
    assert [path.name for path in paths.wheels.iterdir()] == [build.wheels[0].file]
    index.hangs = ""
    index.fetched.clear()
    assert gone(paths.folder), "pip lives on"
    again = install(build, paths)
    assert again.failure is None and paths.state(build.digest).condition is Condition.READY
    assert index.fetched == [build.wheels[1].file]
    assert not paths.wheels.exists() and not paths.unfinished.exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["cancel", "abandon"])
def test_stopping_ends_pip_too(way: str, tmp_path: Path, paths: Paths, index: Index) -> None:
    index.hangs = "t"
    started = task.install(make_lock(tmp_path / "locks", index.wheels), paths.folder, python=Path(sys.executable))
    assert index.hanging.wait(120)
    second = install(make_lock(tmp_path / "locks", index.wheels), paths)
    assert second.failure is not None and second.failure.code == "busy", "two at once"
    getattr(started, way)()
    assert finish(started, 30).cancelled and started.failure is None
    assert gone(paths.folder)
    assert not paths.python.exists() and not paths.unfinished.exists()


@pytest.mark.slow
def test_failures_say_what_to_do_and_leave_the_old_engine(tmp_path: Path, paths: Paths, index: Index) -> None:
    good = make_lock(tmp_path / "good", index.wheels)
    assert install(good, paths).failure is None
    other = make_wheels(tmp_path / "other", torch={"torch/__init__.py": "__version__ = '9.9'\n"})
    changed = make_lock(tmp_path / "changed", other)  # the index serves another torch than this lock wants
    failure = failed(changed, paths)
    assert failure.code == "hash_wrong" and "torch 1.0 is not the file" in failure.message
    for path in index.wheels.glob("torch*"):
        path.unlink()
    assert failed(changed, paths).code == "not_offered"
    index.close()
    assert failed(changed, paths).code == "no_network"
    assert paths.state(good.digest).condition is Condition.READY
    assert subprocess.run([paths.python, "-c", "import torch"], check=False).returncode == 0
    assert paths.log.read_text(encoding="utf-8").startswith("$ ")


def test_folders_that_will_not_do(tmp_path: Path, paths: Paths) -> None:
    wheels = make_wheels(tmp_path / "wheels")
    build = make_lock(tmp_path / "locks", wheels)
    (wheels / build.wheels[1].file).write_bytes(b"x" * build.wheels[1].size)
    failure = failed(build, paths, wheels)
    assert failure.code == "hash_wrong" and build.wheels[1].file in failure.message
    (wheels / build.wheels[1].file).unlink()
    failure = failed(build, paths, wheels)
    assert failure.code == "wheels_missing" and build.wheels[1].file in failure.message
    assert not paths.unfinished.exists()


@pytest.mark.slow
def test_not_begun_where_it_cannot_succeed(tmp_path: Path, paths: Paths) -> None:
    wheels = make_wheels(tmp_path / "wheels")
    huge = failed(make_lock(tmp_path / "huge", wheels, unpacked=10**18), paths, wheels)
    assert huge.code == "disk_full" and "GB are free" in huge.message
    old = failed(make_lock(tmp_path / "old", wheels, python="3.2"), paths, wheels)
    assert old.code == "python_wrong" and "3.2" in old.message
    paths.unfinished.parent.rename(tmp_path / "away")
    paths.folder.write_text("a file where the folder should be")
    assert failed(make_lock(tmp_path / "locks", wheels), paths, wheels).code == "install_failed"


@pytest.mark.slow
def test_packages_that_do_not_load_are_not_installed(tmp_path: Path, paths: Paths) -> None:
    wheels = make_wheels(tmp_path / "wheels", torch={"torch/__init__.py": "raise ImportError('libtorch is missing')\n"})
    failure = failed(make_lock(tmp_path / "locks", wheels), paths, wheels)
    assert failure.code == "probe_failed" and "libtorch is missing" in failure.message
    assert paths.state().condition is Condition.MISSING


@pytest.mark.slow
def test_settings_that_would_send_pip_elsewhere_are_ignored(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "nonsense"))
    wheels = make_wheels(tmp_path / "wheels")
    assert install(make_lock(tmp_path / "locks", wheels), paths, wheels).failure is None
    assert not (tmp_path / "elsewhere").exists()
