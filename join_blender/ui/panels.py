# SPDX-License-Identifier: GPL-3.0-or-later
"""The JoIN tab in the Image Editor's sidebar, and the entries in its Image menu. Drawing changes no data."""

from __future__ import annotations

from typing import Any

import bpy

from ..engine import confidence, memory
from ..engine.decomposition import Decomposition
from ..engine.failure import Failure
from ..engine.job import State
from ..engine.queue import concerns_engine
from ..engine.vocabulary import in_order
from ..host import images, sets
from ..overlay import wipe
from . import compare, decompose, engine_state, running, together
from .engine_state import ADDON
from .parts import InSidebar, WithSettings
from .preferences import draw_engine_state, draw_wrapped
from .properties import list_banks
from .status_text import describe, fraction, time_left


class JOIN_PT_engine(InSidebar, bpy.types.Panel):
    """Only there while no engine is found: what is wrong, and the way to set it right"""

    section = "2-the-engine"
    bl_label = "Engine"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Looks at a file or two, and starts nothing."""
        return not engine_state.engine_found()

    def draw(self, context: Any) -> None:
        """The engine's state and the way to the preferences."""
        layout: Any = self.layout
        draw_engine_state(layout, _letters(context))
        layout.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = ADDON
        layout.operator("join.report_problem", icon="URL")


class JOIN_PT_decompose(WithSettings, bpy.types.Panel):
    """The settings and the button; below them what runs, waits or has gone wrong"""

    section = "3-decompose"
    bl_label = "Decompose"

    def show(self, context: Any, layout: Any) -> None:
        """What to choose, and how far it is."""
        settings = context.scene.join_intrinsics
        column = layout.column()
        column.prop(settings, "preset")
        _draw_bank(column, settings, _letters(context))
        column.prop(settings, "seed")
        if images.is_multilayer(context.space_data.image):
            column.prop(settings, "layer")
        together.draw_colors(layout, context.space_data.image)
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = context.space_data.image is not None
        waits = running.current() is not None
        row.operator(
            decompose.JOIN_OT_decompose.bl_idname,
            text="Add to Queue" if waits else "Decompose Image",
            icon="RENDERLAYERS",
        )
        _draw_sequence(layout, context.space_data.image)
        if context.space_data.image is None:
            layout.label(text="Open an image first", icon="INFO")
        if running.refusal is not None:
            _draw_failure(context, layout, running.refusal, None)
        if (failed := running.queue.failed) is not None:
            _draw_failure(context, layout, failed.failure, failed)
        for job in running.queue.jobs:
            _draw_job(layout, job, job is running.queue.current)
        if running.last_message and not waits:
            draw_wrapped(layout, running.last_message, _letters(context), icon="CHECKMARK")


class JOIN_PT_options(WithSettings, bpy.types.Panel):
    """What is rarely changed"""

    bl_label = "Options"
    bl_parent_id = "JOIN_PT_decompose"
    bl_options = {"DEFAULT_CLOSED"}

    def show(self, context: Any, layout: Any) -> None:
        """Crop, size, device, and what becomes of earlier layers."""
        settings = context.scene.join_intrinsics
        layout.prop(settings, "use_crop")
        if settings.use_crop:
            column = layout.column(align=True)
            for edge in ("left", "right", "bottom", "top"):
                column.prop(settings, f"crop_{edge}")
        layout.prop(settings, "bank", text="Bank File")
        layout.prop(settings, "shrink")
        layout.prop(settings, "device")
        layout.prop(settings, "again")
        layout.prop(settings, "show")
        layout.prop(settings, "escape")
        layout.operator(decompose.JOIN_OT_decompose_folder.bl_idname, icon="FILE_FOLDER")
        layout.operator("join.report_problem", icon="URL")


