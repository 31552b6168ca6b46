# SPDX-License-Identifier: GPL-3.0-or-later
"""Esc in an Image Editor ends the decomposition that runs there; the user's own keys can override it."""

from __future__ import annotations

from typing import Any

import bpy

from .operators import JOIN_OT_escape

_items: list[tuple[Any, Any]] = []


def register() -> None:
    """In background mode there are no keys."""
    configuration: Any = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:
        return
    keymap = configuration.keymaps.new("Image Generic", space_type="IMAGE_EDITOR")
    _items.append((keymap, keymap.keymap_items.new(JOIN_OT_escape.bl_idname, "ESC", "PRESS")))


def unregister() -> None:
    """Take it away again."""
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()
