# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's state, its lock files and pip's complaints, without installing anything."""

from __future__ import annotations

import errno
import json
import sys
import tomllib
from pathlib import Path

import pytest

from join_blender.engine.failure import Failure
from join_blender.install import probe, task
from join_blender.install.builds import LOCKS, build_in, builds_for, choose_build, read_build, this_system
from join_blender.install.locate import EnginePython, find_python
from join_blender.install.paths import Condition, Installed, Paths, choose_folder, python_in, remove
from join_blender.install.pip_errors import explain, explain_system
from join_blender.install.status import Level, Trial, describe
from tests.join_blender.support import ROOT, fake_python
from tests.join_blender.tiny_index import make_lock, make_wheels

FACTS = {"digest": "d", "base": "b", "device": "CPU", "versions": {"torch": "2.13.0"}, "python": "3.11.7", "bytes": 9e8}


def installed(paths: Paths) -> Paths:
    """Files as a finished installation leaves them."""
    python = python_in(paths.environment)
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    paths.marker.write_text(json.dumps(FACTS))
    return paths


# --- state --------------------------------------------------------------------------------------------------------


def test_conditions(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "engine")
    assert paths.state().condition is Condition.MISSING
    paths.unfinished.mkdir(parents=True)
    assert paths.state().condition is Condition.UNFINISHED
    installed(paths)
    assert paths.state("d").condition is Condition.READY
    assert paths.state("e").condition is Condition.OLD and paths.state("e").usable
    paths.python.unlink()
    paths.python.symlink_to(tmp_path / "blender that was removed")
    assert paths.state().condition is Condition.BROKEN and "removed" in paths.state().why
    paths.marker.write_text('{"digest": ')
    assert paths.state().condition is Condition.BROKEN and not paths.state().usable


def test_remove_takes_what_is_ours_and_nothing_else(tmp_path: Path) -> None:
    paths = installed(Paths(tmp_path / "engine"))
    for folder in (paths.unfinished, paths.wheels, paths.outgoing):
        folder.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    (paths.environment / "link").symlink_to(outside)
    (paths.folder / "note.txt").write_text("the user's")
    remove(paths)
    assert [path.name for path in paths.folder.iterdir()] == ["note.txt"]
    assert (outside / "precious").exists()
    remove(paths)  # nothing there: nothing to complain about


def test_windows_gets_a_short_folder_only_where_the_usual_one_is_too_long() -> None:
    short, long = Path("C:/e"), Path("C:/" + "x" * 100)
    assert choose_folder(long, windows=True, local="C:/L").name == "JoIN"
    assert choose_folder(short, windows=True, local="C:/L") == short
    assert choose_folder(long, windows=False, local="C:/L") == long
    assert choose_folder(long, windows=True, local="") == long


def test_which_python(tmp_path: Path) -> None:
    ours = installed(Paths(tmp_path / "engine")).python
    found = find_python("", tmp_path, {}, ours)
    assert found.path == ours and found.installed
    assert find_python(sys.executable, tmp_path, {}, ours).path == Path(sys.executable)
    assert find_python("", tmp_path, {"JOIN_ENGINE_PYTHON": sys.executable}, ours).path == Path(sys.executable)
    with pytest.raises(Failure, match="not installed"):
        find_python("", tmp_path, {}, None)


def test_words() -> None:
    nothing = Installed(Condition.MISSING, {})
    missing = Failure("engine_missing", "The engine is not installed.", "Install it.")
    assert describe(None, missing, nothing, None).level is Level.MISSING
    gone = Failure("engine_python_missing", "The engine's Python does not exist.", "Choose another.")
    for condition in (Condition.MISSING, Condition.BROKEN, Condition.UNFINISHED):
        chosen = describe(None, gone, Installed(condition, {}), None)
        assert chosen.level is Level.BROKEN and chosen.text == str(gone), "a choice is complained about first"
    half = describe(None, missing, Installed(Condition.UNFINISHED, {}), None)
    assert half.level is Level.MISSING and "kept" in half.text
    broken = describe(None, missing, Installed(Condition.BROKEN, {}, "its Blender is gone"), None)
    assert broken.level is Level.BROKEN and "its Blender is gone" in broken.text
    ours = EnginePython(Path("p"), "installed by the add-on", installed=True)
    ready = describe(ours, None, Installed(Condition.READY, FACTS), None)
    assert ready.level is Level.READY and ready.text == "Ready on CPU: torch 2.13.0, Python 3.11.7, 900 MB."
    assert "install again" in describe(ours, None, Installed(Condition.OLD, FACTS), None).text
    hello = {"type": "hello", "engine": "0.1", "device": "cpu", "torch": "2", "banks": [{"name": "materials"}]}
    tested = describe(ours, None, Installed(Condition.READY, FACTS), Trial(hello))
    assert tested.text.splitlines()[1].endswith("banks materials.")
    no_card = describe(ours, None, Installed(Condition.READY, FACTS | {"kind": "cuda"}), None)
    assert "No graphics card" in no_card.text
    dead = describe(ours, None, Installed(Condition.READY, FACTS), Trial(failure=Failure("x", "It died.", "Do this.")))
    assert dead.level is Level.BROKEN and dead.text == "Broken: It died. Do this."
    own = EnginePython(Path("p"), "chosen in the preferences")
    assert describe(own, None, nothing, None).level is Level.UNTRIED


# --- trying a Python ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_python_that_will_do() -> None:
    trial = task.check(Path(sys.executable))
    trial.wait()
    assert trial.answer is not None and trial.answer["versions"]["torch"], trial.failure


