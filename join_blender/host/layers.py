# SPDX-License-Identifier: GPL-3.0-or-later
"""A decomposition's layers as datablocks: small ones while the engine works, then the same ones in full.

What belongs together is found by custom properties, never by name or pointer: between two steps the user may rename
things, undo, or load another file, and a pointer would then be a crash.

Every finished layer carries:

- ``join_set``: what the layers of one decomposition have in common; ``join_component``; ``join_source``, the name of
  the image; ``join_part``, left, top, right, bottom of the part that was taken, in pixels, where it was not all;
  ``join_frame``, the number of the file in an image sequence;
- ``join_bank``, ``join_bank_sha256``, ``join_bank_path``, ``join_preset``, ``join_seed``, ``join_settings`` and
  ``join_metrics`` (JSON);
- ``join_formula``: how the layers make the image, see :mod:`join_blender.engine.vocabulary` (JSON);
- ``join_decomposition``: bytes of a ``.join`` file with the codes and small layers, for relighting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bpy

from ..engine.decomposition import Decomposition, Layer
from ..engine.failure import Failure
from ..engine.job import State
from ..engine.protocol import Message
from ..engine.vocabulary import Formula, read_formula
from . import compositor, images

SET, COMPONENT, SOURCE, PREVIEW = "join_set", "join_component", "join_source", "join_preview"
FORMULA = "join_formula"
RELIT = "join_relit"
"""On a layer whose light was moved: the values that its pixels show, see :mod:`.relight`."""
VIEW = "join_view"
"""On images that are made of a set and no part of it: the error view, the split view."""
VIEW_OF = "join_view_of"
"""On those: the name of the image that was decomposed."""


def all_images() -> list[Any]:
    """Every image of the file, as something that may carry custom properties."""
    return list(bpy.data.images)


def layers_of(set_id: str) -> dict[str, bpy.types.Image]:
    """The layers of one set, by component; previews included."""
    return {image[COMPONENT]: image for image in all_images() if image.get(SET) == set_id and COMPONENT in image}


def formula_of(set_id: str) -> Formula:
    """How the layers of a set make the image."""
    layers: dict[str, Any] = dict(layers_of(set_id))
    told = next((image[FORMULA] for image in layers.values() if FORMULA in image), "null")
    try:
        return read_formula(json.loads(str(told)), layers)
    except ValueError:
        return read_formula(None, layers)


def is_unusual(layer: bpy.types.Image) -> bool:
    """Whether the engine has said that the picture is unlike what its bank knows."""
    return bool(_mapping(json.loads(str(layer.get("join_metrics", "{}")))).get("unusual"))


def latest_set(source: str) -> str | None:
    """The set that was last made of an image; previews do not count."""
    made = [
        (float(image.get("join_time", 0.0)), str(image[SET]))
        for image in all_images()
        if image.get(SOURCE) == source and COMPONENT in image and SET in image and PREVIEW not in image
    ]
    return max(made)[1] if made else None


def set_of(image: Any) -> str | None:
    """The set that an image belongs to: as a layer, as a view of it, or as the source of its latest."""
    if image is None:
        return None
    return str(image[SET]) if SET in image else latest_set(image.name)


def input_of(image: Any) -> Any:
    """What to decompose while that image is shown: of a layer, or of a view of it, what it was made of."""
    source = image.get(SOURCE) or image.get(VIEW_OF)
    return images.image_named(source) or image if source is not None else image


def source_of(set_id: str) -> str:
    """The name of the image that a set was made of."""
    return next((str(image[SOURCE]) for image in all_images() if image.get(SET) == set_id and SOURCE in image), "")


def is_finished(set_id: str | None) -> bool:
    """Whether a set has layers, and none of them is a preview."""
    layers = layers_of(set_id) if set_id is not None else {}
    return bool(layers) and not any(image.get(PREVIEW) for image in layers.values())


@dataclass
class LayerSet:
    """The datablocks of one decomposition.

    Args:
        job: the decomposition.
        scene: the scene that gets the compositor's nodes; empty for none.
        update: the set whose images get the new content; None for new images.
    """

    job: Decomposition
    scene: str
    update: str | None = None
    names: list[str] = field(default_factory=list)
    """Of the layers, once all are there."""
    _written: set[str] = field(default_factory=set)
    _held: list[Layer] = field(default_factory=list)

    def step(self) -> bool:
        """Put what is ready into the file, at most one finished layer; whether that was anything. When the layers and
        their nodes are all there, the job is finished, and :attr:`names` known.

        Raises:
            Failure: ``result_undone``, and what the job's layers raise.
        """
        job = self.job
        if job.state is not State.READING:
            preview = job.take_preview()
            for layer in preview:
                self._show_preview(layer)
            return bool(preview)
        layer = job.take_layer()
        if layer is not None:
            # One that replaces older work waits for the others, so that a failure meanwhile leaves the old ones whole.
            self._held.append(layer)
        if self._held and (self.update is None or job.all_taken):
            self._write(self._held.pop(0))
            return True
        if job.all_taken:
            self._complete()
        return False

    def _complete(self) -> None:
        """What remains to be done once all layers are written, a piece at a time."""
        found: dict[str, Any] = dict(layers_of(self.job.id))
        if gone := [name for name in self._written if name not in found or PREVIEW in found[name]]:
            self.job.take_again(gone)  # an undo took them
        elif self._add_nodes():
            self.names = [image.name for image in self._layers().values()]
            self.job.finish()

    def _show_preview(self, layer: Layer) -> None:
        """Let a small layer appear, or sharpen."""
        image = layers_of(self.job.id).get(layer.component) or self._new(layer.component)
        images.fill_layer(image, layer.data, layer.alpha, {**self._identity(layer.component), PREVIEW: True})

    def _write(self, layer: Layer) -> None:
        """Write a finished layer, over its preview or over the layer that it updates."""
        target = self._target(layer.component) or self._new(layer.component)
        images.fill_layer(target, layer.data, layer.alpha, self._properties(layer.component))
        for mark in (PREVIEW, RELIT):  # the light of an earlier run is gone with its pixels
            target.pop(mark, None)
        self._written.add(layer.component)

    def _add_nodes(self) -> bool:
        """Make a piece of the nodes that recombine the layers, if any are wanted; True when all are there."""
        scene: bpy.types.Scene | None = bpy.data.scenes.get(self.scene)
        if scene is None or self.update is not None:
            return True
        return compositor.add_layers_step(scene, self._title, self._layers(), formula_of(self.job.id))

    @property
    def _title(self) -> str:
        return f"JoIN: {self.job.name}"

    def _layers(self) -> dict[str, bpy.types.Image]:
        """The finished layers. Raises Failure ``result_undone``."""
        layers = {name: image for name, image in layers_of(self.job.id).items() if name in self._written}
        if set(layers) != self._written:
            raise Failure(
                "result_undone", "The file was changed by an undo while the layers were written.", "Try again."
            )
        return layers

    def discard(self) -> None:
        """Remove what was made here; layers of an earlier run stay."""
        made: list[Any] = list(layers_of(self.job.id).values())
        for image in made:
            if self.update is None or PREVIEW in image:
                bpy.data.images.remove(image)
        scene: bpy.types.Scene | None = bpy.data.scenes.get(self.scene)
        if scene is not None:
            compositor.drop_unfinished(scene, self._title)
        self._written.clear()
        self._held.clear()

    def _new(self, component: str) -> bpy.types.Image:
        image = images.new_layer(images.layer_name(self.job.name, component))
        for key, value in self._identity(component).items():
            image[key] = value
        return image

    def _target(self, component: str) -> bpy.types.Image | None:
        """The image that shall hold a finished layer."""
        own = layers_of(self.job.id).get(component)
        old = layers_of(self.update).get(component) if self.update is not None else None
        if old is None:
            return own
        if own is not None and own != old:  # a preview beside it; whoever looks at that, looks at the layer from now on
            own.user_remap(old)
            bpy.data.images.remove(own)
        return old

    def _identity(self, component: str) -> dict[str, Any]:
        return {SET: self.job.id, COMPONENT: component, SOURCE: self.job.name}

    def _properties(self, component: str) -> dict[str, Any]:
        result: Message = self.job.result or {}
        bank = _mapping(result.get("bank"))
        properties = {
            **self._identity(component),
            "join_bank": str(bank.get("name", "")),
            "join_bank_sha256": str(bank.get("sha256", "")),
            "join_bank_path": self.job.options.bank or "",
            "join_forward_model": str(result.get("forward_model", "")),
            "join_preset": self.job.options.preset,
            "join_seed": self.job.options.seed,
            FORMULA: json.dumps(result.get("formula")),
            "join_settings": json.dumps(_mapping(result.get("settings"))),
            "join_metrics": json.dumps(_mapping(result.get("metrics"))),
            "join_time": time.time(),
        }
        if compact := self.job.compact():
            properties["join_decomposition"] = compact
        if self.job.part is not None:
            properties["join_part"] = list(self.job.part)
        if self.job.frame is not None:
            properties["join_frame"] = self.job.frame
        return properties


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
