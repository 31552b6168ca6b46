# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages over file descriptors: one UTF-8 JSON object each, ended by a NUL byte."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import JoinError
from .requests import LONGEST_MESSAGE


class Channel:
    """Writes events; from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def send(self, kind: str, request: Any = None, **content: Any) -> None:
        """One event. ``request`` is the id that it answers. The process ends when nobody listens any more."""
        event = {"type": kind, "id": request, **content}
        if kind == "hello":
            del event["id"]
        # Escaped to ASCII: a client's text may hold what UTF-8 cannot say, such as half of a surrogate pair.
        data = json.dumps(event).encode("ascii") + b"\0"
        try:
            with self._lock:
                while data:
                    data = data[os.write(self._descriptor, data) :]
        except OSError:
            leave()

    def send_error(self, request: Any, error: JoinError) -> None:
        """An error event."""
        self.send("error", request, code=error.code, message=error.message, hint=error.hint)


def read_messages(descriptor: int) -> Iterator[bytes]:
    """Messages from a file descriptor, without their NUL bytes, until its end.

    Of one that is longer than a message may be, the beginning: enough to see that it is too long.
    """
    rest = bytearray()  # each byte is looked through once, however long a message is
    while chunk := os.read(descriptor, 65536):
        *ends, beginning = chunk.split(b"\0")
        for end in ends:
            yield bytes((rest + end)[: LONGEST_MESSAGE + 1])
            rest.clear()
        rest += beginning
        del rest[LONGEST_MESSAGE + 1 :]


def take_stdout() -> int:
    """A private descriptor of the real stdout; whatever else prints, prints to stderr from now on."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(private, os.O_BINARY)
        msvcrt.setmode(0, os.O_BINARY)
    return private


def leave() -> None:
    """End the process at once, in the midst of whatever the worker does, and whether or not somebody reads."""
    os._exit(0)
