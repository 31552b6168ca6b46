# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that let people judge a decomposition: its recomposition, the error, and both halves side by side.

Each is a datablock of its own, made of a set and none of its layers. It is not saved but where something shows it, and
knows of which content it was made: one that is out of date is made anew (:func:`stale_views`). *Recomposed* and *Split*
show the layers as they are now, in whatever light; *Error* and *Confidence* are about the decomposition, and so about
the original light.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

from ..engine import confidence
from ..engine.background import Future
from ..engine.exr import encode_exr, read_layer
from ..engine.failure import Failure
from ..engine.pixels import Source
from ..engine.vocabulary import Formula, compose
from . import images, relight
from .sets import (
    INPUT,
    SET,
    SOURCE,
    VIEW,
    all_images,
    decomposition_of,
    formula_of,
    is_finished,
    key_of,
    layers_of,
    no_input,
    number,
    read_input,
    source_name,
    source_of,
)

RECOMPOSED, ERROR, SPLIT = "recomposed", "error", "split"
_MADE_OF, _GAIN = "join_made_of", "join_gain"
_FIGURES = "join_error_mean", "join_error_largest", "join_error_share"


@dataclass(frozen=True)
class View:
    """What a thread has made, for :func:`show`."""

    set_id: str
    kind: str
    source: str
    data: bytes
    figures: Mapping[str, float]
    """Of the view *Error*, "mean" and "largest" of |input − recomposition|, linear; of *Confidence*, the "mean" of the
    expected error and the "share" of the picture that is a guess."""
    made_of: str
    gain: float


@dataclass(frozen=True)
class Comparison:
    """A set's pixels, out of Blender."""

    set_id: str
    kind: str
    name: str
    source: Source | None
    layers: Mapping[str, bytes | Source]
    """Packed ones as the EXR that they were filled with: Blender would decode it while its window waits."""
    formula: Formula
    made_of: str
    sure: np.ndarray | None = None
    """The map of confidence, for a view of it."""

    def make(self, gain: float = 1.0) -> View:
        """The view; for a thread. ``gain`` brightens the error.

        Raises:
            Failure: where the input has changed its size since.
        """
        picture = compose(self.formula, {name: _colours(name, layer) for name, layer in self.layers.items()})
        figures: dict[str, float] = {}
        if self.sure is not None:
            picture, mean, share = confidence.show(self.sure, confidence.component_of(self.kind), picture)
            figures = {"mean": mean, "share": share}
        elif self.source is not None:
            pixels = self.source.all()[..., :3]
            if pixels.shape != picture.shape:
                raise Failure(
                    "image_changed", f"'{self.name}' has another size than its layers.", "Decompose it again."
                )
            if self.kind == ERROR:
                error = np.abs(pixels - picture)
                figures = {"mean": float(error.mean()), "largest": float(error.max())}
                picture = error * np.float32(gain)
            else:  # the left half of one and the right half of the other
                middle = pixels.shape[1] // 2
                picture = np.concatenate([pixels[:, :middle], picture[:, middle:]], axis=1)
        return View(self.set_id, self.kind, self.name, encode_exr(picture), figures, self.made_of, gain)


def gather(set_id: str, kind: str) -> Comparison:
    """Read what a view of a set needs, all of it now.

    Raises:
        Failure: where something of it is gone.
    """
    pieces = gather_in_pieces(set_id, kind)
    task = None
    while True:
        try:
            task = pieces.send(None if task is None else task.result())
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def refuse_impossible(set_id: str, kind: str) -> None:
    """Raise Failure where something is gone that a view needs."""
    relight.refuse_incomplete(set_id)
    layers = layers_of(set_id)
    if not {"albedo", "shading"} <= set(layers):
        raise Failure("layers_missing", "Some layers of this set are gone.", "Decompose the image again.")
    if confidence.component_of(kind):
        _confidence_of(set_id, next(iter(layers.values())))
    elif kind != RECOMPOSED and source_of(set_id) is None:
        raise no_input(source_name(set_id))


