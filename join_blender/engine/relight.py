# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving the light of one decomposition: what is wanted goes to the engine, newest first, and layers come back.

One request is under way at a time. While a slider moves, only the newest values are asked for, as small previews; when
it rests, the full layers follow. A decomposition whose values are all 0 has its original layers, to the bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .background import Future, advice, gone, is_gone, make_folder, remove_folder
from .connection import Connection
from .exr import alpha_in, encode_exr
from .failure import Failure
from .job import Job
from .pixels import load_layer, square, thinned
from .process import Launch
from .protocol import Message
from .vocabulary import color

REST, LONGEST_REST = 0.3, 1.5
"""Seconds without a new value after which the full layers are made: the more, the longer these keep the engine from
the next preview."""

_RECENT = 256 << 20
"""How many bytes of previews are kept, and how many of full layers: an undo then costs no work of the engine's."""

Edits = tuple[tuple[str, str, float], ...]
"""Component, direction, amount: those that are not 0."""


def edits_json(edits: Edits) -> list[Message]:
    """As the engine wants them."""
    return [dict(zip(("component", "direction", "amount"), edit, strict=True)) for edit in edits]


@dataclass(frozen=True)
class StoredDecomposition:
    """What the .blend holds of a decomposition.

    Args:
        decomposition: bytes of the compact ``.join`` file.
        layers: component → the original layer, bytes of an EXR.
        bank: its path or name; None leaves it to the engine to find it by its name.
    """

    decomposition: bytes
    layers: Mapping[str, bytes]
    bank: str | None = None


@dataclass(frozen=True)
class Update:
    """What has come of the values ``edits``.

    Args:
        edits: the values.
        preview: component → small layer ``[h, w, 4]``, opaque, bottom row first as Blender and its textures have it;
            and "recomposed". The albedo, which no light changes, may be missing.
        squares: "recomposed" and "shading" as small pictures of Blender's, see :func:`.pixels.square`.
        full: component → bytes of an EXR: the full layers; only those of the components that can be edited.
    """

    edits: Edits
    preview: Mapping[str, np.ndarray] = field(default_factory=dict)
    squares: Mapping[str, np.ndarray] = field(default_factory=dict)
    full: Mapping[str, bytes] = field(default_factory=dict)


