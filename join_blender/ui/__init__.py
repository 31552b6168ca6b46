# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: preferences, properties, operators, panels. The only part that registers anything."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..engine.background import remove_left_behind
from ..engine.process import kill_all
from ..host import images
from ..overlay import drawing, legend, light_handle, live, readable, steady_view, wipe
from . import (
    compare,
    decompose,
    engine_state,
    faces,
    help,
    install,
    layers,
    masked,
    panels,
    preferences,
    properties,
    relight,
    relight_updates,
    running,
    together,
)

_SCENE: Any = bpy.types.Scene
"""The type of all scenes, as something that takes new properties."""

_COLOUR = (1.0, 0.6, 0.1, 1.0)
_drawn: list[Any] = []
_keys: list[tuple[Any, Any]] = []

_OF_IMAGES = wipe, compare, panels, together, masked, faces, light_handle, relight, layers
CLASSES: tuple[type, ...] = tuple(
    one
    for module in (preferences, install, help, properties, decompose, *_OF_IMAGES)
    for one in vars(module).values()
    if isinstance(one, type) and issubclass(one, bpy.types.bpy_struct) and one.__module__ == module.__name__
)
"""What these modules define for Blender. Panels stand below one another in this order."""


def register() -> None:
    """Add everything to Blender."""
    remove_left_behind(bpy.app.tempdir or None)
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _SCENE.join_intrinsics = bpy.props.PointerProperty(type=properties.JoinSettings)  # type: ignore[func-returns-value]
    _SCENE.join_photos = bpy.props.CollectionProperty(type=together.JoinPhoto)  # type: ignore[func-returns-value]
    _SCENE.join_photo_index = bpy.props.IntProperty()  # type: ignore[func-returns-value]
    _SCENE.join_relights = bpy.props.CollectionProperty(type=relight.JoinRelight)  # type: ignore[func-returns-value]
    for name, function in running.HANDLERS:  # before those that look at the layers after an undo
        getattr(bpy.app.handlers, name).append(function)
    relight_updates.register()
    bpy.types.IMAGE_MT_image.append(panels.draw_image_menu)
    bpy.utils.register_manual_map(help.manual_map)
    _into_editors()


def unregister() -> None:
    """Take everything away again; a running engine ends."""
    relight_updates.unregister()
    running.abandon()
    engine_state.abandon()
    kill_all()
    _out_of_editors()
    for name, function in running.HANDLERS:
        getattr(bpy.app.handlers, name).remove(function)
    bpy.types.IMAGE_MT_image.remove(panels.draw_image_menu)
    bpy.utils.unregister_manual_map(help.manual_map)
    del _SCENE.join_relights, _SCENE.join_photos, _SCENE.join_photo_index, _SCENE.join_intrinsics
    properties.forget_pictures()
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)


def _into_editors() -> None:
    """What every Image Editor gets beside the panels: Esc, which ends the wipe, or else the decomposition that runs,
    where the user's own keys do not; and what is drawn over the image. In background mode there is neither."""
    configuration: Any = bpy.context.window_manager.keyconfigs.addon
    if configuration is not None:
        keymap = configuration.keymaps.new("Image Generic", space_type="IMAGE_EDITOR")
        for operator in (
            compare.JOIN_OT_wipe_end,
            decompose.JOIN_OT_escape,
        ):  # the first that has something to do takes the key
            _keys.append((keymap, keymap.keymap_items.new(operator.bl_idname, "ESC", "PRESS")))
    if not bpy.app.background:
        space: Any = bpy.types.SpaceImageEditor
        _drawn.append(space.draw_handler_add(readable.draw, (), "WINDOW", "POST_VIEW"))
        over = (live.draw, wipe.draw, light_handle.draw, readable.draw_words, legend.draw, _draw_outline, faces.draw)
        for function in (steady_view.draw, *over):
            _drawn.append(space.draw_handler_add(function, (), "WINDOW", "POST_PIXEL"))
    bpy.app.handlers.load_pre.append(_forget_file)


def _out_of_editors() -> None:
    """Take all of it away again."""
    bpy.app.handlers.load_pre.remove(_forget_file)
    _forget_file()
    for keymap, item in _keys:
        keymap.keymap_items.remove(item)
    _keys.clear()
    space: Any = bpy.types.SpaceImageEditor
    for handle in _drawn:
        space.draw_handler_remove(handle, "WINDOW")
    _drawn.clear()


@persistent
def _forget_file(*_: Any) -> None:
    """Another file is about to be loaded."""
    wipe.end_all()
    light_handle.forget()
    steady_view.forget()
    compare.forget()
    images.forget_all()


def _draw_outline() -> None:
    context: Any = bpy.context
    settings = context.scene.join_intrinsics
    image = context.space_data.image
    if not settings.use_crop or image is None or "join_set" in image:
        return
    left, bottom, right, top = drawing.place_of(context.region, settings.crop)
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    drawing.draw_line(corners, _COLOUR, 2.0)
