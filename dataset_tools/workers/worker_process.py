# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's end of a worker: start the process, talk to it, end it, clean up behind it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from dataset_tools.rendering.job import Job
from dataset_tools.storage import scratch, shards
from dataset_tools.storage.shards import Shard
from dataset_tools.workers.worker import COMMAND

# A worker that Blender takes longer than this to start is lost.
STARTUP_SECONDS = 300.0


def this_command(file: Path | None = None) -> list[str]:
    """How to start this tool, or another script, as it was: by Blender or by Python. Never imports bpy."""
    script = str(file or Path(__file__).parents[1] / "render.py")
    # Inside Blender it is always imported. bpy.app.module is younger than 4.2; there, a module names no binary.
    bpy = sys.modules.get("bpy")
    if bpy is not None and not getattr(bpy.app, "module", not bpy.app.binary_path):
        # Our own workers render on one thread; see workers/resources.py.
        threads = [] if file else ["-t", "1"]
        return [bpy.app.binary_path, "-b", "--factory-startup", *threads, "-P", script, "--"]
    return [sys.executable, script]


class WorkerProcess:
    """One worker and what is known of it. Its messages arrive in ``inbox`` as (worker, message), None at its end."""

    def __init__(self, number: int, command: list[str], job: Job, inbox: queue.SimpleQueue[Any]) -> None:
        self.number = number
        self.job = job
        self.heard = time.monotonic()
        self.hello: dict[str, Any] | None = None
        self.shard: Shard | None = None
        self.current: int | None = None
        self.rendered = 0
        self.resident: int | None = None
        self.baseline: int | None = None
        self.last_words = ""
        self._folder = tempfile.mkdtemp(prefix=scratch.prefix(), dir=scratch.scratch_folder())
        self._log = Path(self._folder) / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, COMMAND],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, scratch.VARIABLE: self._folder},
            )
        assert self._process.stdout
        threading.Thread(target=self._read, args=(self._process.stdout, inbox), daemon=True).start()
        self._send(job.to_json())

    def _read(self, stream: IO[str], inbox: queue.SimpleQueue[Any]) -> None:
        for line in stream:
            # Blender greets on stdout before the script begins.
            with suppress(ValueError):
                message = json.loads(line)
                if isinstance(message, dict):
                    inbox.put((self, message))
        stream.close()
        inbox.put((self, None))

    def _send(self, message: dict[str, Any]) -> None:
        # A dead worker is noticed by the end of its stdout.
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def hand_out(self, shard: Shard, skip: list[int], careful: bool) -> None:
        """Have a shard rendered without the samples to skip; carefully means one sample after another."""
        self.shard, self.current = shard, None
        self.heard = time.monotonic()
        self._send({"first": shard.first, "count": shard.count, "skip": skip, "careful": careful})

    def hear(self, message: dict[str, Any]) -> None:
        """Note what a message tells about the worker itself."""
        self.heard = time.monotonic()
        with suppress(OSError):
            os.utime(self._folder)
        match message["event"]:
            case "ready":
                self.hello = message
            case "begin":
                self.current = message["index"]
            case "sample":
                self.rendered += 1
                self.resident = message["resident"]
                self.baseline = self.baseline or self.resident
            case "shard":
                self.shard = self.current = None

    @property
    def grown(self) -> int:
        """Bytes of memory that it has taken since its first sample."""
        return (self.resident or 0) - (self.baseline or 0)

    @property
    def silent_seconds(self) -> float:
        """How long it has said nothing."""
        return time.monotonic() - self.heard

    def end(self, patience: float = 0.0) -> str:
        """End it, now or when ``patience`` seconds are over, and remove what it leaves; returns how it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=patience)
        with suppress(OSError):
            self._process.kill()
        status = self._process.wait()
        with suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        with suppress(OSError):
            self.last_words = self._log.read_text("utf-8", "replace").strip()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self.shard:
            shards.remove_partial(self.job.out, self.shard, self._process.pid)
        return _describe(status)


def _describe(status: int) -> str:
    if status >= 0:
        return f"its process ended with status {status}"
    with suppress(ValueError):
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process was ended by signal {-status}"
