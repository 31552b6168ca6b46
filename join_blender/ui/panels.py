# SPDX-License-Identifier: GPL-3.0-or-later
"""The JoIN tab in the Image Editor's sidebar, and the entry in its Image menu. Drawing changes no data."""

from __future__ import annotations

import bpy

from ..core.job import Job, Phase
from . import running
from .operators import JOIN_OT_decompose, JOIN_OT_stop
from .preferences import ADDON, draw_engine_state, engine_found

_STAGES = {"": "Working", "mean_start": "Starting", "encoder": "First guess", "joint": "Optimising", "pti": "Refining"}


class _ImageEditorPanel:
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "JoIN"


class JOIN_PT_decompose(_ImageEditorPanel, bpy.types.Panel):
    """The settings and the button; while a job runs, how far it is."""

    bl_idname = "JOIN_PT_decompose"
    bl_label = "Decompose"

    def draw(self, context: bpy.types.Context) -> None:
        """Either what to choose or how far it is."""
        self.layout.use_property_split = True
        self.layout.use_property_decorate = False
        session = running.current()
        if session is not None:
            _draw_progress(self.layout, session.job)
            return
        settings = context.scene.join_intrinsics
        self.layout.prop(settings, "preset")
        self.layout.prop(settings, "bank")
        self.layout.prop(settings, "seed")
        row = self.layout.row()
        row.scale_y = 1.4
        row.enabled = context.space_data.image is not None
        row.operator(JOIN_OT_decompose.bl_idname, icon="RENDERLAYERS")
        if context.space_data.image is None:
            self.layout.label(text="Open an image first", icon="INFO")


class JOIN_PT_engine(_ImageEditorPanel, bpy.types.Panel):
    """Only there while no engine is found: what is wrong, and the way to set it right."""

    bl_idname = "JOIN_PT_engine"
    bl_label = "Engine"

    @classmethod
    def poll(cls, _context: bpy.types.Context) -> bool:
        """Looks at a file or two, and starts nothing."""
        return not engine_found()

    def draw(self, context: bpy.types.Context) -> None:
        """The engine's state and the way to the preferences."""
        letters = int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 4
        draw_engine_state(self.layout, letters)
        self.layout.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = ADDON


def draw_image_menu(self: bpy.types.Menu, _context: bpy.types.Context) -> None:
    """The entry at the end of the Image menu."""
    self.layout.separator()
    self.layout.operator_context = "INVOKE_DEFAULT"
    self.layout.operator(JOIN_OT_decompose.bl_idname, icon="RENDERLAYERS")


def _draw_progress(layout: bpy.types.UILayout, job: Job) -> None:
    layout.progress(factor=job.progress.fraction if job.progress else 0.0, text=describe(job))
    if job.progress is not None and job.progress.seconds_left is not None:
        layout.label(text=f"About {_in_words(job.progress.seconds_left)} left", icon="TIME")
    row = layout.row()
    row.enabled = job.phase is not Phase.STOPPING
    row.operator(JOIN_OT_stop.bl_idname, text="Stop and Keep", icon="CHECKMARK").keep = True
    row.operator(JOIN_OT_stop.bl_idname, text="Cancel", icon="X").keep = False


def describe(job: Job) -> str:
    """What a job is doing, in a few words."""
    if job.phase is Phase.WAITING:
        return "Starting the engine"
    if job.phase is Phase.STOPPING:
        return "Stopping"
    if job.done:
        return "Writing the layers"
    if job.progress is None:
        return "Loading the bank"
    stage = _STAGES.get(job.progress.stage, job.progress.stage.capitalize())
    return f"{stage} {job.progress.step}/{job.progress.of}"


def _in_words(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
