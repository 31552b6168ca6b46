# SPDX-License-Identifier: GPL-3.0-or-later
"""Relight and Mix: the sliders, and what can be done with all of them at once."""

import math
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.failure import Failure
from ..engine.job import Job
from ..host import relight as host
from ..host import relight_values, undo
from ..host.sets import set_of
from ..overlay import drawing, light_handle, wipe
from . import decompose, relight_updates
from .layers import OnLayers, Waiting, chosen_set
from .parts import Acting, Asking, InSidebar, Outcome, WithSettings
from .properties import icon_number, redraw_editors

_STILL = 6.0
"""Pixels that a hand moves without meaning to."""
_PER_DEVIATION = 70.0
"""Pixels of a drag away from the clicked place, for one standard deviation of the distance."""


def _changed(self: Any, _context: Any) -> None:
    item = relight_values.find(self.id_data, self.set_id)
    if item is not None:
        relight_updates.moved(item)


class JoinRelightValue(bpy.types.PropertyGroup):
    """How far the light is moved along one direction."""

    set_id: bpy.props.StringProperty()  # type: ignore[valid-type]
    direction: bpy.props.StringProperty()  # type: ignore[valid-type]
    components: bpy.props.StringProperty()  # type: ignore[valid-type]
    label: bpy.props.StringProperty()  # type: ignore[valid-type]
    about: bpy.props.StringProperty()  # type: ignore[valid-type]
    named: bpy.props.BoolProperty()  # type: ignore[valid-type]
    mixes: bpy.props.BoolProperty()  # type: ignore[valid-type]
    restyles: bpy.props.BoolProperty()  # type: ignore[valid-type]
    unit: bpy.props.FloatProperty()  # type: ignore[valid-type]
    at: bpy.props.FloatProperty()  # type: ignore[valid-type]
    share: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Share",
        description="How far the material is changed; 0 leaves it as it is. Can be animated: press I over it",
        min=0.0,
        max=1.0,
        step=5,
        precision=2,
        update=_changed,
    )
    amount: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Amount",
        description=(
            "How far to go in this direction, in standard deviations of what the bank has learned; 0 is the light of "
            "the image. Can be animated: press I over it"
        ),
        soft_min=-3.0,
        soft_max=3.0,
        min=-10.0,
        max=10.0,
        step=5,
        precision=2,
        update=_changed,
    )


class JoinRelight(bpy.types.PropertyGroup):
    """The light of one decomposition: an item of ``scene.join_relights``."""

    set_id: bpy.props.StringProperty()  # type: ignore[valid-type]
    values: bpy.props.CollectionProperty(type=JoinRelightValue)  # type: ignore[valid-type]
    show_original: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Show Original",
        description="Compare: show the light of the image, and keep the values",
        update=_changed,
    )
    show_handle: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Handle",
        description="Show the light over the picture: drag its disk to where it comes from, its ring for its distance",
        default=True,
        update=redraw_editors,
    )
    preview: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Preview",
        description="What the small picture shows while a slider moves",
        items=(
            ("recomposed", "Image", "The image in its new light"),
            ("shading", "Shading", "The shading alone, tone-mapped"),
        ),
    )


class _ForSliders(Waiting):
    """An operator that waits for the directions of a set, of which sliders are made."""

    _set: str = ""

    def is_done(self) -> bool:
        """Whether the engine has told them, or nobody wants them any more."""
        light = relight_updates.lights.get(self._set)
        if light is not None and light.failure is not None:
            raise light.failure
        return light is None or light.directions is not None

    def finish(self, context: Any) -> Outcome:
        """The sliders."""
        light = relight_updates.lights.get(self._set)
        if light is None or light.directions is None:
            return {"CANCELLED"}
        relight_updates.touch(relight_values.add_item(context.scene, self._set, light.directions))
        return {"FINISHED"}


