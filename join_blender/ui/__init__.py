# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: preferences, properties, operators, panels. The only part that registers anything."""

from __future__ import annotations

from typing import Any

import bpy

from ..core.engine_process import kill_all
from . import (
    crop_outline,
    engine,
    install_ops,
    keys,
    layers,
    operators,
    panels,
    preferences,
    properties,
    relight,
    relight_state,
    running,
    view_ops,
)

_SCENE: Any = bpy.types.Scene
"""The type of all scenes, as something that takes new properties."""

CLASSES: tuple[type, ...] = (
    preferences.JoinPreferences,
    *install_ops.CLASSES,
    properties.JoinSettings,
    *operators.CLASSES,
    *view_ops.CLASSES,
    *panels.CLASSES,
    *relight.CLASSES,
    *layers.CLASSES,
)


def register() -> None:
    """Add everything to Blender."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _SCENE.join_intrinsics = bpy.props.PointerProperty(type=properties.JoinSettings)  # type: ignore[func-returns-value]
    relight.register()
    relight_state.register()
    bpy.types.IMAGE_MT_image.append(panels.draw_image_menu)
    bpy.app.handlers.load_pre.append(running.forget_file)
    crop_outline.register()
    keys.register()


def unregister() -> None:
    """Take everything away again; a running engine ends."""
    relight_state.unregister()
    running.abandon()
    engine.abandon()
    kill_all()
    keys.unregister()
    crop_outline.unregister()
    bpy.app.handlers.load_pre.remove(running.forget_file)
    bpy.types.IMAGE_MT_image.remove(panels.draw_image_menu)
    relight.unregister()
    del _SCENE.join_intrinsics
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
