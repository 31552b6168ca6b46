# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a set as a handle over its picture: where it comes from, and how far away it is.

The values of the sliders *Left / Right*, *Up / Down* and *Distance* are all that is known of it, so that a slider moves
the handle as the handle moves the sliders. It stands where a photo's light seems to be as the engine tells it, moved by
the values: a light beside the picture's middle by the sine s of an angle is drawn s of the picture's longer side away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import bpy

from ..host import relight_values, sets
from . import drawing, wipe

ACROSS, UP, DISTANCE = "left_right", "up_down", "distance"
MOST = 3.0
"""Standard deviations either way that a handle goes: beyond, a bank makes things up."""
DISK, _RING, _GROWTH = 8.0, 20.0, 1.35
"""Pixels: radius of the disk, of the ring at the photo's own distance, and how the ring grows with one standard
deviation."""
_LIGHT, _LIT, _SHADE = (1.0, 0.86, 0.45, 0.95), (1.0, 0.6, 0.1, 1.0), (0.0, 0.0, 0.0, 0.55)
_MARGIN = 12.0

held: dict[int, str] = {}
"""By the address of an editor's space: the part of its handle that the mouse is over, "disk" or "ring"."""


@dataclass(frozen=True)
class Handle:
    """The handle in one editor.

    Attributes:
        item: the values of ``scene.join_relights``.
        box: where the set's picture is in the region, in its pixels.
    """

    item: Any
    box: drawing.Box

    @property
    def x(self) -> float:
        """Pixels of the region."""
        return self._middle(0) + self._off(ACROSS)

    @property
    def y(self) -> float:
        """Pixels of the region."""
        return self._middle(1) + self._off(UP)

    @property
    def ring(self) -> float:
        """Radius in pixels; 0 for a bank that knows no distance."""
        value = self.item.values.get(DISTANCE)
        return 0.0 if value is None else float(_RING * drawing.scale() * _GROWTH**value.amount)

    def amounts_at(self, x: float, y: float) -> dict[str, float]:
        """The values with which the light is at a place of the region."""
        found = {}
        for name, offset in ((ACROSS, x - self._middle(0)), (UP, y - self._middle(1))):
            value = self.item.values[name]
            found[name] = _bounded((offset / self._side - value.at) / value.unit)
        return found

    def amounts_of(self, ring: float) -> dict[str, float]:
        """The values with which the ring has a radius in pixels."""
        if self.item.values.get(DISTANCE) is None:
            return {}
        return {DISTANCE: _bounded(math.log(max(ring, 1.0) / (_RING * drawing.scale())) / math.log(_GROWTH))}

    @property
    def own(self) -> tuple[float, float]:
        """Where the photo's own light seems to be, in pixels of the region."""
        across, up = (self.item.values[name].at * self._side for name in (ACROSS, UP))
        return self._middle(0) + across, self._middle(1) + up

    @property
    def _side(self) -> float:
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def _middle(self, axis: int) -> float:
        return (self.box[axis] + self.box[axis + 2]) / 2

    def _off(self, name: str) -> float:
        value = self.item.values[name]
        return float((value.at + value.unit * value.amount) * self._side)


def _bounded(amount: float) -> float:
    return round(min(max(amount, -MOST), MOST), 3)


def of(context: Any, put_away: bool = False) -> Handle | None:
    """The handle in the context's region; None where the editor shows no set with such sliders, or where it is put away
    and not asked for all the same."""
    space: Any = context.space_data
    if space is None or space.type != "IMAGE_EDITOR" or space.image is None or wipe.of(space) is not None:
        return None
    key = sets.set_of(space.image)
    item = relight_values.find(context.scene, key)
    if item is None or item.show_original or not (item.show_handle or put_away):
        return None
    values = [item.values.get(name) for name in (ACROSS, UP)]
    layers = sets.layers_of(str(key))
    if not layers or any(value is None or value.unit <= 0.0 for value in values):
        return None
    part = drawing.within(sets.part_of(next(iter(layers.values()))), sets.part_of(space.image))
    return Handle(item, drawing.place_of(context, part))


def draw() -> None:
    """Over everything else that is drawn over the picture."""
    context: Any = bpy.context
    handle = of(context)
    if handle is None:
        return
    size, over = drawing.scale(), held.get(context.space_data.as_pointer(), "")
    shown = drawing.visible(context)
    own, x, y = handle.own, handle.x, handle.y
    if math.dist(own, (x, y)) > DISK * size:
        drawing.draw_line([own, (x, y)], _SHADE, 3.0 * size)
        drawing.draw_line([own, (x, y)], (*_LIGHT[:3], 0.6), 1.0 * size)
    drawing.draw_ring(*own, 3.0 * size, (*_LIGHT[:3], 0.6), 1.0 * size)
    if handle.ring:
        drawing.draw_ring(x, y, handle.ring, _SHADE, 4.0 * size)
        drawing.draw_ring(x, y, handle.ring, _LIT if over == "ring" else _LIGHT, 2.0 * size)
    drawing.fill_disk(x, y, (DISK + 1.5) * size, _SHADE)
    drawing.fill_disk(x, y, DISK * size, _LIT if over == "disk" else _LIGHT)
    if over:
        words = "Distance" if over == "ring" else "Light"
        left = x + max(handle.ring, DISK * size) + 8.0 * size
        drawing.draw_words(words, min(left, shown[2] - 60.0 * size), max(y - 4.0 * size, shown[1] + _MARGIN))


def forget() -> None:
    """Another file is about to be loaded, or the add-on is going away."""
    held.clear()