class JOIN_PT_layers(InSidebar, bpy.types.Panel):
    """The layers of the image in the editor, a click away, and the views that compare"""

    section = "5-results-and-views"
    bl_label = "Layers"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where the image has some, or is one."""
        return _shown_set(context) is not None

    def draw(self, context: Any) -> None:
        """A button for each."""
        layout: Any = self.layout
        set_id = _shown_set(context)
        layers = sets.layers_of(set_id)
        if not layers or set_id is None:
            return
        shown: Any = context.space_data.image
        column = layout.column(align=True)
        _draw_show(column, "Input", sets.source_of(set_id), shown)
        missing = sets.missing_layers(set_id) if sets.is_finished(set_id) else []
        for component in in_order([*layers, *missing]):
            _draw_show(column, component.capitalize(), layers.get(component), shown)
        for name, image in sorted(sets.maps_of(set_id).items()):
            _draw_show(column, f"{name.capitalize()} Map", image, shown)
        if not sets.is_finished(set_id):
            return
        if missing:
            row = layout.row(align=True)
            row.label(text=f"Gone: {', '.join(missing)}", icon="ERROR")
            row.operator(compare.JOIN_OT_set_repair.bl_idname).key = set_id
        if sets.source_of(set_id) is None:
            row = layout.row(align=True)
            row.label(text="Its input is gone", icon="ERROR")
            row.operator(compare.JOIN_OT_set_input.bl_idname).key = set_id
        _draw_together(layout, set_id, layers)
        told = [sets.metrics_of(layer) for layer in layers.values()]
        unusual = [metrics for metrics in told if metrics.get("unusual")]
        if unusual:
            warning = layout.column(align=True)
            warning.label(text="Unlike what the bank knows:", icon="ERROR")
            if share := sets.number(unusual[0].get("caution")):
                warning.label(text=f"{share:.0%} of the light is a simple method's,")
            warning.label(text="look at the layers before you use them.")
        if chosen := next((bank for layer in layers.values() if (bank := sets.chosen_bank(layer))), ""):
            layout.label(text=f"Chosen by itself: the bank {chosen}", icon="SHADERFX")
        if suggested := next((str(bank) for layer in layers.values() if (bank := layer.get(sets.SUGGESTED))), ""):
            column = layout.column(align=True)
            column.label(text="A face was found:", icon="USER")
            words = f"Use Bank {suggested}"
            column.operator(decompose.JOIN_OT_use_bank.bl_idname, text=words).bank = suggested
        row = layout.row(align=True)
        for kind, name, _ in compare.VIEWS:
            button = row.operator(
                compare.JOIN_OT_view.bl_idname, text=name, depress=shown.get(sets.VIEW) == kind.lower()
            )
            button.kind, button.gain = kind, context.scene.join_intrinsics.gain
        _draw_confidence(context, layout, layers)
        _draw_wipe(layout, context.space_data)
        row = layout.row(align=True)
        row.prop(context.scene.join_intrinsics, "readable", toggle=True, icon="LIGHT_SUN")
        if context.scene.join_intrinsics.readable:
            row.prop(context.scene.join_intrinsics, "exposure", text="")
        if shown.get(sets.VIEW) == "error":
            layout.prop(context.scene.join_intrinsics, "gain")
        if "join_error_largest" in shown:
            mean, largest = (sets.number(shown.get(f"join_error_{name}")) for name in ("mean", "largest"))
            layout.label(text=f"Error: mean {mean:.2g}, largest {largest:.2g}")


class JOIN_PT_sets(InSidebar, bpy.types.Panel):
    """All sets of layers of this file, wherever their images are: switch, rename, remove"""

    section = "5-results-and-views"
    bl_label = "Sets"
    bl_order = 1  # below the others: the sliders are what one looks at

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Where there are any."""
        return bool(sets.all_sets())

    def draw(self, context: Any) -> None:
        """The sets of each image under its name; those of the image that is shown first."""
        layout: Any = self.layout
        shown = _shown_set(context)
        groups: dict[str, list[str]] = {}
        for key in sets.all_sets():
            groups.setdefault(sets.source_name(key), []).append(key)
        own = sets.source_name(shown)
        for name in sorted(groups, key=lambda name: name != own):
            box = layout.box()
            box.label(text=name, icon="IMAGE_DATA")
            column = box.column(align=True)
            for key in groups[name]:
                _draw_set(column, key, key == shown)


