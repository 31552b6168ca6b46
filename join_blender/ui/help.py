# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual, offline in the browser, and the report of a problem."""

import getpass
import os
import platform
import sys
import tomllib
from pathlib import Path
from typing import Any

import bpy

from ..engine import memory, problem
from ..engine.failure import Failure
from ..host import images
from ..install.locate import engine_root
from . import engine_state, relight_updates, running
from .parts import Acting, Asking, Outcome, draw_path

_MANUAL = Path(__file__).resolve().parents[1] / "manual" / "manual.html"
"""Made of docs/manual.md when the zip is built (tools/build_zip.py)."""
_REPORT = "problem report.txt"
_SECTIONS = (
    ("install*|remove_engine|test_engine|show_engine_log|cancel_engine_task", "2-the-engine"),
    ("decompose_folder", "10-a-whole-folder"),
    ("stop|escape", "4-while-it-works"),
    ("show|view|wipe*|set_[!c]*", "5-results-and-views"),
    ("relight*|place_light|mix|paste", "6-relight"),
    ("add_nodes", "7-compositor"),
    ("make_*|mark_asset|paint", "8-material"),
    ("export", "9-export"),
    ("restart|dismiss|report_problem", "12-when-something-goes-wrong"),
    ("*", "3-decompose"),
)
"""Operators, by the ends of their names, and where the manual tells of them; the first that fits."""


class JOIN_OT_open_manual(Acting, bpy.types.Operator):
    """Open the manual in the browser, at this place. It lies in the add-on: nothing is fetched"""

    bl_idname = "join.open_manual"
    bl_label = "Manual"
    bl_options = {"INTERNAL"}

    section: bpy.props.StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # type: ignore[valid-type]

    def act(self, _context: Any) -> None:
        """With the system's browser."""
        if not _MANUAL.is_file():
            raise Failure("manual_missing", "This add-on was not built with its manual.", "Read docs/manual.md.")
        bpy.ops.wm.url_open(url=f"{_MANUAL.as_uri()}#{self.section}")


def manual_map() -> tuple[str, tuple[tuple[str, str], ...]]:
    """What *Online Manual* in the menu of a button opens, as Blender asks for it."""
    found = [(f"bpy.ops.join.{name}", section) for names, section in _SECTIONS for name in names.split("|")]
    own = (("bpy.types.joinpreferences.*", "2-the-engine"), ("bpy.types.joinsettings.*", "3-decompose"))
    return f"{_MANUAL.as_uri()}#", (*found, *own)


class JOIN_OT_report_problem(Asking, bpy.types.Operator):
    """Write versions, hardware, settings, the last job and what was said in this session into a text that you can send.
    It holds no paths and no names of pictures"""

    bl_idname = "join.report_problem"
    bl_label = "Report a Problem"
    bl_options = {"INTERNAL"}

    def prepare(self, context: Any) -> Outcome:
        """Write it, and say where it lies and what comes next."""
        _write_report(context)
        return context.window_manager.invoke_props_dialog(self, width=460, confirm_text="Open")

    def draw(self, _context: Any) -> None:
        """What happens then."""
        layout: Any = self.layout
        column = layout.column(align=True)
        column.label(text="The report is written. It holds no paths and no names of pictures:", icon="CHECKMARK")
        column.label(text="look it over, and write into it what you did.", icon="BLANK1")
        column.separator()
        draw_path(column, _report_path(), "TEXT")
        column.separator()
        page = _page()
        if page and bpy.app.online_access:
            column.label(text="The page for problems opens beside it:", icon="URL")
            column.label(text=page, icon="BLANK1")
        elif page:
            column.label(text="Blender's online access is off. Send it yourself, on:", icon="URL")
            column.label(text=page, icon="BLANK1")
        else:
            column.label(text="Nothing is sent: give it to whoever you have the add-on from.", icon="INFO")

    def act(self, context: Any) -> None:
        """Open the text and, where that is allowed, the page. From a script: write it, and say where."""
        path = _report_path() if self.options.is_invoke else _write_report(context)
        if bpy.app.background:
            self.report({"INFO"}, f"The report is {path}")
            return
        bpy.ops.wm.path_open(filepath=str(path))
        if _page() and bpy.app.online_access:
            bpy.ops.wm.url_open(url=_page())


def _report_path() -> Path:
    return engine_state.own_folder() / _REPORT


def _manifest() -> dict[str, Any]:
    return tomllib.loads((engine_root() / "blender_manifest.toml").read_text("utf-8"))


def _page() -> str:
    """Where problems are told, on the manifest's website; empty where it names none."""
    website = str(_manifest().get("website", "")).rstrip("/")
    return f"{website}/issues" if website else ""


def _write_report(context: Any) -> Path:
    """The file, written anew. Raises Failure ``disk``."""
    path = _report_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(problem.write_report(_sections(context), _private()), "utf-8")
    except OSError as error:
        raise Failure("disk", f"{path} cannot be written ({error.strerror or error}).", "Make room there.") from error
    return path


def _sections(context: Any) -> dict[str, Any]:
    app, connections = bpy.app, (running.queue.connection, relight_updates.connection)
    settings = context.scene.join_intrinsics
    hello = next((one.hello for one in connections if one.hello is not None), None) or {}
    lines = [line for one in connections for line in (one.engine.words if one.engine is not None else one.words)]
    log = engine_state.paths().log
    return {
        "Versions": {
            "JoIN Intrinsics": _manifest()["version"],
            "Blender": f"{app.version_string} ({app.build_hash.decode('utf-8', 'replace')}, {app.build_branch!r})",
            "Python": sys.version,
            "Online access": app.online_access,
        },
        "Machine": {
            "System": platform.platform(),
            "Processor": f"{platform.machine()}, {os.cpu_count()} threads",
            "Free memory": f"{(memory.available() or 0) / 1e9:.1f} GB",
            "Graphics": _graphics(),
        },
        "Engine": {
            "State": engine_state.status_now().text,
            "Failure": engine_state.last_failure(),
            **{name: hello[name] for name in ("engine", "protocol", "device", "torch", "threads") if name in hello},
        },
        "Settings": {
            name: getattr(settings, name)
            for name, told in settings.bl_rna.properties.items()
            if told.type in ("BOOLEAN", "INT", "FLOAT", "ENUM", "STRING") and name != "name"
        },
        "Last job": running.last_job,
        "What was said": list(problem.log),
        "The engine's last lines": lines,
        "The installer's last lines": log.read_text("utf-8", "replace").splitlines()[-40:] if log.is_file() else [],
    }


def _graphics() -> str:
    """What draws Blender's windows."""
    if bpy.app.background:
        return "none: no window"
    import gpu

    return f"{gpu.platform.vendor_get()}, {gpu.platform.renderer_get()}, {gpu.platform.version_get()}"


def _private() -> dict[str, str]:
    """What must not be read in a report; what comes instead."""
    pictures = [*images.private_names(), str(running.last_job.get("Name", ""))]
    return {
        **problem.numbered("picture", pictures),
        str(Path.home()): "<home>",
        _user(): "<user>",
        platform.node(): "<machine>",
        bpy.app.tempdir.rstrip("\\/"): "<temporary>",
        str(engine_state.paths().folder): "<engine>",
        str(engine_root()): "<add-on>",
        str(Path(bpy.app.binary_path or sys.executable).parent): "<Blender>",
        sys.base_prefix: "<Python>",
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, ImportError, KeyError):  # nobody knows
        return ""
