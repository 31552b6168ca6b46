# SPDX-License-Identifier: GPL-3.0-or-later
"""The wipe: two images of a set in one Image Editor, on either side of a line that one drags.

Blender shows the one (the input, if that is one of them), and the other is drawn over it from the line on. Which two,
and where the line is, is known for each editor for as long as it shows the one, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy
import gpu

from ..engine.vocabulary import in_order
from ..host import sets
from . import drawing, readable, steady_view

INPUT = "input"
_LINE, _LIT = (1.0, 1.0, 1.0, 0.8), (1.0, 0.6, 0.1, 1.0)
_REACH, _HANDLE = 8.0, 5.0
"""Pixels beside the line at which it can be grabbed, and half of its handle's width."""
_SLOWLY = 0.1
"""How far the line goes with Shift, for a pixel of the mouse."""


@dataclass
class Wipe:
    """What an editor wipes between.

    Args:
        key: of the set.
        left, right: :data:`INPUT`, or a component.
        line: where the line is, in widths of the image that Blender shows.
    """

    key: str
    left: str
    right: str
    line: float = 0.5
    grabbed: bool = False
    """Whether the mouse is over the line."""

    @property
    def below(self) -> str:
        """The one that Blender shows. The input may be a render or one frame of many, which only Blender knows to
        draw."""
        return self.right if self.right == INPUT else self.left

    @property
    def above(self) -> str:
        """The one that is drawn over it."""
        return self.left if self.right == INPUT else self.right

    def image(self, name: str) -> Any:
        """The image by that name; None where it is gone."""
        return sets.source_of(self.key) if name == INPUT else sets.layers_of(self.key).get(name)


_wipes: dict[int, Wipe] = {}
"""By the address of the editor's space."""


def names_of(key: str) -> list[str]:
    """What there is to wipe between in a set."""
    names = in_order(sets.layers_of(key))
    return [INPUT, *names] if sets.source_of(key) is not None else names


def begin(context: Any, key: str, left: str, right: str) -> None:
    """Wipe in the editor of that context, from the middle of what one sees on."""
    wipe = Wipe(key, left, right)
    show(context.area, wipe)
    region = next((region for region in context.area.regions if region.type == "WINDOW"), None)
    with context.temp_override(region=region):
        wipe.line = sum(_seen(bpy.context)) / 2


def show(area: Any, wipe: Wipe) -> None:
    """Let that editor wipe so."""
    steady_view.show(area, wipe.image(wipe.below))
    _wipes[area.spaces.active.as_pointer()] = wipe


def end(space: Any) -> None:
    """The editor goes on showing what is below."""
    _wipes.pop(space.as_pointer(), None)


def end_all() -> None:
    """Another file is about to be loaded, or the add-on is going away."""
    _wipes.clear()


def of(space: Any) -> Wipe | None:
    """The wipe of an Image Editor; None where there is none any more, since the editor shows something else or an image
    is gone."""
    if space is None or space.type != "IMAGE_EDITOR":
        return None
    wipe = _wipes.get(space.as_pointer())
    if wipe is None:
        return None
    below, above = wipe.image(wipe.below), wipe.image(wipe.above)
    if below is None or above is None or space.image != below:
        end(space)
        return None
    return wipe


