# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a set as a handle over its picture: where it comes from, and how far away it is.

The values of the sliders *Left / Right*, *Up / Down* and *Distance* are all that is known of it, so that a slider moves
the handle as the handle moves the sliders. It stands where a photo's light seems to be as the engine tells it, moved by
the values: a light beside the picture's middle by the sine s of an angle is drawn s of the picture's longer side away.
Of a portrait it is the key light, about the middle of the face's crop, in sides of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import bpy

from ..host import faces, relight_values, sets
from . import drawing, wipe

ACROSS, UP, DISTANCE = "left_right", "up_down", "distance"
MOST = 3.0
"""Standard deviations either way that a handle goes: beyond, a bank makes things up."""
DISK, _RING, _GROWTH = 8.0, 20.0, 1.35
"""Pixels: radius of the disk, of the ring at the photo's own distance, and how the ring grows with one standard
deviation."""
_LIGHT, _LIT, _SHADE = (1.0, 0.86, 0.45, 0.95), (1.0, 0.6, 0.1, 1.0), (0.0, 0.0, 0.0, 0.55)
_MARGIN, _WORDS = 12.0, 60.0

_REACH = 7.0
"""Pixels from the ring's line at which it can be grabbed."""
_SLOWLY = 0.2
"""How far the light goes with Shift, for a pixel of the mouse."""

when_moved: list[Callable[[Any], None]] = []
"""Who wants to know that a hand has changed values of ``scene.join_relights``, and of which item."""
when_released: list[Callable[[], None]] = []
"""Who wants to know that it has let go of a handle which it had moved."""
_held: dict[int, str] = {}
"""By the address of an editor's space: the part of its handle that the mouse is over, "disk" or "ring"."""


@dataclass(frozen=True)
class Handle:
    """The handle in one editor.

    Attributes:
        item: the values of ``scene.join_relights``.
        box: where the set's picture is in the region, in its pixels.
        seen: the part of the region that nothing covers.
    """

    item: Any
    box: drawing.Box
    seen: drawing.Box

    def at(self, amounts: Mapping[str, float]) -> tuple[float, float]:
        """Where in the region the light of some values is."""
        across, up = (self._off(name, amounts[name]) for name in (ACROSS, UP))
        return self._middle(0) + across, self._middle(1) + up

    @property
    def spot(self) -> tuple[float, float]:
        """Where it is drawn: there, or at the edge of what one sees."""
        left, bottom, right, top = self.seen
        margin, (x, y) = _MARGIN * drawing.scale(), self.at(self.values)
        return max(min(x, right - margin), left + margin), max(min(y, top - margin), bottom + margin)

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
    def values(self) -> dict[str, float]:
        """What the handle moves, by name."""
        return {
            name: self.item.values[name].amount
            for name in (ACROSS, UP, DISTANCE)
            if self.item.values.get(name) is not None
        }

    def move(self, amounts: Mapping[str, float]) -> None:
        """Let the light have some values, as they are when a hand holds it."""
        relight_values.place(self.item, amounts)
        for told in when_moved:
            told(self.item)

    @property
    def own(self) -> tuple[float, float]:
        """Where the photo's own light seems to be, in pixels of the region."""
        return self.at({ACROSS: 0.0, UP: 0.0})

    @property
    def _side(self) -> float:
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def _middle(self, axis: int) -> float:
        return (self.box[axis] + self.box[axis + 2]) / 2

    def _off(self, name: str, amount: float) -> float:
        value = self.item.values[name]
        return float((value.at + value.unit * amount) * self._side)


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
    layer = next(iter(layers.values()))
    part = drawing.within(sets.part_of(layer), sets.part_of(space.image))
    face = faces.of_layer(layer)
    if face is not None:  # whose key light it is
        width, height = part[2] - part[0], part[3] - part[1]
        left, bottom = part[0] + face[0] * width, part[1] + face[1] * height
        part = (left, bottom, left + (face[2] - face[0]) * width, bottom + (face[3] - face[1]) * height)
    return Handle(item, drawing.place_of(context.region, part), drawing.visible(context))


_SLOTS = ("_before", "_pressed")