def test_pythons_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "other.py"
    script.write_text("print('this is some other program')")
    trial = task.check(fake_python(tmp_path, script))
    trial.wait()
    assert trial.failure is not None and "ended by itself" in str(trial.failure)
    script.write_text("import time; time.sleep(60)")
    monkeypatch.setattr(task, "_PROBE_SECONDS", 0.3)
    silent = task.check(fake_python(tmp_path, script))
    silent.wait()
    assert silent.failure is not None and silent.failure.code == "no_answer"
    with pytest.raises(Failure, match="could not be started"):
        task.check(tmp_path / "nothing")


def test_what_the_probe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "OLDEST", (99, 0))
    assert probe.look()["code"] == "python_old"
    monkeypatch.setattr(probe, "OLDEST", (3, 11))
    monkeypatch.setattr(probe, "MODULES", ("no_such_module",))
    assert "has no no_such_module" in probe.look()["message"]
    (tmp_path / "half_there.py").write_text("import its_missing_part")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(probe, "MODULES", ("half_there",))
    assert "cannot load half_there" in probe.look()["message"]


# --- what there is to install -------------------------------------------------------------------------------------


@pytest.mark.parametrize("lock", sorted(LOCKS.glob("*.txt")), ids=lambda path: path.stem)
def test_locks_hold_what_the_project_pins(lock: Path) -> None:
    build = read_build(lock)
    pins = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    versions = {wheel.name: wheel.version.split("+")[0] for wheel in build.wheels}
    for name in ("torch", "numpy", "safetensors", "pillow", "openexr", "openimageio"):
        assert any(pin.lower().startswith(f"{name}=={versions[name]}") for pin in pins), name
    platform = {"linux": "manylinux", "windows": "win_amd64", "macos": "macosx"}[build.system.split("-")[0]]
    tag = f"cp{build.python.replace('.', '')}-"
    for wheel in build.wheels:
        assert wheel.file.endswith("any.whl") or platform in wheel.file
        assert tag in wheel.file or "-py3-" in wheel.file or ".py3-" in wheel.file or "abi3" in wheel.file, wheel.file
        assert wheel.size > 0 and wheel.unpacked > 0 and len(wheel.sha256) == 64
    assert 100e6 < build.download < 4e9 and build.unpacked > build.download


def test_every_blender_from_its_makers_has_a_build() -> None:
    for system in ("linux-x86_64", "windows-x86_64", "macos-arm64"):
        for python in ("3.11", "3.13"):
            assert builds_for(system, python), (system, python)
    assert choose_build("", "linux-x86_64", "3.11").kind == "cpu"
    with pytest.raises(Failure, match=r"no AMD GPU \(ROCm\) build"):
        choose_build("rocm", "linux-x86_64", "3.11")
    with pytest.raises(Failure, match=r"cannot be installed for Python 3\.15 on linux-x86_64"):
        choose_build("", "linux-x86_64", "3.15")


def test_a_blender_of_debian_has_a_build() -> None:
    assert [build.kind for build in builds_for("linux-x86_64", "3.14")] == ["cpu", "cuda"]


def test_the_folder_says_which_build(tmp_path: Path) -> None:
    cpu, cuda = make_wheels(tmp_path / "cpu"), make_wheels(tmp_path / "cuda", torch={"torch/__init__.py": "cuda = 1"})
    locks = tmp_path / "locks"
    lock = make_lock(locks, cuda).lock
    lock.rename(locks / f"{this_system()}-{lock.stem.split('-')[2]}-cuda.txt")
    make_lock(locks, cpu)
    assert build_in(cuda, "cpu", locks).kind == "cuda"
    assert build_in(cpu, "cpu", locks).kind == "cpu"
    assert build_in(tmp_path, "cpu", locks).kind == "cpu"


@pytest.mark.parametrize("line", ["torch==2.0", "torch>=2 --hash=sha256:" + "0" * 64 + "  # file=x bytes=1 unpacked=1"])
def test_a_lock_without_exact_wheels_is_refused(line: str, tmp_path: Path) -> None:
    lock = tmp_path / "linux-x86_64-py311-cpu.txt"
    lock.write_text(line)
    with pytest.raises(Failure, match="exact wheel"):
        read_build(lock)


# --- pip's complaints ---------------------------------------------------------------------------------------------

RETRY = "WARNING: Retrying (Retry(total=1)) after connection broken by '{}': /simple/torch/"
NOTHING = "ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ([RETRY.format("NewConnectionError('Failed to establish a new connection')"), NOTHING], "no_network"),
        ([RETRY.format("NameResolutionError('Failed to resolve pypi.org')"), NOTHING], "no_network"),
        ([RETRY.format("ProxyError('Cannot connect to proxy.')"), NOTHING], "proxy"),
        ([RETRY.format("SSLError(SSLCertVerificationError(1, 'CERTIFICATE_VERIFY_FAILED'))"), NOTHING], "certificate"),
        ([NOTHING, "ERROR: No matching distribution found for torch==2.13.0"], "not_offered"),
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"], "disk_full"),
        (["ERROR: [WinError 32] The process cannot access the file"], "no_permission"),
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."], "hash_wrong"),
        (["ERROR: something that nobody has seen before"], "install_failed"),
        ([], "install_failed"),
    ],
)
def test_complaints(said: list[str], code: str) -> None:
    failure = explain("torch 2.13.0", said, 1)
    assert failure.code == code and failure.hint.endswith(".") and "{" not in str(failure)


def test_errors_of_the_system() -> None:
    assert explain_system(OSError(errno.ENOSPC, "No space left on device")).code == "disk_full"
    assert explain_system(PermissionError(errno.EACCES, "Permission denied")).code == "no_permission"