def draw_image_menu(self: Any, _context: Any) -> None:
    """The entries at the end of the Image menu."""
    self.layout.separator()
    self.layout.operator_context = "INVOKE_DEFAULT"
    self.layout.operator(decompose.JOIN_OT_decompose.bl_idname, icon="RENDERLAYERS")
    self.layout.operator(decompose.JOIN_OT_decompose_folder.bl_idname, icon="FILE_FOLDER")


def _shown_set(context: Any) -> str | None:
    """The set of the image in the editor; while one of it is being made, that one."""
    if (wiped := wipe.of(context.space_data)) is not None:
        return wiped.key
    image = context.space_data.image
    return running.set_at_work(image) or sets.set_of(image)


def _draw_together(layout: Any, set_id: str, layers: Any) -> None:
    """Of photos that were decomposed together, a button for the same layer of each."""
    together = sets.together_with(set_id)
    if not together:
        return
    column = layout.column(align=True)
    column.label(text=f"One albedo of {len(together)} photos:")
    for key in together:
        row = column.operator(compare.JOIN_OT_set_show.bl_idname, text=sets.label_of(key), depress=key == set_id)
        row.key = key
    down, right = sets.moved_by(next(iter(layers.values())))
    if down or right:
        layout.label(text=f"Moved by {right:.1f}, {0.0 - down:.1f} pixels", icon="INFO")


def _draw_confidence(context: Any, layout: Any, layers: Any) -> None:
    """A button for each component that the bank has told its errors of, and what the shown one says in a sentence."""
    if "albedo_error" not in sets.metrics_of(next(iter(layers.values()))):
        return
    shown = context.space_data.image
    column = layout.column(align=True)
    column.label(text="How sure it is:")
    row = column.row(align=True)
    for kind, name, _ in compare.CONFIDENCE:
        if name.lower() in layers:
            button = row.operator(
                compare.JOIN_OT_view.bl_idname, text=name, depress=shown.get(sets.VIEW) == compare.kind_of(kind)
            )
            button.kind = kind
    found = confidence.component_of(str(shown.get(sets.VIEW, "")))
    if found and "join_error_share" in shown:
        words = confidence.SCALES[found].sentence(found, shown["join_error_mean"], shown["join_error_share"])
        draw_wrapped(column, words, _letters(context), icon="INFO")


def _draw_set(column: Any, key: str, shown: bool) -> None:
    row = column.row(align=True)
    label, told = sets.label_of(key), sets.told_of(key)
    text = f"{label} ({told})" if told else label
    row.operator(compare.JOIN_OT_set_show.bl_idname, text=text, depress=shown).key = key
    if "@" in key:
        row.operator(compare.JOIN_OT_set_local.bl_idname, text="", icon="LINKED").key = key
        return
    row.operator(compare.JOIN_OT_set_rename.bl_idname, text="", icon="GREASEPENCIL").key = key
    row.operator(compare.JOIN_OT_set_remove.bl_idname, text="", icon="TRASH").key = key


def _draw_wipe(layout: Any, space: Any) -> None:
    """The button, and while it is on what is on either side."""
    found = wipe.of(space)
    column = layout.column(align=True)
    column.operator(compare.JOIN_OT_wipe.bl_idname, icon="ARROW_LEFTRIGHT", depress=found is not None)
    if found is None:
        return
    row = column.row(align=True)
    for left, name in ((True, found.left), (False, found.right)):
        button = row.operator_menu_enum(compare.JOIN_OT_wipe_side.bl_idname, "name", text=name.capitalize())
        button.left = left
    if not space.show_gizmo:
        column.label(text="Turn gizmos on to drag the line", icon="INFO")


def _draw_show(column: Any, text: str, image: Any, shown: Any) -> None:
    row = column.row(align=True)
    row.enabled = image is not None
    button = row.operator(compare.JOIN_OT_show.bl_idname, text=text, depress=image is not None and image == shown)
    button.number = image.session_uid if image is not None else 0


