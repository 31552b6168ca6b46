# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences: the engine's state in plain words, and what to do about it."""

import textwrap
from typing import Any

import bpy

from ..engine.failure import Failure
from ..install import builds, paths
from ..install.paths import Condition
from ..install.status import Level
from . import engine_state, install
from .engine_state import ADDON

_ICONS = {Level.READY: "CHECKMARK", Level.UNTRIED: "QUESTION", Level.MISSING: "INFO", Level.BROKEN: "ERROR"}

# Blender keeps no copy of the texts of a dynamic list.
_kinds: list[tuple[str, str, str]] = []


def _list_kinds(_self: Any, _context: Any) -> list[tuple[str, str, str]]:
    if not _kinds:
        for build in builds.builds_for():
            size = paths.gigabytes(build.download)
            _kinds.append((build.kind, build.label, f"{_PURPOSES[build.kind]}. Download of {size}"))
    return _kinds or [(install.NO_KIND, "None", "There is no build for this system and this Blender's Python")]


_PURPOSES = {
    "cpu": "Runs on every computer",
    "cuda": "Also uses an NVIDIA graphics card, which is much faster",
    "rocm": "Also uses an AMD graphics card, which is much faster",
    "metal": "Also uses the graphics processor of an Apple Silicon Mac",
}


class JoinPreferences(bpy.types.AddonPreferences):
    """Shown under Edit > Preferences > Add-ons > JoIN Intrinsics."""

    bl_idname = ADDON

    engine_python: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="My Own Python",
        description=(
            "Run the engine with this python executable (or its virtual environment's folder) instead of the installed "
            "one. It needs torch, numpy, safetensors and pillow. Leave empty for the installed engine"
        ),
        subtype="FILE_PATH",
        update=lambda _self, _context: install.try_own_python(),
    )
    engine_build: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Build", description="Which processor the engine that you install can use", items=_list_kinds
    )

    def draw(self, context: Any) -> None:
        """The state, and below it whatever can be done."""
        layout: Any = self.layout
        letters = _letters(context)
        box = layout.box()
        if _draw_state(box, letters):
            self._draw_actions(box, letters)
        row = layout.row()
        row.use_property_split = True
        row.use_property_decorate = False
        row.enabled = engine_state.current() is None
        row.prop(self, "engine_python")
        row = layout.row()
        row.operator("join.open_manual", icon="HELP").section = "2-the-engine"
        row.operator("join.report_problem", icon="URL")

    def _draw_actions(self, box: Any, letters: int) -> None:
        own = bool(self.engine_python)
        condition = engine_state.installed().condition
        ready = condition is Condition.READY
        if not own and not ready:
            self._draw_install(box, letters)
        elif not own and len(builds.builds_for()) > 1:
            box.row().prop(self, "engine_build", expand=True)
        row = box.row()
        if engine_state.engine_found() or own:
            row.operator(install.JOIN_OT_test_engine.bl_idname, icon="PLAY")
        if not own and ready:
            row.operator(install.JOIN_OT_install_engine.bl_idname, text="Install Again", icon="FILE_REFRESH")
        if condition is not Condition.MISSING:
            row.operator(install.JOIN_OT_remove_engine.bl_idname, icon="TRASH")
        if engine_state.paths().log.is_file():
            row.operator(install.JOIN_OT_show_engine_log.bl_idname, icon="TEXT")

    def _draw_install(self, box: Any, letters: int) -> None:
        try:
            build = builds.choose_build(install.engine_kind())
        except Failure as failure:
            draw_wrapped(box, str(failure), letters, icon="ERROR")
            return
        carried = not build.missing_in(builds.CARRIED)
        if len(builds.builds_for()) > 1:
            box.row().prop(self, "engine_build", expand=True)
        draw_wrapped(box, _needs(build, carried), letters, icon="DISK_DRIVE")
        offline = _draw_offline(box, build, letters)
        row = box.row()
        row.scale_y = 1.3
        button = row.row()
        button.enabled = not offline
        button.operator(install.JOIN_OT_install_engine.bl_idname, icon="IMPORT")
        row.operator(install.JOIN_OT_install_engine_from_folder.bl_idname, icon="FILE_FOLDER")


def draw_engine_state(layout: Any, width: int) -> None:
    """For a panel: the state, wrapped at ``width`` letters; where there is no engine, the button that installs it."""
    if not _draw_state(layout, width):
        return
    if not engine_state.engine_found() and not engine_state.preference() and builds.builds_for():
        try:
            offline = _draw_offline(layout, builds.choose_build(install.engine_kind()), width)
        except Failure:
            return  # the preferences say which builds there are
        row = layout.row()
        row.enabled = not offline
        row.operator(install.JOIN_OT_install_engine.bl_idname, icon="IMPORT")


def draw_wrapped(layout: Any, text: str, width: int, icon: str = "NONE") -> None:
    """A label of several lines: Blender's labels do not wrap."""
    column = layout.column(align=True)
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, max(width, 10))]
    for index, line in enumerate(lines):
        column.label(text=line, icon=icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def _draw_state(layout: Any, letters: int) -> bool:
    """The task that runs; or else the state, and why the last task came to nothing. Whether none runs."""
    running_task = engine_state.current()
    if running_task is not None:
        draw_wrapped(layout, f"{running_task.what}. You can go on working meanwhile.", letters, icon="TIME")
        row = layout.row()
        row.progress(factor=running_task.progress.fraction, text=running_task.progress.text)
        row.operator(install.JOIN_OT_cancel_engine_task.bl_idname, text="", icon="X")
        return False
    now, failure = engine_state.status_now(), engine_state.last_failure()
    draw_wrapped(layout, now.text, letters, icon=_ICONS[now.level])
    if failure is not None and str(failure) not in now.text:
        column = layout.column()
        column.alert = True
        draw_wrapped(column, str(failure), letters, icon="ERROR")
    return True


def _draw_offline(layout: Any, build: builds.Build, letters: int) -> bool:
    """Where a build has to be downloaded and Blender may not: why, and the tick that allows it."""
    if bpy.app.online_access or not build.missing_in(builds.CARRIED):
        return False
    draw_wrapped(layout, f"Blender's online access is off. {install.how_to_go_online()}", letters, "ERROR")
    if not bpy.app.online_access_override:
        layout.prop(bpy.context.preferences.system, "use_online_access", text="Allow Online Access")
    return True


def _needs(build: builds.Build, carried: bool) -> str:
    free = paths.gigabytes(paths.free_bytes(engine_state.paths().folder))
    if carried:
        return (
            f"The add-on brings all packages. Needs {paths.gigabytes(build.unpacked)} of disk space; {free} are free."
        )
    needed = paths.gigabytes(build.unpacked + build.download)
    return f"Downloads {paths.gigabytes(build.download)} and needs {needed} of disk space; {free} are free."


def _letters(context: Any) -> int:
    """How many fit into a line."""
    width = context.region.width if context.region is not None else 600
    return int(width / (6.5 * context.preferences.system.ui_scale)) - 10
