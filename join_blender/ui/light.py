# SPDX-License-Identifier: GPL-3.0-or-later
"""Light as one grabs it: the handle over the picture that the mouse drags, and the click that says where the light
comes from. Both do nothing but move the sliders of *Relight*, as one step of undo."""

from __future__ import annotations

import math
from typing import Any

import bpy

from ..engine.failure import Failure
from ..host import relight_values, undo
from ..overlay import drawing, light_handle
from . import relight_updates, running
from .running import Outcome, report

_REACH = 7.0
"""Pixels from the ring's line at which it can be grabbed."""
_SLOWLY = 0.2
"""How far the light goes with Shift, for a pixel of the mouse."""
_STILL = 6.0
"""Pixels that a hand moves without meaning to."""
_PER_DEVIATION = 70.0
"""Pixels of a drag away from the clicked place, for one standard deviation of the distance."""


def _move(item: Any, amounts: dict[str, float]) -> None:
    relight_values.place(item, amounts)
    relight_updates.touch(item)


def _values_of(item: Any) -> dict[str, float]:
    names = (light_handle.ACROSS, light_handle.UP, light_handle.DISTANCE)
    return {name: item.values[name].amount for name in names if item.values.get(name) is not None}


_SLOTS = ("_before", "_pressed", "_start")


class _Grabbed:
    """What disk and ring have in common."""

    __slots__ = ()
    part = ""

    def draw(self: Any, context: Any) -> None:
        """Only remember what the mouse is over; :func:`join_blender.overlay.light_handle.draw` draws it."""
        key = context.space_data.as_pointer()
        if self.is_highlight or self.is_modal:
            light_handle.held[key] = self.part
        elif light_handle.held.get(key) == self.part:
            del light_handle.held[key]

    def invoke(self: Any, context: Any, event: Any) -> Any:
        """The button is down."""
        handle = light_handle.of(context)
        if handle is None:
            return {"CANCELLED"}
        self._before = _values_of(handle.item)
        self._pressed = event.mouse_region_x, event.mouse_region_y
        self._start = handle.x, handle.y
        return {"RUNNING_MODAL"}

    def modal(self: Any, context: Any, event: Any, tweak: Any) -> Any:
        """The mouse moves; with Shift the light follows slowly."""
        handle = light_handle.of(context)
        if handle is not None:
            speed = _SLOWLY if "PRECISE" in tweak else 1.0
            moved = [
                (now - then) * speed
                for now, then in zip((event.mouse_region_x, event.mouse_region_y), self._pressed, strict=True)
            ]
            _move(handle.item, self.amounts(handle, moved[0], moved[1]))
            context.region.tag_redraw()
        return {"RUNNING_MODAL"}

    def exit(self: Any, context: Any, cancel: bool) -> None:
        """Let go; with Esc or the right button the light goes back."""
        handle = light_handle.of(context)
        if handle is None:
            return
        if cancel:
            _move(handle.item, self._before)
        elif _values_of(handle.item) != self._before:
            running.undo_soon("Move Light")
        context.area.tag_redraw()

    def amounts(self: Any, handle: light_handle.Handle, right: float, up: float) -> dict[str, float]:
        """The values after the mouse has gone so many pixels."""
        raise NotImplementedError


class JOIN_GT_light(_Grabbed, bpy.types.Gizmo):
    """The disk: where the light comes from"""

    bl_idname = "JOIN_GT_light"
    __slots__ = _SLOTS
    part = "disk"

    def test_select(self, context: Any, location: Any) -> int:
        """Whether the mouse is on the disk."""
        handle = light_handle.of(context)
        reach = (light_handle.DISK + 2.0) * drawing.scale()
        return 0 if handle is not None and math.dist(location, (handle.x, handle.y)) <= reach else -1

    def amounts(self: Any, handle: light_handle.Handle, right: float, up: float) -> dict[str, float]:
        """Of both sides."""
        return handle.amounts_at(self._start[0] + right, self._start[1] + up)