def _draw_job(layout: Any, job: Decomposition, at_work: bool) -> None:
    box = layout.box()
    row = box.row()
    row.label(text=job.name, icon="IMAGE_DATA")
    if not at_work:
        row.label(text=describe(job))
        _draw_stop(row, job, False, text="", icon="X")
        return
    box.progress(factor=fraction(job), text=describe(job))
    if left := time_left(job):
        box.label(text=left, icon="TIME")
    row = box.row()
    row.enabled = job.state is not State.STOPPING
    keeps = row.row()
    keeps.enabled = job.progress is not None
    _draw_stop(keeps, job, True, text="Stop and Keep", icon="CHECKMARK")
    _draw_stop(row, job, False, text="Cancel", icon="X")


def _draw_bank(column: Any, settings: Any, letters: int) -> None:
    """The list; beside the picture of the chosen one, its sentence."""
    column.prop(settings, "chosen_bank")
    found = {item[0]: item for item in list_banks(settings, None)}[settings.chosen_bank]
    split = column.split(factor=0.4)
    split.template_icon_view(settings, "chosen_bank", show_labels=True, scale=3.5, scale_popup=6.0)
    draw_wrapped(split, found[2], int(letters * 0.6))


def _draw_sequence(layout: Any, image: Any) -> None:
    """The button for an image that has several frames; while it works, how far it is."""
    task = engine_state.current()
    if task is not None and task.what in (decompose.SEQUENCE, decompose.MOVIE):
        row = layout.row()
        row.progress(factor=task.progress.fraction, text=task.progress.text)
        row.operator("join.cancel_engine_task", text="", icon="X")
    elif image is not None and image.source in ("SEQUENCE", "MOVIE"):
        layout.operator(decompose.JOIN_OT_decompose_sequence.bl_idname, icon="SEQUENCE")


def _draw_stop(row: Any, job: Decomposition, keep: bool, **look: str) -> None:
    button = row.operator(decompose.JOIN_OT_stop.bl_idname, **look)
    button.job, button.keep = job.id, keep


def _draw_failure(context: Any, layout: Any, failure: Failure, job: Decomposition | None) -> None:
    """What went wrong, and the buttons that help."""
    box = layout.box()
    box.alert = True
    words = f"{job.name}: {failure}" if job is not None and job.name else str(failure)
    draw_wrapped(box, words, _letters(context), icon="ERROR")
    box.alert = False
    row = box.row()
    _draw_remedy(context, row, failure, job)
    row.operator("join.report_problem", text="", icon="URL")
    row.operator(decompose.JOIN_OT_dismiss.bl_idname, text="", icon="X")


def _draw_remedy(context: Any, row: Any, failure: Failure, job: Decomposition | None) -> None:
    again = decompose.JOIN_OT_decompose.bl_idname
    if failure.code == "engine_missing":
        row.operator("join.install_engine", icon="IMPORT")
    if failure.code in ("engine_python_missing", "engine_start", "engine_silent", "torch_missing", "engine_protocol"):
        row.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES").module = ADDON
    if failure.code in ("out_of_memory", "image_too_large", "engine_died"):
        shrink = _shrink_that_helps(context, job)
        button = row.operator(again, text=f"1/{shrink} Size", icon="FULLSCREEN_EXIT")
        button.shrink = shrink
        if job is not None:
            button.image = job.name
    if failure.code in ("out_of_memory", "device_missing"):
        button = row.operator(again, text="Try on the CPU", icon="MEMORY")
        button.device = "CPU"
        if job is not None:
            button.image = job.name
    if failure.code == "image_colorspace":
        row.operator(decompose.JOIN_OT_set_colorspace.bl_idname)
    if job is not None and (concerns_engine(failure) or failure.code in ("internal", "layer_broken")):
        row.operator(decompose.JOIN_OT_restart.bl_idname, icon="FILE_REFRESH")


def _shrink_that_helps(context: Any, job: Decomposition | None) -> int:
    """One more than was tried, or as much as the memory asks for."""
    tried = job.shrink if job is not None else context.scene.join_intrinsics.shrink
    image = context.space_data.image
    free = memory.available()
    if job is not None or image is None or free is None:
        return tried + 1
    needed = memory.smallest_shrink(image.size[0], image.size[1], free)
    return max(needed or 1, tried + 1)


def _letters(context: Any) -> int:
    """How many fit into a line of the sidebar."""
    return int(context.region.width / (7.5 * context.preferences.system.ui_scale)) - 4
