# SPDX-License-Identifier: GPL-3.0-or-later
"""One decomposition from pixels to layers: a temporary folder, a job, and threads for all that takes long.

QUEUED → PREPARING (its pixels go to disk) → WORKING (the engine has it) → READING (layers become EXRs, one after the
other, for whoever writes them into Blender) → DONE, or FAILED, or CANCELLED.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import numpy as np

from . import protocol
from .background import Task, remove
from .connection import Connection, Launch
from .exr import encode_exr
from .failure import Failure
from .job import Job, Phase
from .pixels import Source, load_layer, resized
from .protocol import Message, Options


class Stage(Enum):
    """Where a session is in its life."""

    QUEUED = auto()
    PREPARING = auto()
    WORKING = auto()
    READING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()


_ENDED = (Stage.DONE, Stage.FAILED, Stage.CANCELLED)


@dataclass(frozen=True)
class Layer:
    """One finished layer, as the EXR that goes into the .blend."""

    component: str
    data: bytes
    size: tuple[int, int]
    """Width and height."""
    alpha: bool = False
    """The data has an alpha channel."""


class Session:
    """A decomposition, waiting or at work.

    Args:
        source: the pixels; or an image file, whose layers then go to files in ``output``.
        options: what the user chose.
        launch: the engine that shall do it.
        name: what the user calls the image.
        scratch: where the temporary folder is made; None for the system's place.
        output: a folder for files instead of layers for Blender.

    Raises:
        Failure: ``disk``, when there is no place for the temporary folder.
    """

    def __init__(
        self,
        source: Source | Path,
        options: Options,
        launch: Launch,
        name: str,
        scratch: str | None = None,
        output: Path | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.name = name
        self.options = options
        self.launch = launch
        self.output = output
        self.stage = Stage.QUEUED
        self.failure: Failure | None = None
        self.job: Job | None = None
        self.alpha: np.ndarray | None = None
        self.began = time.monotonic()
        self.seconds: dict[str, float] = {}
        """From the click on: to the first preview, to the result, to the end."""
        self.size = source.size if isinstance(source, Source) else (0, 0)
        self.shrink = source.shrink if isinstance(source, Source) else 1
        self.frame: int | None = None
        """The number of the file in an image sequence."""
        self.keep_in: Path | None = None
        """A folder that shall get the engine's own file of the result."""
        self.part = source.part if isinstance(source, Source) and source.box is not None else None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._preparing: Task[np.ndarray | None] | None = None
        if isinstance(source, Path):
            self._image = source
        else:
            self._folder = _make_folder(scratch)
            self._image = image = Path(self._folder.name) / "image.npy"
            self._preparing = Task(lambda: source.write(image))
        self._engine_was_warm = False
        self._previewing: Task[list[Layer]] | None = None
        self._reading: Task[Layer] | None = None
        self._closing: Task[None] | None = None
        self._compact = b""
        self._unread: list[str] = []

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it, unless it is tried again."""
        return self.stage in _ENDED

    @property
    def result(self) -> Message | None:
        """The engine's answer."""
        return self.job.result if self.job is not None else None

    @property
    def stopped_early(self) -> bool:
        """The layers are the best that there were when the user stopped it."""
        return self.job is not None and self.job.phase is Phase.CANCELLED

    def step(self, connection: Connection) -> None:
        """Move on as far as that needs no waiting. The connection's own step comes first."""
        try:
            if self.stage is Stage.QUEUED:
                connection.start(self.launch)
                self.stage = Stage.PREPARING
            if self.stage is Stage.PREPARING and (self._preparing is None or self._preparing.done):
                self._submit(connection)
            if self.stage is Stage.WORKING:
                self._look_at_job()
        except Failure as failure:
            self._fail(failure)

    def take_preview(self) -> list[Layer]:
        """The latest preview, if one has become ready since the last call; small layers."""
        if self._previewing is not None and self._previewing.done:
            task, self._previewing = self._previewing, None
            try:
                layers = task.result()
            except Failure:
                return []  # the engine may be writing the next one over it
            self.seconds.setdefault("preview", time.monotonic() - self.began)
            return layers if self.stage is Stage.WORKING else []
        job = self.job
        if self._previewing is None and job is not None and job.preview is not None and self.stage is Stage.WORKING:
            paths, job.preview = job.preview["layers"], None
            self._previewing = Task(lambda: [self._encode(name, path) for name, path in paths.items()])
        return []

    def take_layer(self) -> Layer | None:
        """The next finished layer, as soon as it is ready; None meanwhile, and when there is no more.

        Raises:
            Failure: ``layer_broken``.
        """
        if self.stage is not Stage.READING:
            return None
        if self._reading is None and self._unread:
            self._read_next()
        if self._reading is None or not self._reading.done:
            return None
        task, self._reading = self._reading, None
        layer = task.result()
        if self._unread:
            self._read_next()  # while this one is written
        return layer

    @property
    def all_taken(self) -> bool:
        """Whether :meth:`take_layer` has handed out everything."""
        return self.stage is Stage.READING and not self._unread and self._reading is None

    def take_again(self, components: list[str]) -> None:
        """Hand out these layers once more: an undo took them away."""
        self._unread += components

    def compact(self) -> bytes:
        """The decomposition without its full layers, for relighting later; empty where the engine gave none.
        Known as soon as there is a finished layer."""
        return self._compact

    def finish(self) -> None:
        """All is written."""
        self.seconds["all"] = time.monotonic() - self.began
        self.stage = Stage.DONE
        self.close()

    def fail(self, failure: Failure) -> None:
        """End it with a failure; it can be tried again."""
        self._fail(failure)

    def stop(self, keep: bool) -> None:
        """End it: with ``keep`` the best layers so far still come."""
        if self.ended or (self.stage is Stage.READING and keep):
            return
        if self.stage is Stage.WORKING and self.job is not None:
            self.job.stop(keep)
        else:
            self.stage = Stage.CANCELLED

    def try_again(self) -> None:
        """After a failure: back to the queue, with the same pixels."""
        self.failure = None
        self.job = None
        self.began = time.monotonic()
        self._unread, self._reading, self._previewing, self._compact = [], None, None, b""
        self.stage = Stage.QUEUED

    def save_decomposition(self, folder: Path) -> Path:
        """Copy the engine's own file of the result to ``folder``: the temporary one goes away with the session.

        Raises:
            Failure: ``disk``.
        """
        assert self.result is not None
        kept = folder / "decomposition.join"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(self.result.get("decomposition")), kept)
        except OSError as error:
            raise Failure(
                "disk", f"The decomposition could not be saved to {kept} ({error}).", "Choose another folder."
            ) from error
        return kept

    def close(self) -> None:
        """Remove the temporary folder, in a thread. Safe to call twice."""
        if self._folder is not None and self._closing is None:
            self._closing = remove(self._folder, self._preparing)

    def wait_until_closed(self) -> None:
        """Block until the temporary folder is gone, after :meth:`close`."""
        if self._closing is not None:
            self._closing.wait()

    def _submit(self, connection: Connection) -> None:
        if self._preparing is not None:
            self.alpha = self._preparing.result()
        layers = self.output or self._image.with_name("layers")
        try:
            layers.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failure("disk", f"{layers} cannot be made ({error}).", "Choose another folder.") from error
        request = protocol.decompose(self.id, self._image, layers, self.options, self.output is not None)
        self.job = Job(request, time.monotonic())
        self.stage = Stage.WORKING
        self._engine_was_warm = connection.hello is not None
        connection.submit(self.job, self.launch)

    def _look_at_job(self) -> None:
        assert self.job is not None
        if not self.job.done:
            return
        failure = self.job.failure
        if failure is not None and failure.code == "engine_died" and self._engine_was_warm and not self.job.accepted:
            # An engine that lay idle has died since the last look: nothing is lost, a fresh one can do it.
            self.job = None
            self.stage = Stage.QUEUED
        elif failure is not None:
            self._fail(failure)
        elif self.job.result is None:
            self.stage = Stage.CANCELLED
        else:
            if self.keep_in is not None:
                self.save_decomposition(self.keep_in)
            self.seconds["result"] = time.monotonic() - self.began
            self.stage = Stage.READING
            self._unread = [] if self.output is not None else list(self.job.result["layers"])
            self._previewing = None

    def _fail(self, failure: Failure) -> None:
        # About the image that the user knows and not about our file of its pixels.
        self.failure = Failure(failure.code, failure.message.replace(str(self._image), self.name), failure.hint)
        self.stage = Stage.FAILED

    def _read_next(self) -> None:
        component = self._unread.pop(0)
        assert self.result is not None
        path = self.result["layers"][component]
        self._reading = Task(lambda: self._read(component, path))

    def _read(self, component: str, path: str) -> Layer:
        compact = (self.result or {}).get("compact")
        if not self._compact and isinstance(compact, str):
            with contextlib.suppress(OSError):
                self._compact = Path(compact).read_bytes()
        return self._encode(component, path)

    def _encode(self, component: str, path: str) -> Layer:
        rgb = load_layer(path)
        height, width = rgb.shape[:2]
        alpha = self.alpha
        if alpha is not None and alpha.shape != (height, width):
            alpha = resized(alpha, height, width)
        return Layer(component, encode_exr(rgb, alpha), (width, height), alpha is not None)


def _make_folder(scratch: str | None) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="join-", dir=scratch, ignore_cleanup_errors=True)
    except OSError as error:
        raise Failure("disk", f"There is no place for temporary files ({error}).", "Make room.") from error
