# SPDX-License-Identifier: GPL-3.0-or-later
"""The JoIN tab in the Image Editor's sidebar, and the entry in its Image menu. Drawing changes no data."""

from __future__ import annotations

from typing import Any

import bpy

from ..core.job import Job, Phase
from . import running
from .operators import JOIN_OT_decompose, JOIN_OT_stop
from .preferences import ADDON, draw_engine_state, engine_found
from .wording import describe, time_left


class JOIN_PT_decompose(bpy.types.Panel):
    """The settings and the button; while a job runs, how far it is."""

    bl_idname = "JOIN_PT_decompose"
    bl_label = "Decompose"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "JoIN"

    def draw(self, context: Any) -> None:
        """Either what to choose or how far it is."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        session = running.current()
        if session is not None:
            _draw_progress(layout, session.job)
            return
        settings = context.scene.join_intrinsics
        layout.prop(settings, "preset")
        layout.prop(settings, "bank")
        layout.prop(settings, "seed")
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = context.space_data.image is not None
        row.operator(JOIN_OT_decompose.bl_idname, icon="RENDERLAYERS")
        if context.space_data.image is None:
            layout.label(text="Open an image first", icon="INFO")


class JOIN_PT_engine(bpy.types.Panel):
    """Only there while no engine is found: what is wrong, and the way to set it right."""

    bl_idname = "JOIN_PT_engine"
    bl_label = "Engine"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "JoIN"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Looks at a file or two, and starts nothing."""
        return not engine_found()

    def draw(self, context: Any) -> None:
        """The engine's state and the way to the preferences."""
        layout: Any = self.layout
        letters = int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 4
        draw_engine_state(layout, letters)
        layout.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = ADDON


def draw_image_menu(self: Any, _context: Any) -> None:
    """The entry at the end of the Image menu."""
    self.layout.separator()
    self.layout.operator_context = "INVOKE_DEFAULT"
    self.layout.operator(JOIN_OT_decompose.bl_idname, icon="RENDERLAYERS")


def _draw_progress(layout: Any, job: Job) -> None:
    layout.progress(factor=job.progress.fraction if job.progress else 0.0, text=describe(job))
    if left := time_left(job):
        layout.label(text=left, icon="TIME")
    row = layout.row()
    row.enabled = job.phase is not Phase.STOPPING
    row.operator(JOIN_OT_stop.bl_idname, text="Stop and Keep", icon="CHECKMARK").keep = True
    row.operator(JOIN_OT_stop.bl_idname, text="Cancel", icon="X").keep = False
