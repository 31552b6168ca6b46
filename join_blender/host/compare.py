# SPDX-License-Identifier: GPL-3.0-or-later
"""Images that let people judge a decomposition: its recomposition, the error, and both halves side by side.

Each is a datablock of its own, made anew when it is asked for; it belongs to the set, but is none of its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np

from ..engine.exr import encode_exr
from ..engine.failure import Failure
from ..engine.pixels import Source
from ..engine.vocabulary import Formula, compose
from . import images
from .layers import SET, SOURCE, VIEW, VIEW_OF, all_images, formula_of, layers_of

RECOMPOSED, ERROR, SPLIT = "recomposed", "error", "split"


@dataclass(frozen=True)
class View:
    """What a thread has made, for :func:`show`."""

    set_id: str
    kind: str
    source: str
    data: bytes
    mean: float
    largest: float
    """Of |input − recomposition|, linear."""


@dataclass(frozen=True)
class Comparison:
    """A set's pixels, out of Blender."""

    set_id: str
    source: Source
    layers: Mapping[str, Source]
    formula: Formula

    def make(self, kind: str, gain: float = 1.0) -> View:
        """One of the views; for a thread. ``gain`` brightens the error.

        Raises:
            Failure: where the input has changed its size since.
        """
        recomposed = compose(self.formula, {name: layer.all()[..., :3] for name, layer in self.layers.items()})
        pixels = self.source.all()[..., :3]
        if pixels.shape != recomposed.shape:
            raise Failure(
                "image_changed", f"'{self.source.name}' has another size than its layers.", "Decompose it again."
            )
        error = np.abs(pixels - recomposed)
        picture = {RECOMPOSED: recomposed, ERROR: error * np.float32(gain), SPLIT: _split(pixels, recomposed)}[kind]
        data = encode_exr(picture)
        return View(self.set_id, kind, self.source.name, data, float(error.mean()), float(error.max()))


def gather(set_id: str) -> Comparison:
    """Read the input and the layers of a set.

    Raises:
        Failure: where one of them is gone.
    """
    layers = layers_of(set_id)
    if not {"albedo", "shading"} <= set(layers):
        raise Failure("image_missing", "Some layers of this set are gone.", "Decompose the image again.")
    first: Any = next(iter(layers.values()))
    source = images.read_source(images.find_image(str(first[SOURCE])), first.get("join_frame"))
    left, top, right, bottom = map(int, first.get("join_part", (0, 0, source.width, source.height)))
    shrink = max((right - left) // max(first.size[0], 1), 1)
    cut = replace(source, box=(left, top, right, bottom), shrink=shrink)
    read = {name: images.read_source(image) for name, image in layers.items()}
    return Comparison(set_id, cut, read, formula_of(set_id))


def show(view: View) -> bpy.types.Image:
    """Put a view into its datablock, a new one or that of the last time."""
    known = (image for image in all_images() if image.get(SET) == view.set_id and image.get(VIEW) == view.kind)
    image = next(known, None) or images.new_layer(images.layer_name(view.source, view.kind))
    figures = {"join_error_mean": view.mean, "join_error_largest": view.largest}
    images.fill_layer(image, view.data, False, {SET: view.set_id, VIEW: view.kind, VIEW_OF: view.source, **figures})
    return image


def _split(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The left half of one and the right half of the other."""
    middle = left.shape[1] // 2
    return np.concatenate([left[:, :middle], right[:, middle:]], axis=1)