def gather_in_pieces(set_id: str, kind: str) -> Generator[Future[np.ndarray] | None, np.ndarray | None, Comparison]:
    """Read what a view of a set needs: between two pieces of it Blender's window may live, and the user may undo. Where
    a piece waits for a thread, that is what comes, and its result is wanted for the next one.

    Raises:
        Failure: where something of it is gone.
    """
    refuse_impossible(set_id, kind)
    read: dict[str, bytes | Source] = {}
    contents: dict[str, str] = {}
    for name in list(_used(set_id, kind)):
        if not images.is_at_hand(_one(set_id, kind, name)):
            yield None
        image = _one(set_id, kind, name)
        contents[name] = str(image.get(images.CONTENT, ""))
        packed = images.packed_exr(image)
        if packed is not None:
            read[name] = packed
            continue
        memory = yield images.make_room(image)
        read[name] = images.read_source(_one(set_id, kind, name), into=memory)
    cut = sure = None
    if confidence.component_of(kind):
        sure = _confidence_of(set_id, next(iter(layers_of(set_id).values()), {}))
    elif kind != RECOMPOSED:
        memory = yield images.make_room(_input(set_id))
        image = _input(set_id)
        cut = read_input(image, next(iter(layers_of(set_id).values())), memory)  # they are there, as the input is
    return Comparison(set_id, kind, source_name(set_id), cut, read, formula_of(set_id), _told(contents), sure)


def _input(set_id: str) -> Any:
    image = source_of(set_id)
    if image is None:
        raise no_input(source_name(set_id))
    return image


def _one(set_id: str, kind: str, name: str) -> Any:
    """An image of which a view is made, as it is now: an undo may have replaced it."""
    image = _used(set_id, kind).get(name)
    if image is None:
        raise Failure("layers_missing", "Some layers of this set are gone.", "Decompose the image again.")
    return image


def show(view: View) -> bpy.types.Image:
    """Put a view into its datablock, a new one or that of the last time."""
    known = (image for image in all_images() if key_of(image) == view.set_id and image.get(VIEW) == view.kind)
    image = next(known, None) or images.new_layer(images.layer_name(view.source, view.kind))
    for name in _FIGURES:
        image.pop(name, None)
    figures = {f"join_error_{name}": value for name, value in view.figures.items()}
    marks = {SET: view.set_id, VIEW: view.kind, SOURCE: view.source}
    images.fill_layer(image, view.data, False, {**marks, _MADE_OF: view.made_of, _GAIN: view.gain, **figures})
    source = source_of(view.set_id)
    if source is not None:
        image[INPUT] = source
    return image


def stale_views() -> list[tuple[str, str, float]]:
    """Set, kind and gain of the views that something shows and that are not of what their layers hold now. Views that
    nothing shows are removed instead: they are made again when they are asked for."""
    stale = []
    for image in all_images():
        if VIEW not in image or image.library is not None:
            continue
        set_id, kind = str(key_of(image)), str(image[VIEW])
        if is_finished(set_id) and image.get(_MADE_OF) == _content(_used(set_id, kind)):
            continue
        if image.users and is_finished(set_id):
            stale.append((set_id, kind, number(image.get(_GAIN, 1.0))))
        else:
            bpy.data.images.remove(image)
    return stale


def _used(set_id: str, kind: str) -> dict[str, Any]:
    """The images of which a view is made."""
    layers = layers_of(set_id)
    about_light = kind == ERROR or bool(confidence.component_of(kind))
    return {**layers, **relight.originals(set_id)} if about_light else layers


def _confidence_of(set_id: str, layer: Any) -> np.ndarray:
    found = confidence.read_confidence(decomposition_of(layer))
    if found is None:
        words = f"The layers of '{source_name(set_id)}' do not tell how sure the bank is of them."
        raise Failure("confidence_missing", words, "Decompose the image again, with a bank that has a split network.")
    return found


def _content(used: Mapping[str, Any]) -> str:
    return _told({name: str(image.get(images.CONTENT, "")) for name, image in used.items()})


def _told(contents: Mapping[str, str]) -> str:
    return " ".join(content for _, content in sorted(contents.items()))


def _colours(name: str, layer: bytes | Source) -> np.ndarray:
    """``[H, W, 3]``, top row first."""
    pixels = read_layer(layer, "", name)[1] if isinstance(layer, bytes) else layer.all()
    return np.ascontiguousarray(pixels[..., :3])
