# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's process, with a stand-in for the engine; no bpy."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from join_blender.engine.failure import Failure
from join_blender.engine.process import DIED, EngineProcess, engine_environment
from join_blender.engine.protocol import Message
from join_blender.install import locate
from tests.join_blender.support import ROOT, fake_python, make_bank


@pytest.fixture
def python(tmp_path: Path) -> Path:
    return fake_python(tmp_path)


def events_until(engine: EngineProcess, kind: str, seconds: float = 10.0) -> list[Message]:
    events: list[Message] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        events += engine.poll()
        if events and events[-1]["type"] == kind:
            return events
        time.sleep(0.01)
    raise AssertionError(f"no {kind} in {events}")


def test_poll_never_blocks(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "silent")
    engine = EngineProcess(python, ROOT)
    start = time.perf_counter()
    assert all(engine.poll() == [] for _ in range(100))
    assert time.perf_counter() - start < 0.1
    engine.kill()
    assert events_until(engine, DIED)[-1]["message"] == "signal 9"
    assert engine.poll() == []


def test_a_process_that_takes_long_to_go_is_no_error(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "silent")
    engine = EngineProcess(python, ROOT)

    def never(timeout: float) -> int:
        raise subprocess.TimeoutExpired("engine", timeout)

    with monkeypatch.context() as starved:
        starved.setattr(engine._process, "wait", never)
        engine.kill()
        engine.end(0.01)
    assert engine._process.wait(timeout=20) == -9


def test_last_words_are_kept(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_ENGINE", "dies")
    engine = EngineProcess(python, ROOT)
    assert events_until(engine, DIED)[-1]["message"] == "exit code 1: the last words"
    engine.send({"type": "shutdown", "id": "1"})  # to the dead: nothing happens


@pytest.mark.slow
def test_a_child_that_holds_the_pipe_does_not_hide_a_death(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text("import subprocess, sys\nsubprocess.Popen(['sleep', '5'])\nsys.exit(4)\n", encoding="utf-8")
    engine = EngineProcess(fake_python(tmp_path, script), ROOT)
    assert events_until(engine, DIED, 4.0)[-1]["message"] == "exit code 4"


def test_an_interpreter_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="could not be started"):
        EngineProcess(tmp_path / "nothing", ROOT)


def test_the_environment_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHOME", "PYTHONPATH", "PYTHONEXECUTABLE"):
        monkeypatch.setenv(name, "/blender")
    environment = engine_environment(ROOT)
    assert "PYTHONHOME" not in environment and "PYTHONEXECUTABLE" not in environment
    assert environment["PYTHONPATH"] == str(ROOT) and environment["PYTHONUTF8"] == "1"


@pytest.mark.slow
def test_an_engine_ends_with_its_blender(python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if that Blender is shot: the engine reads the end of its stdin."""
    monkeypatch.setenv("FAKE_ENGINE", "ok")
    program = (
        "import os, sys; from pathlib import Path; from join_blender.engine.process import EngineProcess;"
        f"e = EngineProcess(Path({str(python)!r}), Path({str(ROOT)!r}));"
        "print(e.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    engine = int(done.stdout)
    deadline = time.monotonic() + 10
    while _lives(engine):
        assert time.monotonic() < deadline, "the engine outlived its Blender"
        time.sleep(0.02)


@pytest.mark.slow
def test_an_engine_at_work_is_gone_soon_after_its_blender(tmp_path: Path) -> None:
    """The real one, in the middle of a decomposition."""
    image = tmp_path / "image.npy"
    np.save(image, np.full((64, 64, 3), 0.5, np.float32))
    bank = make_bank(tmp_path / "tiny.safetensors")
    (tmp_path / "out").mkdir()
    program = f"""
import os, sys, time
from pathlib import Path
from join_blender.engine.process import EngineProcess
from join_blender.engine.protocol import Options, decompose
engine = EngineProcess(Path(sys.executable), Path({str(ROOT)!r}))
options = Options({str(bank)!r}, "standard", 0, 100000)
job = decompose(Path({str(image)!r}), Path({str(tmp_path / "out")!r}), options)
engine.send(dict(job, id="1"))
while not any(event["type"] == "progress" for event in engine.poll()):
    time.sleep(0.01)
print(engine.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    killed = time.monotonic()
    while _lives(int(done.stdout)):
        assert time.monotonic() - killed < 5.0, "the engine outlived its Blender"
        time.sleep(0.02)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/stat")
    return not (status.exists() and status.read_text().split()[2] == "Z")


def test_finding_python(tmp_path: Path) -> None:
    own = tmp_path / ".venv" / "bin" / "python"
    with pytest.raises(Failure, match="The engine is not installed"):
        locate.find_python(root=tmp_path, environ={})
    own.parent.mkdir(parents=True)
    own.touch()
    chosen = tmp_path / "chosen"
    chosen.touch()
    variable = {locate.VARIABLE: str(chosen)}
    assert locate.find_python(root=tmp_path, environ={}).path == own
    assert locate.find_python(root=tmp_path / "x", environ=variable).path == chosen
    assert locate.find_python(f' "{chosen}" ', tmp_path, {}).path == chosen
    assert locate.find_python(str(tmp_path / ".venv"), tmp_path, variable).path == own
    with pytest.raises(Failure, match="preferences name does not exist"):
        locate.find_python(str(tmp_path / "gone"), tmp_path, variable)
    with pytest.raises(Failure, match="JOIN_ENGINE_PYTHON names does not exist"):
        locate.find_python("", tmp_path, {locate.VARIABLE: str(tmp_path / "gone")})