class JOIN_OT_relight(OnLayers, _ForSliders, Asking, bpy.types.Operator):
    """Get sliders that move the light in this image. The albedo stays as it is"""

    bl_idname = "join.relight"
    bl_label = "Relight"
    bl_options = {"UNDO"}

    def prepare(self, context: Any) -> Outcome:
        """From a button: the sliders come as soon as the engine has said which."""
        if bpy.app.background:
            return self.execute(context)
        self._set = chosen_set(self.image, context)
        relight_updates.begin(self._set)
        return self.wait(context)

    def act(self, context: Any) -> None:
        """From a script or in background mode: wait."""
        set_id = chosen_set(self.image, context)
        directions = relight_updates.begin(set_id).wait_for_directions(relight_updates.connection)
        relight_values.add_item(context.scene, set_id, directions)


class JOIN_OT_relight_apply(Acting, bpy.types.Operator):
    """Let the layers show the values, and wait for it: for scripts, in which nothing moves by itself"""

    bl_idname = "join.relight_apply"
    bl_label = "Apply Light"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """All sets of the scene."""
        for item in context.scene.join_relights:
            relight_updates.apply(item, relight_values.edits_of(item))


class JOIN_OT_place_light(bpy.types.Operator):
    """Click in the picture where the light comes from. Drag away from there for a light that is farther off"""

    bl_idname = "join.place_light"
    bl_label = "Place Light"
    bl_options = {"UNDO"}

    _before: dict[str, float]
    _pressed: tuple[float, float] | None = None

    @classmethod
    def poll(cls, context: Any) -> bool:
        """In an Image Editor that has a handle."""
        return _in_picture(context) is not None

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """Wait for the click."""
        self._before = _in_picture(context).values
        context.area.header_text_set("Click where the light comes from, drag away for more distance. Esc: as it was")
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Any, event: Any) -> Outcome:
        """The click, the drag, and letting go."""
        handle = _in_picture(context)
        if event.type in ("MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TIMER"):
            return {"PASS_THROUGH"}  # one may look closer before one clicks
        if handle is None or event.type in ("ESC", "RIGHTMOUSE"):
            self._end(context)
            if handle is not None:
                handle.move(self._before)
            return {"CANCELLED"}
        region = _picture_region(context)
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            if not (0 <= x < region.width and 0 <= y < region.height):
                self._end(context)  # a click beside the picture means something else
                return {"CANCELLED", "PASS_THROUGH"}
            self._pressed = x, y
            handle.move(handle.amounts_at(x, y))
        elif event.type == "MOUSEMOVE" and self._pressed is not None:
            far = math.dist((x, y), self._pressed) - _STILL * drawing.scale()
            if light_handle.DISTANCE in self._before and far > 0.0:
                off = far / (_PER_DEVIATION * drawing.scale())
                handle.move({light_handle.DISTANCE: min(off, light_handle.MOST)})
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._pressed is not None:
            self._end(context)
            undo.include_everything()
            return {"FINISHED"}
        context.area.tag_redraw()
        return {"RUNNING_MODAL"}

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away."""
        self._end(context)

    def _end(self, context: Any) -> None:
        context.area.header_text_set(None)
        context.window.cursor_modal_restore()


def _picture_region(context: Any) -> Any:
    """The region with the picture, of the editor whose sidebar was clicked."""
    return next(region for region in context.area.regions if region.type == "WINDOW")


def _in_picture(context: Any) -> light_handle.Handle | None:
    if context.area is None or context.area.type != "IMAGE_EDITOR":
        return None
    with context.temp_override(region=_picture_region(context)):
        return light_handle.of(bpy.context, put_away=True)


class _OfItem(OnLayers):
    """An operator on the values of the set that is shown."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where there are values."""
        return len(context.scene.join_relights) > 0

    def item(self, context: Any) -> Any:
        """The values, or a Failure."""
        item = relight_values.find(context.scene, chosen_set(self.image, context))
        if item is None:
            raise Failure("relight_missing", "These layers have no sliders yet.", "Press Relight first.")
        return item


class JOIN_OT_relight_reset(_OfItem, Acting, bpy.types.Operator):
    """Back to the light of the image: all values 0"""

    bl_idname = "join.relight_reset"
    bl_label = "Reset Light"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """All at once."""
        item = self.item(context)
        relight_values.set_amounts(item, [0.0] * len(item.values))
        relight_updates.touch(item)


