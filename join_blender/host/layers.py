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
- ``join_decomposition``: bytes of a ``.join`` file with the codes and small layers, for relighting.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import bpy

from ..engine.decomposition import Layer, Session
from ..engine.failure import Failure
from ..engine.protocol import Message
from . import compositor, images

SET, COMPONENT, SOURCE, PREVIEW = "join_set", "join_component", "join_source", "join_preview"
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


@dataclass
class LayerSet:
    """The datablocks of one decomposition.

    Args:
        session: the decomposition.
        scene: the scene that gets the compositor's nodes; empty for none.
        update: the set whose images get the new content; None for new images.
    """

    session: Session
    scene: str
    update: str | None = None
    _written: set[str] = field(default_factory=set)
    _held: list[Layer] = field(default_factory=list)

    def show_preview(self, layers: list[Layer]) -> None:
        """Let small layers appear, or sharpen."""
        for layer in layers:
            image = layers_of(self.session.id).get(layer.component)
            if image is None:
                image = self._new(layer.component)
            images.fill_layer(image, layer.data, layer.alpha, {**self._identity(layer.component), PREVIEW: True})

    def take(self, layer: Layer) -> None:
        """Write a finished layer. One that replaces older work is held back until :meth:`write_held`, so that a failure
        meanwhile leaves the old layers whole."""
        if self.update is None:
            self.write(layer)
        else:
            self._held.append(layer)

    def write_held(self) -> bool:
        """Write one layer that was held back; False when there is none."""
        if not self._held:
            return False
        self.write(self._held.pop(0))
        return True

    def write(self, layer: Layer) -> bpy.types.Image:
        """Write a finished layer, over its preview or over the layer that it updates."""
        target = self._target(layer.component)
        if target is None:
            target = self._new(layer.component)
        images.fill_layer(target, layer.data, layer.alpha, self._properties(layer.component))
        for mark in (PREVIEW, RELIT):  # the light of an earlier run is gone with its pixels
            target.pop(mark, None)
        self._written.add(layer.component)
        return target

    def missing(self) -> list[str]:
        """Which of the layers that were written are there no more: an undo took them."""
        now: dict[str, Any] = dict(layers_of(self.session.id))
        return [name for name in self._written if name not in now or PREVIEW in now[name]]

    def wire(self) -> bool:
        """Make a piece of the nodes that recombine the layers, if any are wanted; True when all are there.

        Raises:
            Failure: ``result_undone``.
        """
        scene: bpy.types.Scene | None = bpy.data.scenes.get(self.scene)
        if scene is None or self.update is not None:
            return True
        layers = self._layers()
        order = [name for name in (self.session.result or {})["layers"] if name in layers]
        return compositor.grow_layers(scene, self._title, {name: layers[name] for name in order})

    @property
    def _title(self) -> str:
        return f"JoIN: {self.session.name}"

    def names(self) -> list[str]:
        """Of the finished layers.

        Raises:
            Failure: ``result_undone``.
        """
        return [image.name for image in self._layers().values()]

    def _layers(self) -> dict[str, bpy.types.Image]:
        layers = {name: image for name, image in layers_of(self.session.id).items() if name in self._written}
        if set(layers) != self._written:
            raise Failure(
                "result_undone", "The file was changed by an undo while the layers were written.", "Try again."
            )
        return layers

    def discard(self) -> None:
        """Remove what was made here; layers of an earlier run stay."""
        made: list[Any] = list(layers_of(self.session.id).values())
        for image in made:
            if self.update is None or PREVIEW in image:
                bpy.data.images.remove(image)
        scene: bpy.types.Scene | None = bpy.data.scenes.get(self.scene)
        if scene is not None:
            compositor.drop_unfinished(scene, self._title)
        self._written.clear()
        self._held.clear()

    def _new(self, component: str) -> bpy.types.Image:
        image = images.new_layer(images.layer_name(self.session.name, component))
        for key, value in self._identity(component).items():
            image[key] = value
        return image

    def _target(self, component: str) -> bpy.types.Image | None:
        """The image that shall hold a finished layer."""
        own = layers_of(self.session.id).get(component)
        old = layers_of(self.update).get(component) if self.update is not None else None
        if old is None:
            return own
        if own is not None and own != old:  # a preview beside it; whoever looks at that, looks at the layer from now on
            own.user_remap(old)
            bpy.data.images.remove(own)
        return old

    def _identity(self, component: str) -> dict[str, Any]:
        return {SET: self.session.id, COMPONENT: component, SOURCE: self.session.name}

    def _properties(self, component: str) -> dict[str, Any]:
        result: Message = self.session.result or {}
        bank = _mapping(result.get("bank"))
        properties = {
            **self._identity(component),
            "join_bank": str(bank.get("name", "")),
            "join_bank_sha256": str(bank.get("sha256", "")),
            "join_bank_path": self.session.options.bank or "",
            "join_forward_model": str(result.get("forward_model", "")),
            "join_preset": self.session.options.preset,
            "join_seed": self.session.options.seed,
            "join_settings": json.dumps(_mapping(result.get("settings"))),
            "join_metrics": json.dumps(_mapping(result.get("metrics"))),
            "join_time": time.time(),
        }
        if compact := self.session.compact():
            properties["join_decomposition"] = compact
        if self.session.part is not None:
            properties["join_part"] = list(self.session.part)
        if self.session.frame is not None:
            properties["join_frame"] = self.session.frame
        return properties


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