class _Grabbed:
    """What disk and ring have in common: ``amounts`` tells the values after the mouse has gone so many pixels."""

    __slots__ = ()
    part = ""

    def draw(self: Any, context: Any) -> None:
        """Only remember what the mouse is over; :func:`draw` draws it."""
        key = context.space_data.as_pointer()
        if self.is_highlight or self.is_modal:
            _held[key] = self.part
        elif _held.get(key) == self.part:
            del _held[key]

    def invoke(self: Any, context: Any, event: Any) -> Any:
        """The button is down."""
        handle = of(context)
        if handle is None:
            return {"CANCELLED"}
        self._before = handle.values
        self._pressed = event.mouse_region_x, event.mouse_region_y
        return {"RUNNING_MODAL"}

    def modal(self: Any, context: Any, event: Any, tweak: Any) -> Any:
        """The mouse moves; with Shift the light follows slowly."""
        handle = of(context)
        if handle is not None:
            speed = _SLOWLY if "PRECISE" in tweak else 1.0
            moved = [
                (now - then) * speed
                for now, then in zip((event.mouse_region_x, event.mouse_region_y), self._pressed, strict=True)
            ]
            handle.move(self.amounts(handle, moved[0], moved[1]))
            context.region.tag_redraw()
        return {"RUNNING_MODAL"}

    def exit(self: Any, context: Any, cancel: bool) -> None:
        """Let go; with Esc or the right button the light goes back."""
        handle = of(context)
        if handle is None:
            return
        if cancel:
            handle.move(self._before)
        elif handle.values != self._before:
            for done in when_released:
                done()
        context.area.tag_redraw()


class JOIN_GT_light(_Grabbed, bpy.types.Gizmo):
    """The disk: where the light comes from"""

    bl_idname = "JOIN_GT_light"
    __slots__ = _SLOTS
    part = "disk"

    def test_select(self, context: Any, location: Any) -> int:
        """Whether the mouse is on the disk."""
        handle = of(context)
        reach = (DISK + 2.0) * drawing.scale()
        return 0 if handle is not None and math.dist(location, handle.spot) <= reach else -1

    def amounts(self: Any, handle: Handle, right: float, up: float) -> dict[str, float]:
        """Of both sides."""
        x, y = handle.at(self._before)  # now, as the picture may have been moved or zoomed since the press
        return handle.amounts_at(x + right, y + up)


class JOIN_GT_light_distance(_Grabbed, bpy.types.Gizmo):
    """The ring: how far away the light is"""

    bl_idname = "JOIN_GT_light_distance"
    __slots__ = _SLOTS
    part = "ring"

    def test_select(self, context: Any, location: Any) -> int:
        """Whether the mouse is on the ring."""
        handle = of(context)
        if handle is None or not handle.ring:
            return -1
        off = abs(math.dist(location, handle.spot) - handle.ring)
        return 0 if off <= _REACH * drawing.scale() else -1

    def amounts(self: Any, handle: Handle, right: float, up: float) -> dict[str, float]:
        """The ring goes through the mouse."""
        at = self._pressed[0] + right, self._pressed[1] + up
        return handle.amounts_of(math.dist(at, handle.spot))


class JOIN_GGT_light(bpy.types.GizmoGroup):
    """The handle of the light"""

    bl_idname = "JOIN_GGT_light"
    bl_label = "Light"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SHOW_MODAL_ALL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where there is one."""
        return of(context) is not None

    def setup(self, _context: Any) -> None:
        """The ring is below the disk."""
        for name in (JOIN_GT_light_distance.bl_idname, JOIN_GT_light.bl_idname):
            part: Any = self.gizmos.new(name)
            part.use_draw_modal = True


def draw() -> None:
    """Over everything else that is drawn over the picture."""
    context: Any = bpy.context
    handle = of(context)
    if handle is None:
        return
    size, over = drawing.scale(), _held.get(context.space_data.as_pointer(), "")
    own, (x, y) = handle.own, handle.spot
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
        off = max(handle.ring, DISK * size) + 8.0 * size
        no_room = x + off > handle.seen[2] - _WORDS * size
        drawing.draw_words(words, x - off if no_room else x + off, y - 4.0 * size, to_the_left=no_room)


def forget() -> None:
    """Another file is about to be loaded, or the add-on is going away."""
    _held.clear()