class JOIN_OT_relight_random(_OfItem, Acting, bpy.types.Operator):
    """Another light, as likely as those that the bank has learned"""

    bl_idname = "join.relight_random"
    bl_label = "Random Light"
    bl_options = {"REGISTER", "UNDO"}

    seed: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Seed", description="The same seed gives the same light; -1 for another one each time", min=-1, default=-1
    )
    strength: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Strength", description="How far from the light of the image", min=0.0, max=3.0, default=0.8
    )

    def act(self, context: Any) -> None:
        """Draw a value for each direction."""
        item = self.item(context)
        rng = np.random.default_rng(None if self.seed < 0 else self.seed)
        amounts = (rng.standard_normal(len(item.values)) * self.strength).clip(-3.0, 3.0).round(2)
        relight_values.set_amounts(item, amounts.tolist())
        relight_updates.touch(item)


class OfRelightable(InSidebar):
    """A panel on a set whose layers know how they were made."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where the editor shows one."""
        return host.can_relight(shown_set(context))


class JOIN_PT_relight(OfRelightable, bpy.types.Panel):
    """Sliders that move the light"""

    section = "6-relight"
    bl_label = "Relight"

    def draw(self, context: Any) -> None:
        """The button, or what it brings."""
        layout: Any = self.layout
        set_id = shown_set(context)
        item = relight_values.find(context.scene, set_id)
        light = relight_updates.lights.get(set_id or "")
        if item is None or not item.values:
            waits = light is not None and light.failure is None and light.directions is None
            row = layout.row()
            row.scale_y = 1.4
            row.enabled = not waits
            row.operator(JOIN_OT_relight.bl_idname, text="Starting the Engine" if waits else "Relight", icon="LIGHT")
            return
        relight_updates.warm(item.set_id)
        # Room for the picture from the first moment on: else the sliders would jump from under the mouse when it comes.
        layout.template_icon(
            icon_value=relight_updates.icon_of(item.set_id, item.preview) or icon_number("BLANK1"), scale=8.0
        )
        layout.row().prop(item, "preview", expand=True)
        shown, _ = _light_of(item)
        if any(value.unit for value in shown):
            row = layout.row(align=True)
            row.operator(JOIN_OT_place_light.bl_idname, icon="PIVOT_CURSOR")
            row.prop(item, "show_handle", text="", toggle=True, icon="GIZMO")
        _draw_values(layout, shown)
        row = layout.row(align=True)
        row.operator(JOIN_OT_relight_reset.bl_idname, text="Reset", icon="LOOP_BACK")
        row.operator(JOIN_OT_relight_random.bl_idname, text="Random", icon="SHADERFX")
        row.prop(item, "show_original", text="Original", toggle=True, icon="HIDE_OFF")
        if relight_values.is_animated(context.scene) and not context.scene.render.use_lock_interface:
            column = layout.column()
            column.label(text="For rendering this animation:", icon="INFO")
            column.prop(context.scene.render, "use_lock_interface")


class JOIN_PT_relight_more(InSidebar, bpy.types.Panel):
    """What else the bank's generators can do with the light; nobody has given it a name"""

    bl_label = "More"
    bl_parent_id = "JOIN_PT_relight"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where there is more."""
        item = relight_values.find(context.scene, shown_set(context))
        return item is not None and bool(_light_of(item)[1])

    def draw(self, context: Any) -> None:
        """Their sliders, by the layer that they change."""
        layout: Any = self.layout
        item = relight_values.find(context.scene, shown_set(context))
        layout.label(text="Without a name: try what they do", icon="INFO")
        _, more = _light_of(item)
        for components in dict.fromkeys(value.components for value in more):
            _draw_values(layout, [value for value in more if value.components == components])


class JOIN_OT_mix(OnLayers, _ForSliders, Asking, bpy.types.Operator):
    """Get sliders that take over colour, pattern and layout of another material. The light stays as it is"""

    bl_idname = "join.mix"
    bl_label = "Mix"
    bl_options = {"UNDO"}

    other: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Other",
        description="Name of the other image, or of one of its layers; empty for the panel's",
        options={"SKIP_SAVE"},
    )
    _other: str = ""
    _job: Job | None = None

    def prepare(self, context: Any) -> Outcome:
        """From a button: the sliders come as soon as the engine has made them."""
        if bpy.app.background:
            return self.execute(context)
        self._begin(context)
        relight_updates.connection.add(self._job)
        return self.wait(context)

    def is_done(self) -> bool:
        """First the codes, then the directions."""
        if self._job is not None:
            relight_updates.connection.step()
            if not self._job.ended:
                return False
            self._take()
            relight_updates.begin(self._set)
        return super().is_done()

    def act(self, context: Any) -> None:
        """From a script or in background mode: wait."""
        self._begin(context)
        relight_updates.connection.run(self._job)
        self._take()
        directions = relight_updates.begin(self._set).wait_for_directions(relight_updates.connection)
        relight_values.add_item(context.scene, self._set, directions)

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away, or it is done."""
        super().cancel(context)
        if self._job is not None:
            self._job.close()
            self._job = None

    def _begin(self, context: Any) -> None:
        self._set = chosen_set(self.image, context)
        other = context.scene.join_intrinsics.mix_with
        self._other = other_set(context, self.other, other, "mix_impossible", "Mix")
        files, request = host.mix_request(self._set, self._other)
        self._job = Job.with_files(files, request, decompose.make_launch("auto"), bpy.app.tempdir or None)

    def _take(self) -> None:
        """The set gets the codes that the job has made."""
        assert self._job is not None
        job, self._job = self._job, None
        try:
            host.keep_other(self._set, Path(job.answer()["files"][0]).read_bytes(), self._other)
        finally:
            job.close()


