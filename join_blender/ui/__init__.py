# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: preferences, properties, operators, panels. The only part that registers anything."""

from __future__ import annotations

from typing import Any

import bpy

from ..engine.background import remove_left_behind
from ..engine.process import kill_all
from . import (
    compare,
    decompose,
    engine_state,
    faces,
    image_editor,
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

CLASSES: tuple[type, ...] = (
    preferences.JoinPreferences,
    *install.CLASSES,
    properties.JoinSettings,
    *decompose.CLASSES,
    *compare.CLASSES,
    *panels.CLASSES,
    *together.CLASSES,
    *masked.CLASSES,
    *faces.CLASSES,
    *relight.CLASSES,
    *layers.CLASSES,
)


def register() -> None:
    """Add everything to Blender."""
    remove_left_behind(bpy.app.tempdir or None)
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _SCENE.join_intrinsics = bpy.props.PointerProperty(type=properties.JoinSettings)  # type: ignore[func-returns-value]
    together.register()
    relight.register()
    for name, function in running.HANDLERS:  # before those that look at the layers after an undo
        getattr(bpy.app.handlers, name).append(function)
    relight_updates.register()
    bpy.types.IMAGE_MT_image.append(panels.draw_image_menu)
    image_editor.register()


def unregister() -> None:
    """Take everything away again; a running engine ends."""
    relight_updates.unregister()
    running.abandon()
    engine_state.abandon()
    kill_all()
    image_editor.unregister()
    for name, function in running.HANDLERS:
        getattr(bpy.app.handlers, name).remove(function)
    bpy.types.IMAGE_MT_image.remove(panels.draw_image_menu)
    relight.unregister()
    together.unregister()
    del _SCENE.join_intrinsics
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
