# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user sees: preferences, properties, operators, panels. The only part that registers anything."""

from __future__ import annotations

from typing import Any

import bpy

from ..core.engine_process import kill_all
from . import engine, install_ops, operators, panels, preferences, properties, running

_SCENE: Any = bpy.types.Scene
"""The type of all scenes, as something that takes new properties."""

CLASSES: tuple[type, ...] = (
    preferences.JoinPreferences,
    *install_ops.CLASSES,
    properties.JoinSettings,
    operators.JOIN_OT_decompose,
    operators.JOIN_OT_stop,
    panels.JOIN_PT_decompose,
    panels.JOIN_PT_engine,
)


def register() -> None:
    """Add everything to Blender."""
    for cls in CLASSES:
        bpy.utils.register_class(cls)
    _SCENE.join_intrinsics = bpy.props.PointerProperty(type=properties.JoinSettings)  # type: ignore[func-returns-value]
    bpy.types.IMAGE_MT_image.append(panels.draw_image_menu)


def unregister() -> None:
    """Take everything away again; a running engine ends."""
    running.abandon()
    engine.abandon()
    kill_all()
    bpy.types.IMAGE_MT_image.remove(panels.draw_image_menu)
    del _SCENE.join_intrinsics
    for cls in reversed(CLASSES):
        bpy.utils.unregister_class(cls)
