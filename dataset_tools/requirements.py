# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this Blender and this Python are new enough. Old Pythons have to be able to read this."""

from __future__ import annotations

import sys
from typing import Any

OLDEST_BLENDER = (4, 2, 0)
OLDEST_PYTHON = (3, 11)


def refusal(bpy: Any) -> str:
    """Why the tools cannot run here, in one sentence; empty where they can. ``bpy`` is None outside Blender."""
    if bpy is not None and tuple(bpy.app.version) < OLDEST_BLENDER:
        found = ".".join(str(number) for number in bpy.app.version)
        return f"This is Blender {found}, and 4.2 or newer is needed: install a newer Blender and run this with it."
    if sys.version_info[:2] < OLDEST_PYTHON:
        found = ".".join(str(number) for number in sys.version_info[:2])
        return f"This is Python {found}, and 3.11 or newer is needed: run this with Blender 4.2 or newer."
    return ""
