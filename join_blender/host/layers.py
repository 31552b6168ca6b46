# SPDX-License-Identifier: GPL-3.0-or-later
"""A decomposition's layers on their way into Blender: small ones while the engine works, then the same ones in full.

What belongs together is found by custom properties (see :mod:`.sets`) and never by pointer: between two steps the user
may rename things, undo, or load another file, and a pointer would then be a crash. Until all layers of a job are there
they are marked, so that no file is saved with them; an update of an older set begins only when all are at hand.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import bpy

from ..engine.decomposition import Decomposition, Layer
from ..engine.job import State
from ..engine.protocol import AUTO, Message
from . import compositor, editors, images, relight, relight_values, sets
from .sets import BRIGHT, COMPONENT, FORMULA, INPUT, LABEL, PREVIEW, RUN, SET, SOURCE, TIME, TOGETHER, mapping


@dataclass
class LayerSet:
    """The datablocks of one decomposition.

    Args:
        job: the decomposition.
        source: the session's number of the image that is decomposed; 0 for none.
        update: the key of the set whose images get the new content; None for new images.
        photo: of several that are decomposed together, the number of the one whose layers these are.
    """

    job: Decomposition
    source: int = 0
    update: str | None = None
    photo: int = 0
    names: list[str] = field(default_factory=list)
    """Of the layers, once all are there."""
    _written: set[str] = field(default_factory=set)
    _held: list[Layer] = field(default_factory=list)
    _preview: list[Layer] = field(default_factory=list)
    _shown: dict[tuple[str, int], str] = field(default_factory=dict)
    """While a file is saved: the editors that show a layer, and which."""

    def step(self) -> bool:
        """Put what is ready into the file, at most one finished layer; whether that was anything. When all layers are
        there, the job is finished, and :attr:`names` known.

        Raises:
            Failure: what the job's layers raise, and ``layers_linked``.
        """
        job = self.job
        if job.state is not State.READING:
            preview = job.take_preview()
            if preview:
                self._preview = preview
                self._show_preview()
            return bool(preview)
        layer = job.take_layer()
        if layer is not None:
            self._held.append(layer)
        # What replaces older work waits until all is at hand, so that a failure meanwhile leaves that whole.
        if self._held and (self.update is None or job.all_taken):
            self._begin_update()
            self.write(self._held.pop(0))
            return True
        if job.all_taken and not self.ask_again():
            self.settle()
            job.finish()
        return False

    @property
    def sets(self) -> list[LayerSet]:
        """Itself, as :class:`LayersTogether` tells its own."""
        return [self]

    @property
    def id(self) -> str:
        """Of the set that the job makes; an update leaves the older one's."""
        return self.job.set_ids[self.photo]

    @property
    def key(self) -> str:
        """Of the set that the layers are in, or will be."""
        return self.update or self.id

    def preview_of(self, component: str) -> Any:
        """The layer of that component while the job is at work, or another where it has none; None before the first."""
        layers = sets.layers_of(self.id) or (sets.layers_of(self.update) if self.job.committed else {})
        return layers.get(component) or next(iter(layers.values()), None)

    def _begin_update(self) -> None:
        """From here on the job cannot be stopped: half of an older set would be lost."""
        if self.update is None:
            return
        if not sets.layers_of(self.update):
            self.update = None  # it was removed meanwhile
            return
        sets.refuse_linked(self.update)
        self.job.committed = True

    def ask_again(self) -> bool:
        """Let the job hand out once more what an undo took of the layers; whether that is anything."""
        layers = sets.layers_of(self.key)
        gone = [name for name in self._written if name not in layers or layers[name].get(RUN) != self.id]
        self.job.take_again(gone, self.photo)
        return bool(gone)

    def settle(self) -> None:
        """All layers are written: the set is whole."""
        layers = sets.layers_of(self.key)
        if self.update is not None:
            relight.forget_originals(self.update)
            relight_values.forget(self.update)
            retired = self._retired(layers)
            compositor.follow(layers, sets.formula_of(self.update), retired)
            sets.remove_images(image for image in retired.values() if image.users == 0)
            sets.remove_images(self._unfinished())
            layers = sets.layers_of(self.update)
        for image in layers.values():
            image.pop(PREVIEW, None)
            image.use_fake_user = True
        sets.choose(self.key)
        self.names = [image.name for image in layers.values()]

    def _retired(self, layers: dict[str, Any]) -> dict[str, Any]:
        """Take what the new run does not know out of the set. Where the user has put such a layer to use it stays, with
        the value at which it leaves the picture alone."""
        retired = {name: layers.pop(name) for name in list(layers) if name not in self._written}
        for component, image in retired.items():
            images.fill_neutral(image, component)
            for name in [name for name in image.keys() if name.startswith("join_")]:  # noqa: SIM118, no mapping
                del image[name]
            image.use_fake_user = False
        return retired

    def _show_preview(self) -> None:
        """Let the small layers appear, or sharpen."""
        for layer in self._preview:
            image = sets.layers_of(self.id).get(layer.component) or self._new(layer.component)
            properties = {SET: self.id, COMPONENT: layer.component, SOURCE: self._name, BRIGHT: layer.bright}
            properties[PREVIEW] = True
            images.fill_layer(image, layer.data, layer.alpha, properties)
            self._point_at_input(image)

    def write(self, layer: Layer) -> None:
        """Write a finished layer, over its preview or over the layer that it updates."""
        target = self._target(layer.component) or self._new(layer.component)
        properties = {**self._properties(layer.component), BRIGHT: layer.bright}
        images.fill_layer(target, layer.data, layer.alpha, properties, is_read_again=True)
        self._point_at_input(target)
        target.pop(sets.RELIT, None)  # the light of an earlier run is gone with its pixels
        if not self.job.is_together:
            target.pop(TOGETHER, None)
        if self.update is None:
            target[PREVIEW] = True  # until the others are there
        self._written.add(layer.component)

    def finish_update(self) -> None:
        """Write the rest of an update that has begun, now."""
        while self.job.committed and not self.job.ended:
            self.step()

    def hide(self) -> None:
        """Before the file is saved: take the layers of this job out of it; :meth:`show_again` brings them back."""
        self.finish_update()
        unfinished = self._unfinished()
        self._shown = editors.showing({str(image[COMPONENT]): image for image in unfinished})
        sets.remove_images(unfinished, self._input())

    def show_again(self) -> None:
        """After it. Full layers that were there already are written anew."""
        if self.job.ended:
            return
        self._show_preview()
        editors.show_again(self._shown, sets.layers_of(self.id))

    def discard(self) -> None:
        """Remove what was made here; layers of an earlier run stay. Editors go back to the image."""
        self.finish_update()
        sets.remove_images(self._unfinished(), self._input())
        self._written.clear()
        self._held.clear()

    def _unfinished(self) -> list[Any]:
        """The images of this job that are in the file while it is not done."""
        return [image for image in sets.all_images() if image.get(SET) == self.id and PREVIEW in image]

    def _input(self) -> Any:
        return editors.image_of_number(self.source) if self.source else None

    def _new(self, component: str) -> Any:
        name = str(self._old_label() or self._name)
        image: Any = images.new_layer(images.layer_name(name, component))
        image[SET], image[COMPONENT], image[SOURCE] = self.id, component, self._name
        return image

    @property
    def _name(self) -> str:
        """What the user calls the photo."""
        return self.job.photos[self.photo] if self.job.photos else self.job.name

    def _old_label(self) -> str:
        """What the user has called the set that is updated."""
        layers = sets.layers_of(self.update)
        return next((str(image[LABEL]) for image in layers.values() if LABEL in image), "")

    def _target(self, component: str) -> Any:
        """The image that shall hold a finished layer."""
        own = sets.layers_of(self.id).get(component)
        old = sets.layers_of(self.update).get(component)
        if old is None:
            return own
        if own is not None and own != old:  # a preview beside it; whoever looks at that, looks at the layer from now on
            own.user_remap(old)
            bpy.data.images.remove(own)
        return old

    def _point_at_input(self, image: Any) -> None:
        source = self._input()
        if source is not None:
            image[INPUT], image[SOURCE] = source, source.name

    def _properties(self, component: str) -> dict[str, Any]:
        result: Message = self.job.results[self.photo] if self.job.results else {}
        bank = mapping(result.get("bank"))
        properties = {
            SET: self.key,
            RUN: self.id,
            COMPONENT: component,
            SOURCE: self._name,
            "join_bank": str(bank.get("name", "")),
            "join_bank_sha256": str(bank.get("sha256", "")),
            "join_bank_path": "" if self.job.options.bank in (None, AUTO) else self.job.options.bank,
            "join_forward_model": str(result.get("forward_model", "")),
            "join_preset": self.job.options.preset,
            "join_seed": self.job.options.seed,
            FORMULA: json.dumps(result.get("formula")),
            "join_settings": json.dumps(mapping(result.get("settings"))),
            "join_metrics": json.dumps(mapping(result.get("metrics"))),
            TIME: time.time(),
        }
        if suggested := result.get("suggested_bank"):
            properties[sets.SUGGESTED] = str(suggested)
        if label := self._old_label():
            properties[LABEL] = label
        if compact := self.job.compact(self.photo):
            properties[sets.DECOMPOSITION] = compact
        if self.job.is_together:
            properties[TOGETHER] = self.job.id
        if self.job.part is not None:
            properties["join_part"] = list(self.job.part)
        if self.job.frame is not None:
            properties["join_frame"] = self.job.frame
        if self.job.exr_layer:
            properties["join_exr_layer"] = self.job.exr_layer
        return properties


class LayersTogether:
    """The sets of several photos that are decomposed together, one for each: all of them get whole, or none.

    Each has an albedo of its own, equal to the others' to the bit: so a set can be relit, painted on, exported or
    removed like any other, and those of the other photos stay as they are.

    Args:
        job: of these photos.
        sources: the session's number of each image.
    """

    update = None

    def __init__(self, job: Decomposition, sources: Sequence[int]) -> None:
        self.job = job
        self.sets = [LayerSet(job, source, photo=photo) for photo, source in enumerate(sources)]

    @property
    def names(self) -> list[str]:
        """Of the layers, once all are there."""
        return [name for one in self.sets for name in one.names]

    def step(self) -> bool:
        """As :meth:`LayerSet.step`."""
        job = self.job
        if job.state is not State.READING:
            return False
        layer = job.take_layer()
        if layer is not None:
            self.sets[layer.photo].write(layer)
            return True
        if job.all_taken:
            asked = [one.ask_again() for one in self.sets]
            if not any(asked):
                for one in self.sets:
                    one.settle()
                job.finish()
        return False