class JOIN_PT_material(OfRelightable, bpy.types.Panel):
    """Sliders that change the material, in its own light"""

    section = "6-relight"
    bl_label = "Material"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """The button, or what it brings."""
        layout: Any = self.layout
        item = relight_values.find(context.scene, shown_set(context))
        if item is None or not item.values:
            layout.operator(JOIN_OT_relight.bl_idname, text="Get Sliders", icon="MATERIAL")
            return
        values = [value for value in item.values if value.restyles]
        if not values:
            layout.label(text="The bank knows no such sliders", icon="INFO")
        _draw_values(layout, values, "share")


class JOIN_PT_mix(OfRelightable, WithSettings, bpy.types.Panel):
    """Another material's colours, pattern or layout, in the light of this one"""

    section = "6-relight"
    bl_label = "Mix"
    bl_options = {"DEFAULT_CLOSED"}

    def show(self, context: Any, layout: Any) -> None:
        """Which other, the button, and what it brings."""
        settings, key = context.scene.join_intrinsics, shown_set(context)
        layout.prop(settings, "mix_with")
        row = layout.row()
        row.enabled = settings.mix_with is not None and set_of(settings.mix_with) != key
        row.operator(JOIN_OT_mix.bl_idname, icon="OVERLAY")
        item = relight_values.find(context.scene, key)
        values = [value for value in item.values if value.mixes] if item is not None else []
        if not values:
            return
        layout.label(text=f"With {host.mixed_with(key)}")
        _draw_values(layout, values, "share")


def _draw_values(layout: Any, values: list[Any], what: str = "amount") -> None:
    """Sliders, one below the other."""
    column = layout.column(align=True)
    column.use_property_split = True
    column.use_property_decorate = True
    for value in values:
        column.prop(value, what, text=value.label, slider=True)


def _light_of(item: Any) -> tuple[list[Any], list[Any]]:
    """The values that move the light: those that one sees at once, and those behind *More*. Where a bank knows none by
    name, one sees the shading's."""
    named = [value for value in item.values if value.named and not value.mixes and not value.restyles]
    others = [value for value in item.values if not value.named]
    if named:
        return named, others
    return [value for value in others if "shading" in value.components], [
        value for value in others if "shading" not in value.components
    ]


def shown_set(context: Any) -> str | None:
    """The set of the picture that the editor shows, or of the one that is wiped."""
    space: Any = context.space_data
    if (wiped := wipe.of(space)) is not None:
        return wiped.key
    return set_of(space.image) if space is not None and space.type == "IMAGE_EDITOR" else None


def other_set(context: Any, name: str, image: Any, code: str, panel: str) -> str:
    """The set of the image of that name; of ``image``, which a panel names, for no name. Raises Failure."""
    key = chosen_set(name, context) if name else set_of(image)
    if key is None:
        raise Failure(code, "No other material is chosen.", f"Choose a decomposed image in the panel {panel}.")
    return key