class JOIN_GT_wipe(bpy.types.Gizmo):
    """The line, as something that the mouse takes hold of; :func:`draw` draws it, over the pictures"""

    bl_idname = "JOIN_GT_wipe"
    __slots__ = ("_before", "_pressed")

    def draw(self, context: Any) -> None:
        """Only remember whether the mouse is there."""
        wipe = of(context.space_data)
        if wipe is not None:
            wipe.grabbed = bool(self.is_highlight or self.is_modal)

    def test_select(self, context: Any, location: Any) -> int:
        """Whether the mouse is at the line."""
        wipe = of(context.space_data)
        if wipe is None:
            return -1
        left, bottom, right, top = drawing.place_of(context.region, drawing.WHOLE)
        near = abs(location[0] - _line_at(wipe, left, right)) <= _REACH * drawing.scale()
        return 0 if near and bottom <= location[1] <= top else -1

    def invoke(self, context: Any, event: Any) -> Any:
        """The button is down."""
        wipe = of(context.space_data)
        if wipe is None:
            return {"CANCELLED"}
        self._before, self._pressed = wipe.line, event.mouse_region_x
        context.window.cursor_modal_set("MOVE_X")
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any, tweak: Any) -> Any:
        """The mouse moves; with Shift the line follows slowly."""
        wipe = of(context.space_data)
        if wipe is not None:
            left, _, right, _ = drawing.place_of(context.region, drawing.WHOLE)
            moved = (event.mouse_region_x - self._pressed) / (right - left)
            low, high = _seen(context)
            wipe.line = min(max(self._before + moved * (_SLOWLY if "PRECISE" in tweak else 1.0), low), high)
            context.region.tag_redraw()
        return {"RUNNING_MODAL"}

    def exit(self, context: Any, cancel: bool) -> None:
        """Let go; with Esc or the right button the line goes back."""
        context.window.cursor_modal_restore()
        wipe = of(context.space_data)
        if cancel and wipe is not None:
            wipe.line = self._before
        context.region.tag_redraw()


class JOIN_GGT_wipe(bpy.types.GizmoGroup):
    """Where an editor wipes, its line"""

    bl_idname = "JOIN_GGT_wipe"
    bl_label = "Wipe"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "WINDOW"
    bl_options = {"PERSISTENT", "SHOW_MODAL_ALL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where there is one."""
        return of(context.space_data) is not None

    def setup(self, _context: Any) -> None:
        """One gizmo."""
        line: Any = self.gizmos.new(JOIN_GT_wipe.bl_idname)
        line.use_draw_modal = True


def draw() -> None:
    """The image above, the line, and what is on either side of it."""
    context: Any = bpy.context
    wipe = of(context.space_data)
    if wipe is None:
        return
    below, above = wipe.image(wipe.below), wipe.image(wipe.above)
    frame = sets.part_of(below)
    place = drawing.place_of(context.region, drawing.WHOLE)
    line = _line_at(wipe, place[0], place[2])
    side = (place[0], place[1], line, place[3]) if wipe.right == INPUT else (line, place[1], place[2], place[3])
    covered = drawing.place_of(context.region, drawing.within(sets.part_of(above), frame))
    seen = drawing.inside(covered, side)
    if seen is not None:
        texture, part = gpu.texture.from_image(above), drawing.within(seen, covered)
        drawing.draw_texture(texture, seen, part, readable.gain_of(above))
    _draw_line(context, wipe, line, place)


def _draw_line(context: Any, wipe: Wipe, line: float, place: drawing.Box) -> None:
    shown = drawing.inside(drawing.visible(context), (line - 1.0, place[1], line + 1.0, place[3]))
    if shown is None:
        return
    size, colour = drawing.scale(), _LIT if wipe.grabbed else _LINE
    _, bottom, _, top = shown
    drawing.draw_line([(line, bottom), (line, top)], (0.0, 0.0, 0.0, 0.5), 3.0 * size)
    drawing.draw_line([(line, bottom), (line, top)], colour, 1.0 * size)
    half, middle = _HANDLE * size, (bottom + top) / 2
    drawing.fill((line - half, middle - 3 * half, line + half, middle + 3 * half), colour)
    drawing.draw_words(wipe.left.capitalize(), line - 8.0 * size, bottom + 10.0 * size, to_the_left=True)
    drawing.draw_words(wipe.right.capitalize(), line + 8.0 * size, bottom + 10.0 * size)


def _line_at(wipe: Wipe, left: float, right: float) -> float:
    return left + wipe.line * (right - left)


def _seen(context: Any) -> tuple[float, float]:
    """From where to where the line can be dragged: what one sees of the image."""
    left, _, right, _ = drawing.place_of(context.region, drawing.WHOLE)
    start, _, stop, _ = drawing.visible(context)
    low, high = max((start - left) / (right - left), 0.0), min((stop - left) / (right - left), 1.0)
    return (low, high) if low < high else (0.0, 1.0)
