# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing, testing and removing the engine. Each button starts a process and returns at once."""

from pathlib import Path
from typing import Any

import bpy

from ..engine.failure import Failure
from ..install import builds, paths, task
from ..install.builds import Build
from ..install.status import Trial
from . import engine_state, running
from .parts import Acting, Asking, OneAtATime, Outcome, draw_path

NO_KIND = "NONE"
"""The preferences' build where there is none to choose from: Blender's lists cannot be empty."""


class JOIN_OT_install_engine(OneAtATime, Asking, bpy.types.Operator):
    """Download the engine's packages and install them in a folder of their own. Blender itself stays as it is"""

    bl_idname = "join.install_engine"
    bl_label = "Install Engine"
    bl_options = {"INTERNAL"}

    kind: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Build",
        description="cpu, cuda, rocm or metal; empty for the one that the preferences name",
        options={"SKIP_SAVE"},
    )
    agreed: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Agreed",
        description="You agree to the download; the dialog asks for it, a script has to say so",
        options={"SKIP_SAVE"},
    )

    def prepare(self, context: Any) -> Outcome:
        """Say what will happen, and ask."""
        self._source()
        self.agreed = True
        return context.window_manager.invoke_props_dialog(self, width=440, confirm_text="Install")

    def draw(self, _context: Any) -> None:
        """What the user agrees to."""
        build, wheels = self._source()
        layout: Any = self.layout
        column = layout.column(align=True)
        needed = build.unpacked + (0 if wheels else build.download)
        if wheels:
            column.label(text="Everything comes with the add-on: no network is used.", icon="PACKAGE")
        else:
            column.label(text=f"Downloads {paths.gigabytes(build.download)}, once, from:", icon="URL")
            for host in build.hosts:
                column.label(text=host, icon="BLANK1")
        column.separator()
        column.label(text=f"Needs {paths.gigabytes(needed)} of disk space, in:", icon="DISK_DRIVE")
        draw_path(column, engine_state.paths().folder, "BLANK1")
        column.separator()
        column.label(text="Blender itself stays as it is.", icon="BLENDER")

    def act(self, _context: Any) -> None:
        """Start the installer."""
        build, wheels = self._source()
        if not self.agreed:
            size = paths.gigabytes(build.download)
            raise Failure("not_agreed", f"This downloads {size}.", "A script says agreed=True to allow it.")
        _refuse_while_decomposing()
        engine_state.begin(lambda: task.install(build, engine_state.paths().folder, wheels), _installed)

    def _source(self) -> tuple[Build, Path | None]:
        """Which build, and the folder of its wheels if it needs no network."""
        build = builds.choose_build(self.kind or engine_kind())
        if not build.missing_in(builds.CARRIED):
            return build, builds.CARRIED
        if not bpy.app.online_access:
            raise Failure("offline", "Blender's online access is off.", how_to_go_online())
        return build, None


class JOIN_OT_install_engine_from_folder(OneAtATime, Acting, bpy.types.Operator):
    """Install the engine from a folder of packages (.whl files) that were downloaded elsewhere; uses no network"""

    bl_idname = "join.install_engine_from_folder"
    bl_label = "Install from Folder"
    bl_options = {"INTERNAL"}

    directory: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Folder", description="The folder that holds the .whl files", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(default="*.whl", options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """Let the user choose the folder."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, _context: Any) -> None:
        """Start the installer."""
        folder = Path(bpy.path.abspath(self.directory))
        if not self.directory or not folder.is_dir():
            raise Failure("folder_missing", f"The folder {folder} does not exist.", "Choose one that does.")
        _refuse_while_decomposing()
        build = builds.build_in(folder, engine_kind())
        engine_state.begin(lambda: task.install(build, engine_state.paths().folder, folder), _installed)


class JOIN_OT_cancel_engine_task(Acting, bpy.types.Operator):
    """Stop it. What has been done is kept for the next time"""

    bl_idname = "join.cancel_engine_task"
    bl_label = "Cancel"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs."""
        return engine_state.current() is not None

    def act(self, _context: Any) -> None:
        """Ask it to end."""
        engine_state.current().cancel()


class JOIN_OT_test_engine(OneAtATime, Acting, bpy.types.Operator):
    """Start the engine, see that it answers, and show its device and banks. Computes nothing"""

    bl_idname = "join.test_engine"
    bl_label = "Test Engine"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any) -> None:
        """Try the Python where it is the user's own, then the engine."""
        python = engine_state.chosen_python()
        if python.installed:
            _start_engine(python.path)
        else:
            engine_state.begin(lambda: task.check(python.path), _tried)


class JOIN_OT_remove_engine(Acting, bpy.types.Operator):
    """Delete the engine's packages that this add-on has installed, and unfinished downloads. Nothing else is touched"""

    bl_idname = "join.remove_engine"
    bl_label = "Remove Engine"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Not while something is being done with it."""
        return engine_state.current() is None and running.current() is None

    def invoke(self, context: Any, event: Any) -> Outcome:
        """Ask."""
        return context.window_manager.invoke_confirm(self, event)

    def act(self, _context: Any) -> None:
        """Delete."""
        python = engine_state.paths().python
        try:
            paths.remove(engine_state.paths())
        finally:
            engine_state.look_again()
        engine_state.forget_failure()
        engine_state.remember(python, None)
        self.report({"INFO"}, "The engine was removed")


class JOIN_OT_show_engine_log(Acting, bpy.types.Operator):
    """Open the log of the last installation"""

    bl_idname = "join.show_engine_log"
    bl_label = "Open Log"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only where there is one."""
        return engine_state.paths().log.is_file()

    def act(self, _context: Any) -> None:
        """With the system's viewer of text files."""
        bpy.ops.wm.path_open(filepath=str(engine_state.paths().log))


def engine_kind() -> str:
    """The kind of build that the preferences name, or nothing."""
    preferences: Any = bpy.context.preferences
    addon = preferences.addons.get(engine_state.ADDON)
    kind = addon.preferences.engine_build if addon is not None and addon.preferences is not None else ""
    return "" if kind == NO_KIND else kind


def how_to_go_online() -> str:
    """One sentence, for a Blender whose online access is off."""
    if bpy.app.online_access_override:
        return "Start Blender without --offline-mode, or install from a folder."
    return "Turn on Preferences > System > Network > Allow Online Access, or install from a folder."


def try_own_python() -> None:
    """The user has chosen another Python: see at once whether it will do. Says nothing where that must wait."""
    try:
        python = engine_state.chosen_python()
        if not python.installed and engine_state.current() is None and not bpy.app.background:
            engine_state.begin(lambda: task.check(python.path), _tried)
    except Failure:
        engine_state.look_again()  # the state's sentence says what is wrong


def _installed(finished: task.Task) -> None:
    engine_state.remember(engine_state.paths().python, None)


def _tried(finished: task.Task) -> None:
    """After the probe of a Python of the user's own: the engine itself, if there is any hope."""
    _tested(finished)
    if finished.failure is None:
        _start_engine(finished.python)


def _tested(finished: task.Task) -> None:
    engine_state.remember(finished.python, Trial(finished.answer, finished.failure))


def _start_engine(python: Path) -> None:
    engine_state.begin(lambda: task.test(python), _tested)


def _refuse_while_decomposing() -> None:
    if running.current() is not None:
        raise Failure("busy", "An image is being decomposed just now.", "Wait for it, or stop it first.")
    running.queue.connection.end()  # one that waits for work holds its files, which Windows then would not delete
