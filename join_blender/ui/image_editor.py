# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on puts into every Image Editor beside its panels: Esc, which ends the decomposition that runs (the
user's own keys can override it), and the outline of the part that will be decomposed, drawn over the image."""

from __future__ import annotations

from typing import Any

import bpy

from .decompose import JOIN_OT_escape

_COLOUR = (1.0, 0.6, 0.1, 1.0)
_outline: Any = None
_keys: list[tuple[Any, Any]] = []


def register() -> None:
    """In background mode there are neither keys nor a screen to draw on."""
    global _outline
    configuration: Any = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:
        keymap = configuration.keymaps.new("Image Generic", space_type="IMAGE_EDITOR")
        _keys.append((keymap, keymap.keymap_items.new(JOIN_OT_escape.bl_idname, "ESC", "PRESS")))
    if not bpy.app.background:
        space: Any = bpy.types.SpaceImageEditor
        _outline = space.draw_handler_add(_draw_outline, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Take both away again."""
    global _outline
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    if _outline is not None:
        space: Any = bpy.types.SpaceImageEditor
        space.draw_handler_remove(_outline, "WINDOW")
        _outline = None


def _draw_outline() -> None:
    context: Any = bpy.context
    settings = context.scene.join_intrinsics
    image = context.space_data.image
    if not settings.use_crop or image is None or "join_set" in image:
        return
    import gpu
    from gpu_extras.batch import batch_for_shader

    left, bottom, right, top = settings.crop
    corners = ((left, bottom), (right, bottom), (right, top), (left, top), (left, bottom))
    view = context.region.view2d
    points = [view.view_to_region(x, y, clip=False) for x, y in corners]
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", _COLOUR)
    gpu.state.line_width_set(2.0)
    batch_for_shader(shader, "LINE_STRIP", {"pos": [(*point, 0.0) for point in points]}).draw(shader)
    gpu.state.line_width_set(1.0)
