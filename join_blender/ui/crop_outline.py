# SPDX-License-Identifier: GPL-3.0-or-later
"""The outline of the part that will be decomposed, drawn over the image."""

from __future__ import annotations

from typing import Any

import bpy

_COLOUR = (1.0, 0.6, 0.1, 1.0)
_handle: Any = None


def register() -> None:
    """Draw it in all Image Editors; without a screen there is nothing to draw on."""
    global _handle
    if not bpy.app.background:
        space: Any = bpy.types.SpaceImageEditor
        _handle = space.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def unregister() -> None:
    """Draw it no more."""
    global _handle
    if _handle is not None:
        space: Any = bpy.types.SpaceImageEditor
        space.draw_handler_remove(_handle, "WINDOW")
        _handle = None


def _draw() -> None:
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
