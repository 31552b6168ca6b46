# SPDX-License-Identifier: GPL-3.0-or-later
"""Work for a thread of its own, so that Blender's main thread only ever asks whether it is done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Task(Generic[T]):
    """A function that runs now, in a thread that ends with Blender.

    Args:
        work: must touch neither bpy nor anything that the main thread changes meanwhile.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._result: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    @property
    def done(self) -> bool:
        """Whether :meth:`result` would return at once."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Block until it is done, or for so long."""
        self._thread.join(seconds)

    def result(self) -> T:
        """What the function returned; raises what it raised. Blocks until it is done."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result[0]

    def _run(self, work: Callable[[], T]) -> None:
        try:
            self._result.append(work())
        except BaseException as error:  # it belongs to whoever asks for the result
            self._error = error