class JOIN_GT_light_distance(_Grabbed, bpy.types.Gizmo):
    """The ring: how far away the light is"""

    bl_idname = "JOIN_GT_light_distance"
    __slots__ = _SLOTS
    part = "ring"

    def test_select(self, context: Any, location: Any) -> int:
        """Whether the mouse is on the ring."""
        handle = light_handle.of(context)
        if handle is None or not handle.ring:
            return -1
        off = abs(math.dist(location, (handle.x, handle.y)) - handle.ring)
        return 0 if off <= _REACH * drawing.scale() else -1

    def amounts(self: Any, handle: light_handle.Handle, right: float, up: float) -> dict[str, float]:
        """The ring goes through the mouse."""
        at = self._pressed[0] + right, self._pressed[1] + up
        return handle.amounts_of(math.dist(at, (handle.x, handle.y)))


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
        return light_handle.of(context) is not None

    def setup(self, _context: Any) -> None:
        """The ring is below the disk."""
        for name in (JOIN_GT_light_distance.bl_idname, JOIN_GT_light.bl_idname):
            part: Any = self.gizmos.new(name)
            part.use_draw_modal = True


class JOIN_OT_place_light(bpy.types.Operator):
    """Click in the picture where the light comes from. Drag away from there for a light that is farther off"""

    bl_idname = "join.place_light"
    bl_label = "Place Light"
    bl_options = {"UNDO"}

    _before: dict[str, float]
    _pressed: tuple[float, float] | None = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        """In an Image Editor that has a handle."""
        return _in_picture(context) is not None

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """Wait for the click."""
        handle = _in_picture(context)
        if handle is None:
            return report(self, Failure("relight_missing", "There is no light to place.", "Press Relight first."))
        self._before = _values_of(handle.item)
        context.area.header_text_set("Click where the light comes from, drag away for more distance. Esc: as it was")
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        """The click, the drag, and letting go."""
        handle = _in_picture(context)
        if event.type in ("MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TIMER"):
            return {"PASS_THROUGH"}  # one may look closer before one clicks
        if handle is None or event.type in ("ESC", "RIGHTMOUSE"):
            self._end(context)
            if handle is not None:
                _move(handle.item, self._before)
            return {"CANCELLED"}
        region = _picture_region(context)
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            if not (0 <= x < region.width and 0 <= y < region.height):
                self._end(context)  # a click beside the picture means something else
                return {"CANCELLED", "PASS_THROUGH"}
            self._pressed = x, y
            _move(handle.item, handle.amounts_at(x, y))
        elif event.type == "MOUSEMOVE" and self._pressed is not None:
            far = math.dist((x, y), self._pressed) - _STILL * drawing.scale()
            if light_handle.DISTANCE in self._before and far > 0.0:
                off = far / (_PER_DEVIATION * drawing.scale())
                _move(handle.item, {light_handle.DISTANCE: min(off, light_handle.MOST)})
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._pressed is not None:
            self._end(context)
            undo.include_everything()
            return {"FINISHED"}
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away."""
        self._end(context)

    def _end(self, context: Any) -> None:
        context.area.header_text_set(None)
        context.window.cursor_modal_restore()


def _picture_region(context: Any) -> Any:
    """The region with the picture, of the editor whose sidebar was clicked."""
    return next(region for region in context.area.regions if region.type == "WINDOW")


def _in_picture(context: Any) -> light_handle.Handle | None:
    if context.area is None or context.area.type != "IMAGE_EDITOR":
        return None
    with context.temp_override(region=_picture_region(context)):
        return light_handle.of(bpy.context, put_away=True)


CLASSES: tuple[type, ...] = (
    JOIN_GT_light,
    JOIN_GT_light_distance,
    JOIN_GGT_light,
    JOIN_OT_place_light,
)
