# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on puts into every Image Editor beside its panels: Esc, which ends the wipe, or else the decomposition
that runs (the user's own keys can override it); and what is drawn over the image: readable light, the light while it
moves, the wipe, the light's handle, the legend of a view, the outline of the part that will be decomposed, and the face
that a person has pointed at."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..overlay import drawing, legend, light_handle, live, readable, steady_view, wipe
from . import faces
from .compare import JOIN_OT_wipe_end
from .decompose import JOIN_OT_escape

_COLOUR = (1.0, 0.6, 0.1, 1.0)
_drawn: list[Any] = []
_keys: list[tuple[Any, Any]] = []


def register() -> None:
    """In background mode there are neither keys nor a screen to draw on."""
    configuration: Any = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:
        keymap = configuration.keymaps.new("Image Generic", space_type="IMAGE_EDITOR")
        for operator in (JOIN_OT_wipe_end, JOIN_OT_escape):  # the first that has something to do takes the key
            _keys.append((keymap, keymap.keymap_items.new(operator.bl_idname, "ESC", "PRESS")))
    if not bpy.app.background:
        space: Any = bpy.types.SpaceImageEditor
        _drawn.append(space.draw_handler_add(readable.draw, (), "WINDOW", "POST_VIEW"))
        over = (live.draw, wipe.draw, light_handle.draw, readable.draw_words, legend.draw, _draw_outline, faces.draw)
        for function in (steady_view.draw, *over):
            _drawn.append(space.draw_handler_add(function, (), "WINDOW", "POST_PIXEL"))
    bpy.app.handlers.load_pre.append(forget_file)


def unregister() -> None:
    """Take all of it away again."""
    bpy.app.handlers.load_pre.remove(forget_file)
    wipe.end_all()
    light_handle.forget()
    steady_view.forget()
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    space: Any = bpy.types.SpaceImageEditor
    for handle in _drawn:
        space.draw_handler_remove(handle, "WINDOW")
    _drawn.clear()


@persistent
def forget_file(*_: Any) -> None:
    """Another file is about to be loaded."""
    wipe.end_all()
    light_handle.forget()
    steady_view.forget()


def _draw_outline() -> None:
    context: Any = bpy.context
    settings = context.scene.join_intrinsics
    image = context.space_data.image
    if not settings.use_crop or image is None or "join_set" in image:
        return
    left, bottom, right, top = drawing.place_of(context, settings.crop)
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    drawing.draw_line(corners, _COLOUR, 2.0)
