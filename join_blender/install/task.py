# SPDX-License-Identifier: GPL-3.0-or-later
"""Something about the engine that takes time: installing it, testing it, trying a Python. Started, then looked at."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..engine import protocol
from ..engine.failure import Failure
from ..engine.process import DIED, EngineProcess
from .builds import LOCKS, Build
from .locate import engine_root

_PROBE_SECONDS = 60.0
_TEST_SECONDS = 120.0
_CANCEL_SECONDS = 5.0
_OTHER = "Install the engine again, or choose a python executable that has torch."


@dataclass(frozen=True)
class Progress:
    """How far it is: 0 to 1, and in words."""

    fraction: float
    text: str


class Task:
    """A process of which one answer is wanted.

    Args:
        what: in words, as in "Testing the engine".
        python: which interpreter.
        arguments: what it runs.
        request: what it is told first.
        limit: seconds without an answer after which it is ended; None for no limit.
        hint: what to do if it dies or does not answer.

    Raises:
        Failure: when the process cannot be started.
    """

    def __init__(
        self,
        what: str,
        python: Path,
        arguments: Sequence[str],
        request: protocol.Message | None = None,
        limit: float | None = None,
        hint: str = "",
    ) -> None:
        self.what = what
        self._hint = hint
        self.python = python
        self.progress = Progress(0.0, what)
        self.answer: protocol.Message | None = None
        self.failure: Failure | None = None
        self.cancelled = False
        self._cancelling = False
        self._limit = limit
        self._deadline = None if limit is None else time.monotonic() + limit
        self._process = EngineProcess(python, engine_root(), arguments)
        if request is not None:
            self._process.send(request)

    @property
    def done(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.answer is not None or self.failure is not None or self.cancelled

    def step(self) -> bool:
        """Take in what has arrived; True when it is done. Never blocks."""
        for message in () if self.done else self._process.poll():
            self._hear(message)
            if self.done:
                break
        if not self.done and self._deadline is not None and time.monotonic() > self._deadline:
            self._overdue()
        if self.done:
            self._process.kill()
        return self.done

    def wait(self, interval: float = 0.05) -> None:
        """Block until it is done: for background mode only."""
        while not self.step():
            time.sleep(interval)

    def cancel(self) -> None:
        """Ask it to end; it is done a moment later."""
        self._process.send({"type": "cancel"})
        self._cancelling = True
        self._deadline = time.monotonic() + _CANCEL_SECONDS
        self.progress = Progress(self.progress.fraction, "Cancelling")

    def abandon(self) -> None:
        """End it now. An installer ends its pip first: the end of its stdin tells it to."""
        if not self.done:
            self._process.end(grace=1.0)
            self.cancelled = True

    def _hear(self, message: protocol.Message) -> None:
        kind = message["type"]
        if self._cancelling and kind != "cancelled":
            self.cancelled = kind in ("result", "error", DIED)
        elif kind == "progress":
            self.progress = Progress(float(message["fraction"]), str(message["text"]))
        elif kind in ("result", "hello"):
            self.answer = message
        elif kind == "cancelled":
            self.cancelled = True
        elif kind == "error":
            self.failure = Failure(message["code"], message["message"], message.get("hint", ""))
        elif kind == DIED:
            self.failure = Failure(DIED, f"{self.what} failed: it ended by itself ({message['message']}).", self._hint)

    def _overdue(self) -> None:
        if self._cancelling:
            self.cancelled = True
            return
        self.failure = Failure(
            "no_answer",
            f"{self.what} failed: {self.python} did not answer within {self._limit:.0f} seconds.",
            self._hint,
        )


def install(build: Build, folder: Path, wheels: Path | None = None, python: Path | None = None) -> Task:
    """Install ``build`` below ``folder``, from the network or from a folder of wheels, with Blender's own Python."""
    pip = next(LOCKS.glob("pip-*.whl"), None)
    if pip is None:
        raise Failure("pip_missing", "The add-on is incomplete: its pip is gone.", "Install the add-on again.")
    request = {
        "type": "install",
        "folder": str(folder),
        "lock": str(build.lock),
        "pip": str(pip),
        "wheels": str(wheels) if wheels else None,
    }
    arguments = ["-m", "join_blender.install.worker"]
    return Task("Installing the engine", python or blender_python(), arguments, request, hint="Install again.")


def write_frames(what: str, movie: Path, folder: Path, blender: Sequence[str]) -> Task:
    """Write the frames of a movie, see :func:`.frames.write_frames`; its answer has their paths, ``frames``."""
    request = {"type": "frames", "movie": str(movie), "folder": str(folder), "blender": list(blender)}
    arguments = ["-m", "join_blender.install.worker"]
    return Task(what, blender_python(), arguments, request, hint="Press the button again.")


def check(python: Path) -> Task:
    """Find out whether ``python`` can run the engine; its answer has ``python``, ``versions`` and ``device``."""
    probe = Path(__file__).with_name("probe.py")
    return Task("Trying this Python", python, ["-I", str(probe)], limit=_PROBE_SECONDS, hint=_OTHER)


def test(python: Path) -> Task:
    """Start the engine as a decomposition would; its answer is its ``hello``."""
    return Task("Testing the engine", python, ["-m", "join_engine", "serve"], limit=_TEST_SECONDS, hint=_OTHER)


def blender_python() -> Path:
    """Blender's own interpreter.

    Raises:
        Failure: ``python_missing``.
    """
    name = "python.exe" if sys.platform == "win32" else "python{}.{}".format(*sys.version_info[:2])
    folder = Path(sys.prefix) if sys.platform == "win32" else Path(sys.prefix) / "bin"
    # sys.executable comes last: it can be another Python of that name from the search path, or Blender itself.
    for path in (folder / "bin" / name, folder / name, Path(sys.executable)):
        if path.is_file() and path.name.lower().startswith("python"):
            return path
    raise Failure("python_missing", "This Blender does not bring a Python of its own.", "Choose your own Python below.")
