# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's process: started with a Python of its own, read without ever blocking Blender's main thread.

Two threads do nothing but read the pipes (a thread works on every platform where Blender runs; a non-blocking pipe
does not). The main thread asks :meth:`EngineProcess.poll` for what has arrived.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import subprocess
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

from . import protocol
from .background import Future
from .failure import Failure
from .protocol import Message

DIED = "engine_died"
"""Type of the message that :meth:`EngineProcess.poll` itself makes, once, when the engine has ended."""

_KEPT_STDERR_LINES = 50
_GRACE = 1.0
"""Seconds that an ended process and its pipes get to agree that it has ended."""

# Blender and the system may point these at *their* Python; the engine's has a home of its own.
_FOREIGN = (
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONSTARTUP",
    "PYTHONPLATLIBDIR",
    "PYTHONSAFEPATH",
    "PYTHONINSPECT",
    "__PYVENV_LAUNCHER__",
)

# Only Windows has it: without, a console window would pop up.
FLAGS: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
_running: set[EngineProcess] = set()


def engine_environment(root: Path) -> dict[str, str]:
    """The environment for an engine that lies in ``root``."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environment["PYTHONPATH"] = str(root)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    # The extension's folder belongs to Blender (and may be read-only): no caches in it.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return environment


@dataclass(frozen=True)
class Launch:
    """How the engine is started.

    Args:
        python: its interpreter.
        root: the folder that holds ``join_engine``.
        device: auto, cpu or cuda.
    """

    python: Path
    root: Path
    device: str = "auto"


class EngineProcess:
    """One running ``python -m join_engine serve``.

    Args:
        python: the engine's interpreter.
        root: the folder that holds ``join_engine``.
        arguments: what the interpreter shall run instead of the engine, if it speaks the same protocol.

    Raises:
        Failure: ``engine_start`` when the interpreter cannot be started at all.
    """

    def __init__(self, python: Path, root: Path, arguments: Sequence[str] = ("-m", "join_engine", "serve")) -> None:
        self._events: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._stderr: deque[str] = deque(maxlen=_KEPT_STDERR_LINES)
        self._ended_at: float | None = None
        self._death_told = False
        self._garbage: str | None = None
        try:
            self._process = subprocess.Popen(
                [str(python), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=root,
                env=engine_environment(root),
                creationflags=FLAGS,
            )
        except OSError as error:
            raise Failure(
                "engine_start",
                f"The engine's Python could not be started: {python} ({error.strerror or error}).",
                "Choose another in the add-on's preferences.",
            ) from error
        _running.add(self)
        assert self._process.stdout is not None and self._process.stderr is not None
        events, log = self._process.stdout, self._process.stderr
        self._readers = [Future(partial(self._read_events, events)), Future(partial(self._read_stderr, log))]

    @property
    def pid(self) -> int:
        """The operating system's number for the process."""
        return self._process.pid

    @property
    def words(self) -> list[str]:
        """The last lines that it has logged."""
        return list(self._stderr)

    def send(self, message: Message) -> None:
        """Hand a request to the engine. That it is dead is for :meth:`poll` to say."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(protocol.encode(message))
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError, OSError):
            # A closed pipe means a dead engine, and the next poll() tells so with its last words.
            return

    def poll(self) -> list[Message]:
        """What has arrived since the last call; after the engine's end one last message of type :data:`DIED`."""
        events = []
        while not self._events.empty():
            events.append(self._events.get())
        if not self._death_told and self._has_ended():
            while not self._events.empty():
                events.append(self._events.get())
            self._death_told = True
            _running.discard(self)
            events.append({"type": DIED, "message": self._how_it_ended()})
        return events

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped the process, as SIGSTOP does; False where the system does not say."""
        with contextlib.suppress(OSError, ValueError):
            stat = Path(f"/proc/{self.pid}/stat").read_text("utf-8", "replace")
            return stat[stat.rindex(")") + 2] == "T"
        if hasattr(os, "waitid"):
            with contextlib.suppress(OSError):
                how = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
                return os.waitid(os.P_PID, self.pid, how) is not None
        return False

    def kill(self) -> None:
        """End the process and see it gone, which takes milliseconds; a machine that has no time for anything lets go of
        it later."""
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        _running.discard(self)

    def end(self, grace: float) -> None:
        """Ask the process to end, by the end of its stdin, and :meth:`kill` it after ``grace`` seconds."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(grace)
        except (OSError, subprocess.TimeoutExpired):
            pass  # it is dead already, or does not listen
        self.kill()

    def _has_ended(self) -> bool:
        """True when the process is gone, or talks nonsense, and everything it said has been read."""
        readers_done = all(reader.done for reader in self._readers)
        if self._garbage is not None:
            self.kill()
            return True
        if self._process.poll() is None and not self._readers[0].done:
            return False
        if readers_done and self._process.poll() is not None:
            return True
        # Either the process is gone and a child of its own still holds a pipe, or it closed its stdout and lives on.
        now = time.monotonic()
        self._ended_at = self._ended_at or now
        if now - self._ended_at < _GRACE:
            return False
        self.kill()
        return True

    def _how_it_ended(self) -> str:
        if self._garbage is not None:
            return f"it answered with something that is no engine's message ({self._garbage!r})"
        lines = [line for line in self._stderr if line.strip()]
        code = self._process.poll()
        how = f"exit code {code}" if code is None or code >= 0 else f"signal {-code}"
        return f"{how}: {lines[-1].strip()}" if lines else how

    def _read_events(self, pipe: IO[bytes]) -> None:
        decoder = protocol.Decoder()
        while piece := os.read(pipe.fileno(), 65536):
            try:
                messages = decoder.feed(piece)
            except protocol.NotTheProtocol as error:
                self._garbage = str(error)
                return
            for message in messages:
                self._events.put(message)
        self._process.wait()  # so that no zombie stays behind

    def _read_stderr(self, pipe: IO[bytes]) -> None:
        for line in pipe:
            self._stderr.append(line.decode("utf-8", "replace").rstrip())


def kill_all() -> None:
    """End every engine that this Blender has started."""
    for process in tuple(_running):
        process.kill()


# Also without this an engine ends, at the end of file on its stdin; but a stuck one would not.
atexit.register(kill_all)
