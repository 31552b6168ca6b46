# SPDX-License-Identifier: GPL-3.0-or-later
"""One request to the engine about files in a temporary folder, such as an export."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from .background import Task, remove
from .connection import Connection, Launch
from .failure import Failure
from .job import Job
from .protocol import Message


class Errand:
    """A request on its way: its files are written in a thread, then the engine does the rest.

    Args:
        files: name → content, for the temporary folder.
        request: what is asked; ``{folder}`` in its texts stands for that folder.
        launch: how the engine is started.
        scratch: where the folder is made; None for the system's place.

    Raises:
        Failure: ``disk``.
    """

    def __init__(
        self, files: Mapping[str, bytes], request: Message, launch: Launch, scratch: str | None = None
    ) -> None:
        self.result: Message | None = None
        self.failure: Failure | None = None
        self._launch = launch
        self._job: Job | None = None
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="join-", dir=scratch, ignore_cleanup_errors=True)
        except OSError as error:
            raise Failure("disk", f"There is no place for temporary files ({error}).", "Make room.") from error
        folder = Path(self._folder.name)
        self._request = {**_filled(request, str(folder)), "id": uuid.uuid4().hex}
        self._writing = Task(lambda: [(folder / name).write_bytes(data) for name, data in files.items()])

    @property
    def done(self) -> bool:
        """Whether there is a result or a failure."""
        return self.result is not None or self.failure is not None

    def step(self, connection: Connection) -> bool:
        """Move on as far as that needs no waiting; :attr:`done`. The connection's own step comes first."""
        try:
            if self._job is None and self._writing.done:
                self._writing.result()
                self._job = Job(self._request, time.monotonic())
                connection.submit(self._job, self._launch)
            if self._job is not None and self._job.done:
                self.result = self._job.result
                if self.result is None:
                    self.failure = self._job.failure or Failure("engine_died", "The engine ended.", "Try again.")
        except Failure as failure:
            self.failure = failure
        except OSError as error:
            self.failure = Failure("disk", f"The layers cannot be handed to the engine ({error}).", "Make room.")
        if self.done:
            remove(self._folder)
        return self.done

    def wait(self, connection: Connection) -> Message:
        """Block until it is done.

        Raises:
            Failure: why there is no result.
        """
        while not self.step(connection):
            connection.step()
            time.sleep(0.01)
        if self.failure is not None:
            raise self.failure
        assert self.result is not None
        return self.result


def _filled(request: Message, folder: str) -> Message:
    def fill(value: object) -> object:
        if isinstance(value, str):
            return value.replace("{folder}", folder)
        return {key: fill(item) for key, item in value.items()} if isinstance(value, dict) else value

    return {key: fill(value) for key, value in request.items()}
