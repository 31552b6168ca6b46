# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for a thread of its own, so that Blender's main thread only ever asks whether it is done; temporary folders."""

from __future__ import annotations

import _thread
import contextlib
import errno
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from .failure import Failure
from .vocabulary import leftovers

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


_PREFIX = "join-"
_SIGN = "in use"
"""A file that a folder lacks which was deleted, even where the engine has made it anew to write into it."""
_FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)


def make_folder(scratch: str | None) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder in ``scratch``, or in the system's place for them. Its name tells whose it is.

    Raises:
        Failure: ``disk``, or ``temporary_gone``.
    """
    try:
        prefix = f"{_PREFIX}{leftovers.owner()}-"
        folder = tempfile.TemporaryDirectory(prefix=prefix, dir=scratch, ignore_cleanup_errors=True)
        (Path(folder.name) / _SIGN).touch()
        return folder
    except OSError as error:
        if scratch is not None and not Path(scratch).is_dir():
            raise gone(Path(scratch)) from error
        text = f"There is no place for temporary files ({error.strerror or error}: {scratch or tempfile.gettempdir()})."
        raise Failure("disk", text, advice(error)) from error


def is_gone(folder: Path) -> bool:
    """Whether a folder of :func:`make_folder` was deleted."""
    return not (folder / _SIGN).exists()


def advice(error: OSError) -> str:
    """What helps where a temporary file cannot be written."""
    if error.errno in _FULL:
        return "Make room there."
    return "Choose another folder for temporary files in Blender's preferences, under File Paths."


def gone(folder: Path) -> Failure:
    """A folder for temporary files is not there any more."""
    text = f"The temporary folder '{folder}' was deleted while Blender was using it."
    # Where only a job's own is gone, the next gets another.
    again = folder.name.startswith(_PREFIX) and folder.parent.is_dir()
    hint = "Try again." if again else "Save your file and start Blender again."
    return Failure("temporary_gone", text, hint)


def remove_left_behind(scratch: str | None) -> Future[None]:
    """Remove what Blenders that were killed have left, in a thread.

    Args:
        scratch: this Blender's own temporary folder, which lies beside those of the others; None where there is none.
    """

    def work() -> None:
        own = Path(scratch) if scratch is not None else None
        for root in {Path(tempfile.gettempdir()), *([own.parent] if own is not None else [])}:
            for pattern in (f"{_PREFIX}*", f"blender_*/{_PREFIX}*"):
                # Never by age: an open Blender may rest for days, on another machine's disk, too.
                for path in leftovers.left_behind(root, pattern, stale=None):
                    leftovers.remove(path)
                    if path.parent not in (root, own):
                        with contextlib.suppress(OSError):
                            path.parent.rmdir()  # of the Blender that is gone, if it has left nothing else

    return Future(work)


def remove_folder(folder: tempfile.TemporaryDirectory[str], after: Future[Any] | None = None) -> Future[None]:
    """Remove a temporary folder, which can hold hundreds of megabytes, once nothing is written into it any more."""

    def work() -> None:
        if after is not None:
            after.wait(5.0)
        folder.cleanup()

    return Future(work)
