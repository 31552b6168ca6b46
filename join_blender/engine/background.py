# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for a thread of its own, so that Blender's main thread only ever asks whether it is done; temporary folders."""

from __future__ import annotations

import _thread
import tempfile
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .failure import Failure

T = TypeVar("T")


class Future(Generic[T]):
    """A function that runs now, in a thread that ends with Blender.

    Args:
        work: must touch neither bpy nor anything that the main thread changes meanwhile.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._ended = threading.Event()
        # Not threading.Thread, whose start() waits until the thread runs: on a busy machine that takes its time.
        _thread.start_new_thread(self._run, (work,))

    @property
    def done(self) -> bool:
        """Whether :meth:`result` would return at once."""
        return self._ended.is_set()

    def wait(self, seconds: float | None = None) -> None:
        """Block until it is done, or for so long."""
        self._ended.wait(seconds)

    def result(self) -> T:
        """What the function returned; raises what it raised. Blocks until it is done."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result.append(work())
        except BaseException as error:  # it belongs to whoever asks for the result
            self._error = error
        finally:
            self._ended.set()


def make_folder(scratch: str | None) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in ``scratch``, or in the system's place for them.

    Raises:
        Failure: ``disk``.
    """
    try:
        return tempfile.TemporaryDirectory(prefix="join-", dir=scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise Failure("disk", f"There is no place for temporary files ({error}).", "Make room.") from error


def remove_folder(folder: tempfile.TemporaryDirectory[str], after: Future[Any] | None = None) -> Future[None]:
    """Remove a temporary folder, which can hold hundreds of megabytes, once nothing is written into it any more."""

    def work() -> None:
        if after is not None:
            after.wait(5.0)
        folder.cleanup()

    return Future(work)
