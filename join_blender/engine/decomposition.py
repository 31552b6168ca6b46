# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that splits an image: its pixels go to the engine, previews and layers come back as EXRs, ready to be packed
into Blender's images. All that takes long is done in threads."""

from __future__ import annotations

import contextlib
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from . import protocol
from .background import Future, make_folder
from .exr import encode_exr
from .failure import Failure
from .job import Job, State
from .pixels import Source, brightness, load_layer, resized
from .process import Launch
from .protocol import Message, Options, Pasting
from .vocabulary import leftovers


@dataclass(frozen=True)
class Layer:
    """One finished layer, as the EXR that goes into the .blend."""

    component: str
    data: bytes
    size: tuple[int, int]
    """Width and height."""
    bright: float
    """See :func:`.pixels.brightness`."""
    alpha: bool = False
    """The data has an alpha channel."""
    photo: int = 0
    """Of several, the number of the one that it is of."""


class Decomposition(Job):
    """A decomposition, waiting or at work.

    Args:
        source: the pixels; those of several photos of one thing, which get one albedo; or an image file, whose layers
            then go to files in ``output``.
        options: what the user chose.
        launch: the engine that shall do it.
        name: what the user calls the image.
        scratch: where the temporary folder is made; None for the system's place.
        output: a folder for files instead of layers for Blender; the engine gives it a number where something else
            is there.
        skip_existing: leave files that are there and made alike.
        keep_in: a folder that shall get the engine's own file of the result.
        frame: the number of the file in an image sequence.
        mask: what shall go from the image, of the same size.
        pasting: the layers are not made of the image but of a set of it, with another material where the mask is.
        face: where its face is, see :func:`.protocol.decompose`.

    Raises:
        Failure: ``disk``, when there is no place for the temporary folder.
    """

    def __init__(
        self,
        source: Source | Sequence[Source] | Path,
        options: Options,
        launch: Launch,
        name: str,
        scratch: str | None = None,
        output: Path | None = None,
        keep_in: Path | None = None,
        frame: int | None = None,
        skip_existing: bool = False,
        mask: Source | None = None,
        pasting: Pasting | None = None,
        face: Message | None = None,
    ) -> None:
        sources = () if isinstance(source, Path) else (source,) if isinstance(source, Source) else tuple(source)
        self.name = name
        self.photos = tuple(one.name for one in sources)
        """What the user calls each."""
        self.options = options
        self.output = output
        self.frame = frame
        self.shrink = sources[0].shrink if sources else 1
        self.exr_layer = sources[0].layer if sources else ""
        self.notes = tuple(note for one in sources for note in one.notes)
        """What there is to say about the pixels, beside what the engine says."""
        self.part = sources[0].part if sources and sources[0].box is not None else None
        self.read_at = 0.0
        """When the engine's answer was there, on ``time.monotonic``'s clock."""
        self.committed = False
        """Its layers are being put in the place of older ones: too late to stop it."""
        self._keep_in = keep_in
        self.megapixels = math.prod(sources[0].size) / 1e6 if sources else 0.0
        """Of a layer; 0 where the engine reads a file."""
        self._reset()
        if isinstance(source, Path):
            folder, self._images, write = None, [source], None
        else:
            folder = make_folder(scratch)
            self._images = [Path(folder.name) / f"image{number or ''}.npy" for number in range(len(sources))]
            write = partial(_write, sources, self._images, mask, pasting)
        layers = output or self._images[0].with_name("layers")
        if self.is_together:
            request = protocol.decompose_together(self._images, self.photos, layers, options)
        elif pasting is not None:
            first = self._images[0]
            request = protocol.paste(first.parent, _mask_beside(first), layers, pasting)
        else:
            covered = _mask_beside(self._images[0]) if mask is not None else None
            image, to_files = self._images[0], output is not None
            request = protocol.decompose(image, layers, options, to_files, skip_existing, covered, face)
        super().__init__(request, launch, write, folder)

    @property
    def is_together(self) -> bool:
        """Whether it is about several photos, of which each gets a set of layers."""
        return len(self.photos) > 1

    @property
    def set_ids(self) -> list[str]:
        """Of the sets that it makes, one for each photo."""
        return [f"{self.id}-{number:03}" for number in range(len(self.photos))] if self.is_together else [self.id]

    _pace: ClassVar[float] = 0.2
    """Seconds for each megapixel of a layer, until it is in Blender; as measured on one core, and then on the last."""

    def _reset(self) -> None:
        self._preview: Message | None = None
        self._encoding_preview: Future[list[Layer]] | None = None
        self._unread: list[tuple[int, str]] = []
        self._reading: Future[Layer] | None = None
        self._copying: Future[None] | None = None
        self._compact: Future[list[bytes]] | None = None

    # --- previews and layers ------------------------------------------------------------------------------------------

    def take_preview(self) -> list[Layer]:
        """The latest preview, if one has become ready since the last call; small layers."""
        if self._encoding_preview is not None and self._encoding_preview.done:
            encoded, self._encoding_preview = self._encoding_preview, None
            with contextlib.suppress(Failure):  # the engine may be writing the next one over it
                return encoded.result() if self.with_engine else []
        if self._encoding_preview is None and self._preview is not None and self.with_engine:
            paths, self._preview = self._preview["layers"], None
            self._encoding_preview = Future(lambda: [self._encode(0, name, path) for name, path in paths.items()])
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
        if self._compact is not None and not self._compact.done:
            return layer
        if self._reading is None and self._unread:  # while the one before is written
            photo, component = self._unread.pop(0)
            self._reading = Future(partial(self._encode, photo, component, self.results[photo]["layers"][component]))
        return layer

    @property
    def all_taken(self) -> bool:
        """Whether :meth:`take_layer` has handed out everything."""
        return self.state is State.READING and not self._unread and self._reading is self._copying is None

    @property
    def reading_left(self) -> float:
        """Seconds that the layers should take from the engine's answer on."""
        expected = 3 * len(self.photos)
        layers = len(self._unread) + (self._reading is not None) if self.state is State.READING else expected
        return layers * self.megapixels * Decomposition._pace

    def take_again(self, components: list[str], photo: int = 0) -> None:
        """Hand out these layers once more: an undo took them away."""
        self._unread += [(photo, component) for component in components]

    @property
    def results(self) -> list[Message]:
        """What the engine answered about each photo; empty before it has."""
        if self.result is None:
            return []
        return list(self.result["photos"]) if self.is_together else [self.result]

    def compact(self, photo: int = 0) -> bytes:
        """The decomposition without its full layers, for relighting later; empty where the engine gave none."""
        return self._compact.result()[photo] if self._compact is not None else b""

    def finish(self) -> None:
        """All is written."""
        if self.megapixels >= 0.25 and self.result is not None:
            seconds, layers = time.monotonic() - self.read_at, sum(len(one["layers"]) for one in self.results)
            Decomposition._pace = seconds / (self.megapixels * layers)
        self.state = State.DONE
        self.close()

    def stop(self, keep: bool) -> None:
        """Ask for the end; see :meth:`.Job.stop`."""
        if not self.committed:
            super().stop(keep)

    def fail(self, failure: Failure) -> None:
        """End it with a failure; it can be tried again."""
        # About the image that the user knows and not about our file of its pixels.
        message = failure.message
        for path, name in zip(self._images, self.photos or (self.name,), strict=True):
            message = message.replace(str(path), name)
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
        parts = result.get("photos") if self.is_together and isinstance(result, dict) else [result]
        if not isinstance(parts, list) or len(parts) != max(len(self.photos), 1) or not all(map(_has_layers, parts)):
            text = "The engine's answer names no layers."
            self.fail(Failure("engine_answer", text, "Install the engine again."))
            return
        self.result = result
        if self.output is not None:
            self.output = Path(str(result.get("folder") or self.output))
        self.state = State.DONE if self.output is not None else State.READING
        self.read_at = time.monotonic()
        self._unread = [(number, name) for number, part in enumerate(parts) for name in part["layers"]]
        if self.output is None:
            self._compact = Future(lambda: [_read(part.get("compact")) for part in parts])
        if self._keep_in is not None:
            self._copying = Future(partial(_copy, str(result.get("decomposition")), self._keep_in))

    def _on_death(self, event: Message) -> None:
        if self.state is State.RUNNING and self._found_running and not self._accepted:
            # An engine that lay idle has died since the last look: nothing is lost, a fresh one can do it.
            self.state = State.QUEUED
        else:
            super()._on_death(event)

    def _encode(self, photo: int, component: str, path: str) -> Layer:
        """In a thread."""
        rgb = load_layer(path)
        height, width = rgb.shape[:2]
        alpha = self._preparing.result()[photo] if self._preparing is not None else None
        if alpha is not None and alpha.shape != (height, width):
            alpha = resized(alpha, height, width)
        return Layer(component, encode_exr(rgb, alpha), (width, height), brightness(rgb), alpha is not None, photo)


def _mask_beside(image: Path) -> Path:
    return image.with_name("mask.npy")


def _write(
    sources: Sequence[Source], paths: Sequence[Path], mask: Source | None, pasting: Pasting | None
) -> list[np.ndarray | None]:
    """In a thread: the pixels into files; what each has of alpha."""
    for name, data in (pasting.files if pasting is not None else {}).items():
        (paths[0].parent / name).write_bytes(data)
    if mask is not None:
        mask.write(_mask_beside(paths[0]))
    alphas = []
    for source, path in zip(sources, paths, strict=True):
        alphas.append(source.write(path))
    return alphas


def _read(path: Any) -> bytes:
    """The whole file; nothing where it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return Path(path).read_bytes() if isinstance(path, str) else b""
    return b""


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
