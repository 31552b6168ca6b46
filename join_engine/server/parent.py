# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine ends with the process that started it also while it cannot read: loading torch takes seconds, on a busy
machine many of them, in which nobody looks at the end of stdin."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .channel import leave

_SECONDS_BETWEEN_LOOKS = 0.2
_PR_SET_PDEATHSIG = 1


@contextmanager
def ends_with_its_parent() -> Iterator[None]:
    """While the block runs, the end of whoever started this process ends it.

    On Linux the system sees to it, even while a library is being loaded and no thread of Python's can do anything.
    Only while the block runs: the system takes the end of the *thread* that started the process for that of its parent.
    """
    done = threading.Event()
    _ask_the_system(signal.SIGKILL if sys.platform.startswith("linux") else 0)
    threading.Thread(target=_watch, args=(done,), name="parent", daemon=True).start()
    try:
        yield
    finally:
        done.set()
        _ask_the_system(0)


def _ask_the_system(number: int) -> None:
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _watch(done: threading.Event) -> None:
    while not done.wait(_SECONDS_BETWEEN_LOOKS):
        if _nobody_is_there():
            leave()


def _nobody_is_there() -> bool:
    """Whether stdin is a pipe whose other end is closed and which holds nothing to answer any more."""
    if sys.platform == "win32":
        import _winapi
        import msvcrt

        try:
            _winapi.PeekNamedPipe(msvcrt.get_osfhandle(0), 0)
        except OSError as error:
            return getattr(error, "winerror", 0) == 109  # broken pipe
        return False
    import select

    look = select.poll()
    look.register(0, select.POLLIN | select.POLLHUP)
    events = dict(look.poll(0)).get(0, 0)
    return bool(events & select.POLLHUP) and not events & select.POLLIN
