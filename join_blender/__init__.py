# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of JoIN Intrinsics that lives inside Blender: ``ui`` asks ``host``, ``host`` asks ``core``.

``core`` has no bpy, so nothing here may import bpy before Blender calls :func:`register`.
"""

from __future__ import annotations


def register() -> None:
    """Add the preferences, operators and panels to Blender."""
    from . import ui

    ui.register()


def unregister() -> None:
    """Take them away again and end the engine, if one runs."""
    from . import ui

    ui.unregister()
