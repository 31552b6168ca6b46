# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: where the engine's Python is."""

import textwrap
from typing import Any

import bpy

from ..core.failure import Failure
from ..core.locate import EnginePython, find_python

ADDON = __package__.rsplit(".", 2)[0]
"""The add-on's own name: ``bl_ext.<repository>.join_intrinsics``."""


class JoinPreferences(bpy.types.AddonPreferences):
    """Shown under Edit > Preferences > Add-ons > JoIN Intrinsics."""

    bl_idname = ADDON

    engine_python: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Engine Python",
        description=(
            "The python executable (or its virtual environment's folder) that runs the engine. "
            "It needs torch, numpy and safetensors. Blender's own Python stays as it is"
        ),
        subtype="FILE_PATH",
    )

    def draw(self, _context: Any) -> None:
        """The path, and in plain words what comes of it."""
        self.layout.prop(self, "engine_python")
        draw_engine_state(self.layout, width=90)


def chosen_python() -> EnginePython:
    """The Python that will run the engine.

    Raises:
        Failure: when there is none, or it is not there any more.
    """
    preferences: Any = bpy.context.preferences
    addon = preferences.addons.get(ADDON)
    preference = addon.preferences.engine_python if addon is not None and addon.preferences is not None else ""
    return find_python(bpy.path.abspath(preference) if preference else "")


def engine_found() -> bool:
    """Whether :func:`chosen_python` finds one."""
    try:
        chosen_python()
    except Failure:
        return False
    return True


def draw_engine_state(layout: Any, width: int) -> None:
    """One line (wrapped at ``width`` letters) that says whether an engine is found, or what is wrong."""
    try:
        python = chosen_python()
    except Failure as failure:
        draw_wrapped(layout, str(failure), width, icon="ERROR")
    else:
        draw_wrapped(layout, f"The engine runs with {python.path} ({python.source}).", width, icon="CHECKMARK")


def draw_wrapped(layout: Any, text: str, width: int, icon: str = "NONE") -> None:
    """A label of several lines: Blender's labels do not wrap."""
    column = layout.column(align=True)
    for index, line in enumerate(textwrap.wrap(text, max(width, 10))):
        column.label(text=line, icon=icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE"))
