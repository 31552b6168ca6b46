# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a process: requests on stdin, events on stdout, logs on stderr.

Each message is one UTF-8 JSON object, ended by a NUL byte. Pixels travel as ``.npy`` files (float32, scene-linear).
``hello`` comes first; every event of a job carries the id of its request.
The main thread reads and does nothing else, one thread answers, one works: a cancellation is seen while a job runs, and
the end of stdin ends the process even where nobody reads what it says, so that a Blender that dies leaves no engine
behind. SIGINT, SIGTERM and SIGHUP end it in the same way, with status 0.
"""

from __future__ import annotations

import logging
import platform
import queue
import signal
import sys
import threading
import time

from .. import __version__
from ..errors import JoinError
from .channel import Channel, leave, read_messages, take_stdout
from .engine import Engine
from .parent import ends_with_its_parent

PROTOCOL = 1
TORCH_MISSING = 3  # exit status
_GRACE = 2.0
"""Seconds at the end of stdin for the answers to what came before it, where somebody reads them."""


def serve(device: str = "auto", threads: int | None = None) -> int:
    """Serve until the end of stdin or a shutdown request; returns the exit status.

    Status 3, after an ``error`` event with the code ``torch_missing``, means that torch cannot be imported.
    """
    _end_by_signals()
    channel = Channel(take_stdout())
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        with ends_with_its_parent():
            import torch
    except ImportError as error:
        problem = JoinError(
            "torch_missing",
            f"The engine's Python ({sys.executable}) cannot import torch ({error}).",
            "Install torch for that Python, or choose another one.",
        )
        channel.send_error(None, problem)
        return TORCH_MISSING
    try:
        engine = Engine(channel, device, threads)
    except JoinError as error:
        channel.send_error(None, error)
        return 2
    channel.send(
        "hello",
        protocol=PROTOCOL,
        engine=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        device=str(engine.device),
        banks=engine.list_banks(),
    )
    messages: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=engine.work, name="worker", daemon=True).start()
    threading.Thread(target=_answer, args=(engine, messages), name="answers", daemon=True).start()
    for message in read_messages(0):
        messages.put(message)
    end = time.monotonic() + _GRACE
    while messages.unfinished_tasks and time.monotonic() < end:
        time.sleep(0.01)
    leave()
    return 0


def _answer(engine: Engine, messages: queue.Queue[bytes]) -> None:
    while True:
        engine.handle(messages.get())
        messages.task_done()


def _end_by_signals() -> None:
    """An orderly end, which Python's own for SIGINT is not: torch aborts when threads of its are at work."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: leave())