class Relight:
    """The light of one decomposition.

    Args:
        stored: see there; goes into a temporary folder.
        launch: how the engine is started.
        scratch: where the temporary folder is made; None for the system's place.
        size: pixels of the longer side of previews, at most; 0 leaves it to the engine.

    Raises:
        Failure: ``disk``.
    """

    def __init__(self, stored: StoredDecomposition, launch: Launch, scratch: str | None = None, size: int = 0) -> None:
        self.failure: Failure | None = None
        """Why the last request failed. The next value is a new try."""
        self.directions: list[dict[str, Any]] | None = None
        """What can be edited, as the engine says; None until it has answered."""
        self._stored = stored
        self._launch = launch
        self._size = size
        self._wanted: Edits | None = None
        self._wanted_at = 0.0
        self._full_took = 0.0
        self._previewed: Edits | None = None
        self._filled: Edits | None = None
        self._previews: dict[tuple[Edits, int], Update] = {}
        self._recent: dict[Edits, Update] = {}
        self._job: Job | None = None
        self._take: Callable[[Message], list[Update]] | None = None
        self._encoding: Future[Update] | None = None
        self._loading: Future[tuple[Update, int]] | None = None
        self._folder = make_folder(scratch)
        self._alpha: np.ndarray | None = None
        self._storing = Future(self._store)

    @property
    def busy(self) -> bool:
        """Whether something is still to come of what was wanted."""
        if self.failure is not None:
            return False
        under_way = (self._job, self._encoding, self._loading)
        return self.behind or any(task is not None for task in under_way) or self.directions is None

    @property
    def behind(self) -> bool:
        """Whether the full layers of what was wanted are still to come."""
        return self._wanted is not None and self._wanted != self._filled

    def want(self, edits: Edits, rested: bool = False, size: int | None = None) -> None:
        """These values, instead of any before; ``rested``: ask for the full layers at once. ``size``: of previews, from
        now on."""
        self._size = self._size if size is None else size
        if edits == self._wanted and self.failure is None and not rested:
            return
        self.failure = None
        self._wanted = edits
        self._wanted_at = time.monotonic() - (LONGEST_REST if rested else 0.0)
        if rested:
            self._filled = None

    def settle(self, edits: Edits) -> None:
        """The layers show these values already, after an undo: no more than their preview is to come."""
        self.failure = None
        self._wanted = self._filled = edits
        self._previewed = None

    def recall(self, edits: Edits) -> Update | None:
        """The full layers of these values, where they are at hand: the originals, and those of a few values before."""
        if edits:
            return self._recent.get(edits)
        lights = {direction["component"] for direction in self.directions or ()}
        return Update(edits, full={name: self._stored.layers[name] for name in lights}) if lights else None

    def step(self, connection: Connection) -> list[Update]:
        """Move on as far as that needs no waiting; what has become ready. The connection's own step comes first."""
        try:
            updates = self._collect()
            if self.failure is None and self._job is None and self._loading is None and self._storing.done:
                self._storing.result()
                updates += self._ask(connection)
            return updates
        except Failure as failure:
            self._fail(failure)
        except OSError as error:
            text = f"The layers cannot be exchanged with the engine ({error})."
            self._fail(Failure("disk", text, advice(error)))
        return []

    def wait(self, connection: Connection, edits: Edits) -> Update:
        """Block until the full layers of these values are there: for background mode and rendering.

        Raises:
            Failure: why they do not come.
        """
        self.want(edits, rested=True)
        return self._wait_for(connection, edits, lambda update: bool(update.full))

    def wait_for_preview(self, connection: Connection, edits: Edits) -> Update:
        """Block until the preview of these values is there, whose layers are.

        Raises:
            Failure: why it does not come.
        """
        self.settle(edits)
        return self._wait_for(connection, edits, lambda update: bool(update.preview))

    def _wait_for(self, connection: Connection, edits: Edits, wanted: Callable[[Update], bool]) -> Update:
        while True:
            connection.step()
            for update in self.step(connection):
                if wanted(update) and update.edits == edits:
                    return update
            if self.failure is not None:
                raise self.failure
            time.sleep(0.005)

    def wait_for_directions(self, connection: Connection) -> list[dict[str, Any]]:
        """Block until the engine has said what can be edited.

        Raises:
            Failure: why it does not.
        """
        while self.directions is None:
            connection.step()
            self.step(connection)
            if self.failure is not None:
                raise self.failure
            time.sleep(0.005)
        return self.directions

    def close(self) -> None:
        """Remove the temporary folder, in a thread. Safe to call twice."""
        remove_folder(self._folder, self._storing)

    # --- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, connection: Connection) -> list[Update]:
        wanted = self._wanted
        if self.directions is None:
            self._submit(connection, {"type": "directions", "preview_size": self._size}, self._take_directions)
        elif wanted is not None and wanted != self._previewed:
            size = self._size
            if (wanted, size) in self._previews:
                self._previewed = wanted
                return [self._previews[wanted, size]]
            request = self._relight(wanted, preview=True, preview_size=size)
            self._submit(connection, request, lambda result: self._take_preview(wanted, size, result))
        elif wanted is not None and wanted != self._filled and self._encoding is None and self._rests:
            if (at_hand := self.recall(wanted)) is not None:
                self._filled = wanted
                return [at_hand]
            asked = time.monotonic()
            request = self._relight(wanted, store=False)
            self._submit(connection, request, lambda result: self._take_full(wanted, asked, result))
        return []

    @property
    def _rests(self) -> bool:
        return time.monotonic() - self._wanted_at >= min(max(REST, 2.0 * self._full_took), LONGEST_REST)

    def _relight(self, edits: Edits, **options: int) -> Message:
        return {"type": "relight", "edits": edits_json(edits), "output": str(self._path / "lit"), **options}

    def _submit(self, connection: Connection, request: Message, take: Callable[[Message], list[Update]]) -> None:
        common = {"decomposition": str(self._path / "compact.join"), "layers": self._files()}
        if self._stored.bank is not None:
            common["bank"] = self._stored.bank
        self._job, self._take = Job({**request, **common}, self._launch), take
        connection.add(self._job)

    @property
    def _path(self) -> Path:
        return Path(self._folder.name)

    def _files(self) -> dict[str, str]:
        return {name: str(self._path / f"{name}.exr") for name in self._stored.layers}

    def _store(self) -> None:
        (self._path / "compact.join").write_bytes(self._stored.decomposition)
        for name, path in self._files().items():
            Path(path).write_bytes(self._stored.layers[name])
        self._alpha = next((alpha_in(data) for data in self._stored.layers.values()), None)

    # --- taking -------------------------------------------------------------------------------------------------------

    def _collect(self) -> list[Update]:
        """What the engine and the threads have finished."""
        if self._encoding is not None and self._encoding.done:
            task, self._encoding = self._encoding, None
            update = task.result()
            _keep(self._recent, update.edits, update)
            if update.edits != self._wanted:
                return []  # the next ones are already under way
            self._filled = update.edits
            return [update]
        if self._loading is not None and self._loading.done:
            loading, self._loading = self._loading, None
            update, size = loading.result()
            _keep(self._previews, (update.edits, size), update)
            return [update]
        job = self._job
        if job is None or not job.ended or self._take is None:
            return []
        self._job = None
        return self._take(job.answer())

    def _take_directions(self, result: Message) -> list[Update]:
        self.directions = [dict(direction) for direction in result["directions"]]
        return []

    def _take_preview(self, edits: Edits, size: int, result: Message) -> list[Update]:
        self._previewed = edits
        files = {**result["layers"], "recomposed": result["recomposed"]}

        def load() -> tuple[Update, int]:
            preview = {name: _upright(load_layer(path)) for name, path in files.items()}
            return Update(edits, preview, _squares(preview)), size

        self._loading = Future(load)
        return []

    def _take_full(self, edits: Edits, asked: float, result: Message) -> list[Update]:
        self._full_took = time.monotonic() - asked
        originals = {d["component"]: self._stored.layers[d["component"]] for d in self.directions or ()}
        alpha = self._alpha

        def encode() -> Update:
            changed = {name: encode_exr(load_layer(path), alpha) for name, path in result["layers"].items()}
            return Update(edits, full={**originals, **changed})

        self._encoding = Future(encode)
        return []

    def _fail(self, failure: Failure) -> None:
        self.failure = gone(self._path) if is_gone(self._path) else failure
        self._job = self._encoding = self._loading = None
        self._previewed = self._wanted  # no endless tries: the next value is a new one
        self._filled = None


def _upright(layer: np.ndarray) -> np.ndarray:
    """``[h, w, 3]``, top row first → ``[h, w, 4]``, opaque, bottom row first."""
    turned = np.ones((*layer.shape[:2], 4), np.float32)
    turned[..., :3] = layer[::-1]
    return turned


def _squares(preview: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """See :class:`Update`: as they are shown, the shading tone-mapped."""
    linear = {what: thinned(preview[what]) for what in ("recomposed", "shading") if what in preview}
    light = {what: color.reinhard_encode(rows) if what == "shading" else rows for what, rows in linear.items()}
    return {what: square(color.srgb_encode(rows)) for what, rows in light.items()}


def _keep(kept: dict[Any, Update], key: Any, new: Update) -> None:
    """Remember something as the newest, and forget the oldest beyond :data:`_RECENT` bytes."""
    kept.pop(key, None)
    kept[key] = new
    while len(kept) > 1 and sum(map(_size, kept.values())) > _RECENT:
        del kept[next(iter(kept))]


def _size(update: Update) -> int:
    arrays = sum(array.nbytes for array in (*update.preview.values(), *update.squares.values()))
    return arrays + sum(map(len, update.full.values()))
