# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that splits an image: its pixels go to the engine, previews and layers come back as EXRs, ready to be packed
into Blender's images. All that takes long is done in threads."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from . import protocol
from .background import Future, make_folder
from .exr import encode_exr
from .failure import Failure
from .job import Job, State
from .pixels import Source, load_layer, resized
from .process import Launch
from .protocol import Message, Options
from .vocabulary import leftovers


@dataclass(frozen=True)
class Layer:
    """One finished layer, as the EXR that goes into the .blend."""

    component: str
    data: bytes
    size: tuple[int, int]
    """Width and height."""
    alpha: bool = False
    """The data has an alpha channel."""


class Decomposition(Job):
    """A decomposition, waiting or at work.

    Args:
        source: the pixels; or an image file, whose layers then go to files in ``output``.
        options: what the user chose.
        launch: the engine that shall do it.
        name: what the user calls the image.
        scratch: where the temporary folder is made; None for the system's place.
        output: a folder for files instead of layers for Blender; the engine gives it a number where something else
            is there.
        skip_existing: leave files that are there and made alike.
        keep_in: a folder that shall get the engine's own file of the result.
        frame: the number of the file in an image sequence.

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
        keep_in: Path | None = None,
        frame: int | None = None,
        skip_existing: bool = False,
    ) -> None:
        self.name = name
        self.options = options
        self.output = output
        self.frame = frame
        self.shrink = source.shrink if isinstance(source, Source) else 1
        self.part = source.part if isinstance(source, Source) and source.box is not None else None
        self.read_at = 0.0
        """When the engine's answer was there, on ``time.monotonic``'s clock."""
        self.committed = False
        """Its layers are being put in the place of older ones: too late to stop it."""
        self._keep_in = keep_in
        self._megapixels = math.prod(source.size) / 1e6 if isinstance(source, Source) else 0.0
        self._reset()
        if isinstance(source, Path):
            folder, self._image, write = None, source, None
        else:
            folder = make_folder(scratch)
            self._image = image = Path(folder.name) / "image.npy"
            write = partial(source.write, image)
        layers = output or self._image.with_name("layers")
        request = protocol.decompose(self._image, layers, options, output is not None, skip_existing)
        super().__init__(request, launch, write, folder)

    _pace: ClassVar[float] = 0.2
    """Seconds for each megapixel of a layer, until it is in Blender; as measured on one core, and then on the last."""

    def _reset(self) -> None:
        self._preview: Message | None = None
        self._encoding_preview: Future[list[Layer]] | None = None
        self._unread: list[str] = []
        self._reading: Future[Layer] | None = None
        self._copying: Future[None] | None = None

    # --- previews and layers ------------------------------------------------------------------------------------------

    def take_preview(self) -> list[Layer]:
        """The latest preview, if one has become ready since the last call; small layers."""
        if self._encoding_preview is not None and self._encoding_preview.done:
            encoded, self._encoding_preview = self._encoding_preview, None
            with contextlib.suppress(Failure):  # the engine may be writing the next one over it
                return encoded.result() if self.with_engine else []
        if self._encoding_preview is None and self._preview is not None and self.with_engine:
            paths, self._preview = self._preview["layers"], None
            self._encoding_preview = Future(lambda: [self._encode(name, path) for name, path in paths.items()])
        return []

    def take_layer(self) -> Layer | None:
        """The next finished layer, as soon as it is ready; None meanwhile, and when there is no more.

        Raises:
            Failure: ``layer_broken``, ``disk``.
        """
        if self.state is not State.READING:
            return None
        layer = None
        if self._copying is not None and self._copying.done:
            copying, self._copying = self._copying, None
            copying.result()
        if self._reading is not None and self._reading.done:
            reading, self._reading = self._reading, None
            layer = reading.result()
        if self._reading is None and self._unread and self.result is not None:  # while the one before is written
            component = self._unread.pop(0)
            self._reading = Future(partial(self._encode, component, self.result["layers"][component]))
        return layer

    @property
    def all_taken(self) -> bool:
        """Whether :meth:`take_layer` has handed out everything."""
        return self.state is State.READING and not self._unread and self._reading is self._copying is None

    @property
    def reading_left(self) -> float:
        """Seconds that the layers should take from the engine's answer on."""
        layers = len(self._unread) + (self._reading is not None) if self.state is State.READING else 3
        return layers * self._megapixels * Decomposition._pace

    def take_again(self, components: list[str]) -> None:
        """Hand out these layers once more: an undo took them away."""
        self._unread += components

    def compact(self) -> bytes:
        """The decomposition without its full layers, for relighting later; empty where the engine gave none."""
        path = (self.result or {}).get("compact")
        with contextlib.suppress(OSError, ValueError):
            return Path(path).read_bytes() if isinstance(path, str) else b""
        return b""

    def finish(self) -> None:
        """All is written."""
        if self._megapixels >= 0.25 and self.result is not None:
            seconds = time.monotonic() - self.read_at
            Decomposition._pace = seconds / (self._megapixels * len(self.result["layers"]))
        self.state = State.DONE
        self.close()

    def stop(self, keep: bool) -> None:
        """Ask for the end; see :meth:`.Job.stop`."""
        if not self.committed:
            super().stop(keep)

    def fail(self, failure: Failure) -> None:
        """End it with a failure; it can be tried again."""
        # About the image that the user knows and not about our file of its pixels.
        message = failure.message.replace(str(self._image), self.name)
        super().fail(Failure(failure.code, message, failure.hint))

    def try_again(self) -> None:
        """After a failure: back to the queue, with the same pixels."""
        self.failure = self.result = self.progress = None
        self.stopped_early = self.gave_up = self.committed = False
        self._accepted = False
        self._reset()
        self.state = State.QUEUED

    # --- what the engine says -----------------------------------------------------------------------------------------

    def _on_preview(self, event: Message) -> None:
        self._preview = event if _has_layers(event) else None

    def _on_result(self, result: Any) -> None:
        if not _has_layers(result):
            text = "The engine's answer names no layers."
            self.fail(Failure("engine_answer", text, "Install the engine again."))
            return
        self.result = result
        if self.output is not None:
            self.output = Path(str(result.get("folder") or self.output))
        self.state = State.DONE if self.output is not None else State.READING
        self.read_at = time.monotonic()
        self._unread = list(result["layers"])
        if self._keep_in is not None:
            self._copying = Future(partial(_copy, str(result.get("decomposition")), self._keep_in))

    def _on_death(self, event: Message) -> None:
        if self.state is State.RUNNING and self._found_running and not self._accepted:
            # An engine that lay idle has died since the last look: nothing is lost, a fresh one can do it.
            self.state = State.QUEUED
        else:
            super()._on_death(event)

    def _encode(self, component: str, path: str) -> Layer:
        """In a thread."""
        rgb = load_layer(path)
        height, width = rgb.shape[:2]
        alpha = self._preparing.result() if self._preparing is not None else None
        if alpha is not None and alpha.shape != (height, width):
            alpha = resized(alpha, height, width)
        return Layer(component, encode_exr(rgb, alpha), (width, height), alpha is not None)


def _copy(decomposition: str, folder: Path) -> None:
    """Keep the engine's own file: the temporary one goes away with the job."""
    kept, partial = folder / "decomposition.join", folder / leftovers.temporary_name(".tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        leftovers.sweep(folder)
        try:
            shutil.copyfile(decomposition, partial)
            partial.replace(kept)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        text = f"The decomposition could not be saved to {kept} ({error})."
        raise Failure("disk", text, "Choose another folder.") from error


def _has_layers(event: Any) -> bool:
    """Whether an event names files of layers, as those that carry any do."""
    layers = event.get("layers") if isinstance(event, dict) else None
    if not isinstance(layers, dict) or not layers:
        return False
    return all(isinstance(path, str) and path for path in layers.values())
