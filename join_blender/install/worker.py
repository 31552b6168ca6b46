# SPDX-License-Identifier: GPL-3.0-or-later
"""The installer: ``python -m join_blender.install.worker``, run by Blender's own Python in a process of its own.

Speaks the engine's protocol. One request, ``install`` or ``frames``, comes in on stdin; ``progress`` goes out, and at
last a ``result``, ``error`` or ``cancelled``. A ``cancel`` request, and just so the end of stdin, ends pip, or the
Blender that writes frames, at once: a Blender that dies leaves no installer behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ..engine import protocol
from ..engine.failure import Failure
from ..engine.process import FLAGS
from . import pip_errors
from .builds import Build, Wheel, read_build, this_python
from .frames import write_frames
from .paths import Paths, free_bytes, gigabytes, python_in

_MARGIN = 100 * 2**20
"""Bytes that stay free on the disk."""
_KEPT_LINES = 200
_PROBE = Path(__file__).with_name("probe.py")
_RUN_PIP = Path(__file__).with_name("run_pip.py")

# What would send pip's work somewhere else than into the environment. Proxies, mirrors and certificates stay.
_REDIRECTIONS = ("TARGET", "PREFIX", "ROOT", "USER", "PYTHON", "REQUIREMENT", "CONSTRAINT", "BUILD_CONSTRAINT")
_FOREIGN_PIP = tuple(f"PIP_{name}" for name in (*_REDIRECTIONS, "DRY_RUN", "REPORT", "NO_BINARY", "LOG", "DEST", "SRC"))

# Where in the whole (0 to 1) each stage begins and ends.
_STAGES = {"download": (0.0, 0.7), "environment": (0.7, 0.72), "install": (0.72, 0.97), "check": (0.97, 1.0)}


class Cancelled(Exception):
    """The user, or the end of Blender, wants no more of it."""


class Stop:
    """Set once; ends the child process that runs at the time."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None

    def set(self) -> None:
        """From the thread that reads."""
        self._set.set()
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def check(self) -> None:
        """Raise Cancelled once it is set."""
        if self._set.is_set():
            raise Cancelled

    def run(self, command: list[str], hear: Callable[[str], None], **options: Any) -> int:
        """Run a child to its end, with ``options`` of Popen's, and ``hear`` each line that it says; its exit status."""
        self.check()
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "creationflags": FLAGS}
        child: subprocess.Popen[str] = subprocess.Popen(command, encoding="utf-8", errors="replace", **pipes, **options)
        with self._lock:
            self._child = child
        if self._set.is_set():
            child.kill()
        try:
            for line in child.stdout or ():
                hear(line)
            code = child.wait()
            if child.stdin is not None:
                child.stdin.close()
        finally:
            with self._lock:
                self._child = None
        self.check()
        return code


