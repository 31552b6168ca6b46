# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of JoIN Intrinsics that lives inside Blender.

``ui`` (what the user sees) asks ``host`` (Blender's data), ``install`` (the engine's packages) and ``engine`` (its
process, its protocol and the jobs that it gets). The last two run outside Blender as well, so nothing here may import
bpy before Blender calls :func:`register`. ``relight``, ``layers`` and ``compare`` are one subject in several rooms.
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
