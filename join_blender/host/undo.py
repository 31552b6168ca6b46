# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of undo that hold what the add-on changes, whatever mode Blender is in.

While an object is edited (as it is in the workspace *UV Editing*), Blender takes no step for a property of the scene,
and a step holds nothing but that object, unless datablocks have come or gone since the one before. An undo would then
jump over a slider, or leave it where it is.
"""

from __future__ import annotations

from typing import Any

import bpy

_WHOLE = {"OBJECT", "POSE", "PAINT_WEIGHT", "PAINT_VERTEX", "PARTICLE"}
"""Modes in which a slider of the scene gets a step of undo from Blender itself."""


def blender_records_sliders(context: Any) -> bool:
    """Whether moving a slider of the scene is a step of undo by itself."""
    return context.mode in _WHOLE


def include_everything() -> None:
    """See that the next step of undo holds the scene, too."""
    texts: Any = bpy.data.texts
    texts.remove(texts.new(".JoIN"))


def push(message: str) -> None:
    """Take a step of undo that holds everything.

    Raises:
        RuntimeError: where there is no undo right now.
    """
    include_everything()
    bpy.ops.ed.undo_push(message=message)