class Installer:
    """One installation.

    Args:
        request: ``folder``, where (see :mod:`.paths`); ``lock``, which build; ``pip``, pip's own wheel, as not every
            Blender's Python has a pip; and ``wheels``, a folder of wheels to take instead of a download, or None.
        say: takes a message for Blender.
        stop: ends it.
    """

    def __init__(self, request: protocol.Message, say: Callable[[protocol.Message], None], stop: Stop) -> None:
        self._paths = Paths(Path(request["folder"]))
        self._build: Build = read_build(Path(request["lock"]))
        self._pip_wheel = str(request["pip"])
        self._wheels = Path(request["wheels"]) if request.get("wheels") else None
        self._say = say
        self._stop = stop
        self._log: IO[str] | None = None
        self._told = 0.0

    def run(self) -> dict[str, Any]:
        """From nothing to the finished environment; its facts.

        Raises:
            Failure: with one sentence and what to do.
            Cancelled: when it was stopped.
        """
        if self._build.python != this_python():
            what = f"Python {this_python()}, but these packages are for Python {self._build.python}"
            raise Failure("python_wrong", f"This Blender has {what}.", "Choose another build.")
        try:
            self._paths.folder.mkdir(parents=True, exist_ok=True)
            with _only_one(self._paths.lock), self._paths.log.open("w", encoding="utf-8") as self._log:
                return self._work()
        except OSError as error:
            raise pip_errors.explain_system(error) from error

    def _work(self) -> dict[str, Any]:
        paths = self._paths
        for left in (paths.unfinished, paths.outgoing, paths.scratch):
            shutil.rmtree(left, ignore_errors=True)
        self._check_space()
        source = self._wheels or paths.wheels
        if self._wheels is not None:
            self._check_folder(self._wheels)
        paths.scratch.mkdir()
        try:
            self._make_environment()
            if self._wheels is None:
                self._download()
            self._install(source)
            facts = self._examine()
            self._put_in_place(facts)
        finally:
            for left in (paths.unfinished, paths.scratch):
                shutil.rmtree(left, ignore_errors=True)
        return facts

    # --- the steps ------------------------------------------------------------------------------------------------

    def _check_space(self) -> None:
        missing = [] if self._wheels else self._build.missing_in(self._paths.wheels)
        needed = self._build.unpacked + sum(wheel.size for wheel in missing) + _MARGIN
        free = free_bytes(self._paths.folder)
        if free < needed:
            raise Failure(
                "disk_full",
                f"The engine needs {gigabytes(needed)} on the disk of {self._paths.folder}, "
                f"and {gigabytes(free)} are free.",
                f"Make room for {gigabytes(needed - free)} more and install again.",
            )

    def _check_folder(self, folder: Path) -> None:
        """All wheels are there, and are the right ones."""
        missing = [wheel.file for wheel in self._build.wheels if not (folder / wheel.file).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise Failure(
                "wheels_missing",
                f"The folder {folder} lacks {missing[0]}{more} of the {len(self._build.wheels)} packages of the "
                f"{self._build.label} build.",
                f"On a computer with a network, download them with: {self._build.command}",
            )
        for index, wheel in enumerate(self._build.wheels):
            self._progress("download", index / len(self._build.wheels), f"Checking {wheel.name}")
            if not self._is_right(folder / wheel.file, wheel):
                raise pip_errors.explain(wheel.file, ["DO NOT MATCH THE HASHES"], None)

    def _make_environment(self) -> None:
        self._progress("environment", 0.0, "Making the environment")
        base = [sys.executable, "-I", "-m", "venv", "--without-pip", str(self._paths.unfinished)]
        lines, code = self._run(base)
        if code != 0 or not self._python.is_file():
            last = lines[-1].strip() if lines else f"exit status {code}"
            raise Failure(
                "venv_failed",
                f"Blender's Python ({sys.executable}) cannot make an environment: {last[:200]}.",
                "Use a Blender from blender.org, or choose your own Python.",
            )

    def _download(self) -> None:
        """Wheel by wheel, so that each one that is complete stays for the next try."""
        paths, build = self._paths, self._build
        paths.wheels.mkdir(exist_ok=True)
        done = 0
        for wheel in build.wheels:
            if wheel.lies_in(paths.wheels) and self._is_right(paths.wheels / wheel.file, wheel):
                done += wheel.size
                continue
            (paths.wheels / wheel.file).unlink(missing_ok=True)

            def tell(part: int, before: int = done, name: str = wheel.name) -> None:
                sizes = f"{gigabytes(before + part)} of {gigabytes(build.download)}"
                self._progress("download", (before + part) / build.download, f"Downloading {name}, {sizes}")

            tell(0)
            self._fetch(wheel, tell)
            done += wheel.size

    def _fetch(self, wheel: Wheel, tell: Callable[[int], None]) -> None:
        paths = self._paths
        wanted = paths.scratch / "wanted.txt"
        wanted.write_text(wheel.requirement + "\n", encoding="utf-8")
        arrived = paths.scratch / "arrived"
        index = ["--extra-index-url", wheel.index] if wheel.index else []

        def hear(line: str) -> None:
            words = line.split()
            if len(words) == 4 and words[0] == "Progress":
                tell(int(words[1]))

        # fmt: off
        lines, code = self._run([
            *self._pip, "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(arrived),
            "--progress-bar", "raw", "--retries", "2", "--timeout", "20", "--no-cache-dir", *index, "-r", str(wanted),
        ], hear)
        # fmt: on
        file = arrived / wheel.file
        if code != 0 or not file.is_file():
            raise pip_errors.explain(f"{wheel.name} {wheel.version}", lines, code)
        file.replace(paths.wheels / wheel.file)

    def _install(self, source: Path) -> None:
        self._progress("install", 0.0, "Installing")
        end = threading.Event()
        watcher = threading.Thread(target=self._watch_growth, args=(end,), daemon=True)
        watcher.start()
        # fmt: off
        try:
            lines, code = self._run([
                *self._pip, "install", "--no-index", "--find-links", str(source), "--no-deps", "--require-hashes",
                "--only-binary", ":all:", "--no-cache-dir", "--no-warn-script-location", "--progress-bar", "off",
                "-r", str(self._build.lock),
            ])
        finally:
            end.set()
            watcher.join()
        # fmt: on
        if code != 0:
            raise pip_errors.explain("the packages", lines, code)

    def _watch_growth(self, end: threading.Event) -> None:
        """pip says nothing while it unpacks: what has arrived tells how far it is."""
        while not end.wait(1.0):
            part = min(_size_of(self._paths.unfinished) / max(self._build.unpacked, 1), 1.0)
            self._progress("install", part, f"Installing, {part:.0%}")

    def _examine(self) -> dict[str, Any]:
        """Let the new Python load the packages; its facts."""
        self._progress("check", 0.0, "Starting it for the first time")
        lines, code = self._run([str(self._python), "-I", str(_PROBE)], split="\0")
        messages = [json.loads(line) for line in lines if line.startswith("{")]
        if not messages:
            words = lines[-1].strip()[:200] if lines else f"exit status {code}"
            raise Failure(
                "probe_failed", f"The new environment does not work: {words}.", "Install again, or see the log."
            )
        if messages[-1]["type"] == "error":
            raise Failure(
                "probe_failed", f"The new environment does not work. {messages[-1]['message']}", "See the log."
            )
        seen = {name: messages[-1][name] for name in ("python", "versions", "device")}
        return {
            **seen,
            "kind": self._build.kind,
            "digest": self._build.digest,
            "base": sys.executable,
            "made": time.strftime("%Y-%m-%d"),
            "bytes": _size_of(self._paths.unfinished),
        }

    def _put_in_place(self, facts: dict[str, Any]) -> None:
        """From here on it counts. The one before it, if any, is kept until the new one stands in its place."""
        paths = self._paths
        self._stop.check()
        marker = paths.unfinished / paths.marker.name
        marker.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        try:
            if paths.environment.exists():
                paths.environment.rename(paths.outgoing)
            paths.unfinished.rename(paths.environment)
        except OSError as error:
            if not paths.environment.exists() and paths.outgoing.exists():
                paths.outgoing.rename(paths.environment)
            raise Failure(
                "in_use",
                f"The engine that is installed now cannot be replaced ({error.strerror or error}).",
                "Stop every decomposition, close other Blenders and install again.",
            ) from error
        shutil.rmtree(paths.outgoing, ignore_errors=True)
        shutil.rmtree(paths.wheels, ignore_errors=True)

    # --- helpers --------------------------------------------------------------------------------------------------

    @property
    def _python(self) -> Path:
        return python_in(self._paths.unfinished)

    @property
    def _pip(self) -> list[str]:
        return [str(self._python), "-s", "-P", str(_RUN_PIP)]

    def _is_right(self, path: Path, wheel: Wheel) -> bool:
        self._stop.check()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256

    def _run(
        self, command: list[str], hear: Callable[[str], None] | None = None, split: str = "\n"
    ) -> tuple[list[str], int]:
        """Run a child to its end; the last things it said, and its exit status. All of it goes to the log."""
        self._stop.check()
        log = self._log
        assert log is not None
        log.write(f"$ {subprocess.list2cmdline(command)}\n")
        log.flush()
        kept: deque[str] = deque(maxlen=_KEPT_LINES)

        def take(line: str) -> None:
            for piece in line.rstrip("\r\n").split(split):
                if hear is not None:
                    hear(piece)
                if piece and not piece.startswith("Progress "):
                    kept.append(piece)
                    log.write(piece + "\n")

        # The end of its stdin is the end of pip (see run_pip.py).
        options = {"stdin": subprocess.PIPE, "env": self._environment(), "cwd": self._paths.folder}
        code = self._stop.run(command, take, **options)
        log.flush()
        return list(kept), code

    def _environment(self) -> dict[str, str]:
        scratch = str(self._paths.scratch)
        ours = {"PYTHONUTF8": "1", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "LC_ALL": "C.UTF-8"}
        ours |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch)
        # A wheel can be imported from as it is, which is how Python itself brings pip into an environment.
        ours["PYTHONPATH"] = self._pip_wheel
        kept = {name: value for name, value in os.environ.items() if name.upper() not in _FOREIGN_PIP}
        return {name: value for name, value in kept.items() if not name.upper().startswith("PYTHON")} | ours

    def _progress(self, stage: str, part: float, text: str) -> None:
        """At most ten a second."""
        now = time.monotonic()
        if 0.0 < part < 1.0 and now - self._told < 0.1:
            return
        self._told = now
        begin, end = _STAGES[stage]
        whole = begin + (end - begin) * min(part, 1.0)
        self._say({"type": "progress", "stage": stage, "fraction": whole, "text": text})


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Refuse while another Blender installs. The system itself lets go of the lock when a process dies."""
    with path.open("a+b") as file:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Failure(
                "busy", "Another Blender is installing the engine just now.", "Wait for it, or cancel it there."
            ) from error
        yield


def _size_of(folder: Path) -> int:
    total = 0
    for name, _folders, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(name, file)).st_size  # noqa: PTH118 (thousands of them)
            except OSError:
                continue  # gone since it was listed
    return total


def main() -> int:
    """Serve one request."""
    stop = Stop()
    out = os.dup(1)
    os.dup2(2, 1)  # what anything else prints is no message
    lock = threading.Lock()

    def say(message: protocol.Message) -> None:
        data = protocol.encode(message)
        try:
            with lock:
                while data:
                    data = data[os.write(out, data) :]
        except OSError:
            stop.set()  # nobody listens any more

    messages = _messages()
    first = next(messages, None)
    if first is None or first["type"] not in ("install", "frames"):
        return 2

    def listen() -> None:
        for message in messages:
            if message["type"] == "cancel":
                break
        stop.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        installs = first["type"] == "install"
        done = Installer(first, say, stop).run() if installs else write_frames(first, say, stop)
        say({"type": "result", **done})
    except Cancelled:
        say({"type": "cancelled"})
    except Failure as failure:
        say({"type": "error", "code": failure.code, "message": failure.message, "hint": failure.hint})
    return 0


def _messages() -> Iterator[protocol.Message]:
    decoder = protocol.Decoder()
    while piece := os.read(0, 65536):
        yield from decoder.feed(piece)


if __name__ == "__main__":
    sys.exit(main())
