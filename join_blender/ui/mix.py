# SPDX-License-Identifier: GPL-3.0-or-later
"""Mix: another material's colour, pattern and layout in this one's albedo, under this one's light."""

from pathlib import Path
from typing import Any

import bpy

from ..engine.failure import Failure
from ..engine.job import Job
from ..host import mixing, relight_values
from ..host import relight as host
from ..host.sets import set_of
from . import decompose, relight_updates
from .layers import chosen_set, image_property
from .relight import shown_set
from .running import Outcome, report

_TICK = 0.1


class JOIN_OT_mix(bpy.types.Operator):
    """Get sliders that take over colour, pattern and layout of another material. The light stays as it is"""

    bl_idname = "join.mix"
    bl_label = "Mix"
    bl_options = {"UNDO"}

    image: image_property()  # type: ignore[valid-type]
    other: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Other",
        description="Name of the other image, or of one of its layers; empty for the panel's",
        options={"SKIP_SAVE"},
    )
    _set: str = ""
    _other: str = ""
    _job: Job | None = None
    _timer: bpy.types.Timer | None = None

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """From a button: the sliders come as soon as the engine has made them."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self._begin(context)
        except Failure as failure:
            return report(self, failure)
        relight_updates.connection.add(self._job)
        self._timer = context.window_manager.event_timer_add(_TICK, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        """Wait for the codes, then for the directions; everything else passes through to Blender."""
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            if self._job is not None:
                relight_updates.connection.step()
                if not self._job.ended:
                    return {"PASS_THROUGH"}
                self._take()
                relight_updates.begin(self._set)
            light = relight_updates.lights.get(self._set)
            if light is None:
                self.cancel(context)
                return {"CANCELLED"}
            if light.failure is not None:
                raise light.failure
            if light.directions is None:
                return {"PASS_THROUGH"}
        except Failure as failure:
            self.cancel(context)
            return report(self, failure)
        self.cancel(context)
        relight_updates.touch(relight_values.add_item(context.scene, self._set, light.directions))
        return {"FINISHED"}

    def execute(self, context: Any) -> Outcome:
        """From a script or in background mode: wait."""
        try:
            self._begin(context)
            relight_updates.connection.run(self._job)
            self._take()
            directions = relight_updates.begin(self._set).wait_for_directions(relight_updates.connection)
        except Failure as failure:
            return report(self, failure)
        relight_values.add_item(context.scene, self._set, directions)
        return {"FINISHED"}

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away, or it is done."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if self._job is not None:
            self._job.close()
            self._job = None

    def _begin(self, context: Any) -> None:
        self._set = chosen_set(self.image, context)
        self._other = _other_set(context, self.other)
        files, request = mixing.mix_request(self._set, self._other)
        self._job = Job.with_files(files, request, decompose.make_launch("auto"), bpy.app.tempdir or None)

    def _take(self) -> None:
        """The set gets the codes that the job has made."""
        assert self._job is not None
        job, self._job = self._job, None
        try:
            mixing.keep_other(self._set, Path(job.answer()["files"][0]).read_bytes(), self._other)
        finally:
            job.close()


class JOIN_PT_mix(bpy.types.Panel):
    """Another material's colours, pattern or layout, in the light of this one"""

    bl_idname = "JOIN_PT_mix"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "JoIN"
    bl_label = "Mix"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where the layers of the image know how they were made."""
        return host.can_relight(shown_set(context))

    def draw(self, context: Any) -> None:
        """Which other, the button, and what it brings."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings, key = context.scene.join_intrinsics, shown_set(context)
        layout.prop(settings, "mix_with")
        row = layout.row()
        row.enabled = settings.mix_with is not None and set_of(settings.mix_with) != key
        row.operator(JOIN_OT_mix.bl_idname, icon="OVERLAY")
        item = relight_values.find(context.scene, key)
        values = [value for value in item.values if value.mixes] if item is not None else []
        if not values:
            return
        layout.label(text=f"With {mixing.mixed_with(key)}")
        column = layout.column(align=True)
        column.use_property_decorate = True
        for value in values:
            column.prop(value, "share", text=value.label, slider=True)


def _other_set(context: Any, name: str) -> str:
    """The set of the image of that name; of the panel's for no name. Raises Failure."""
    if name:
        return chosen_set(name, context)
    image = context.scene.join_intrinsics.mix_with
    key = set_of(image) if image is not None else None
    if key is None:
        words = "No other material is chosen."
        raise Failure("mix_impossible", words, "Choose a decomposed image in the panel Mix.")
    return key


CLASSES: tuple[type, ...] = (JOIN_OT_mix, JOIN_PT_mix)
