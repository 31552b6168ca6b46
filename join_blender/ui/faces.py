# SPDX-License-Identifier: GPL-3.0-or-later
"""Face: pointing at the face in a photo, for a bank of faces that does not find it, or finds another."""

from typing import Any

import bpy

from ..host import faces
from ..overlay import drawing
from .parts import Acting, Asking, InSidebar, Outcome, chosen_image, shown_image
from .properties import OnPhoto

_COLOUR = (0.3, 0.8, 1.0, 1.0)
_DOT = 5.0  # pixels
_picked: list[tuple[float, float]] = []
"""While somebody points or drags: what there is so far."""


class _Pointing(OnPhoto, Asking):
    """What the two ways have in common: they can be told the places, or take them from the mouse: one click, or a drag,
    for each of ``asked``."""

    def prepare(self: Any, context: Any) -> Outcome:
        """Wait for the mouse."""
        shown_image(context)
        _picked.clear()
        self._say(context)
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self: Any, context: Any, event: Any) -> Outcome:
        """Esc and the right button end it."""
        if event.type in ("ESC", "RIGHTMOUSE") and event.value == "PRESS":
            self.cancel(context)
            return {"CANCELLED"}
        return self.point(context, event)  # type: ignore[no-any-return]

    def act(self: Any, context: Any) -> None:
        """Keep the places with the image."""
        image = chosen_image(self.image, context)
        faces.mark(image, self.places)

    def cancel(self: Any, context: Any) -> None:
        """Esc, or Blender takes the operator away."""
        _picked.clear()
        context.window.cursor_modal_restore()
        context.area.header_text_set(None)
        context.area.tag_redraw()

    def _done(self: Any, context: Any) -> Outcome:
        self.places = tuple(place for point in _picked for place in point)
        self.cancel(context)
        return self.execute(context)  # type: ignore[no-any-return]

    def _say(self: Any, context: Any) -> None:
        context.area.header_text_set(f"{self.asked[len(_picked)]}  (Esc: cancel)")
        context.area.tag_redraw()


def _under(context: Any, event: Any) -> tuple[float, float] | None:
    """Where in the image the mouse is, which may be beyond its edges; None outside the editor's picture."""
    region = next(region for region in context.area.regions if region.type == "WINDOW")
    x, y = event.mouse_x - region.x, event.mouse_y - region.y
    if not (0 <= x < region.width and 0 <= y < region.height):
        return None
    found = region.view2d.region_to_view(float(x), float(y))
    return float(found[0]), float(found[1])


class JOIN_OT_face_points(_Pointing, bpy.types.Operator):
    """Click both eyes and the middle of the mouth in the image"""

    bl_idname = "join.face_points"
    bl_label = "Point at Eyes and Mouth"
    bl_options = {"UNDO"}
    asked = ("Click one eye", "Click the other eye", "Click the middle of the mouth")

    places: bpy.props.FloatVectorProperty(  # type: ignore[valid-type]
        name="Places",
        description="x and y of both eyes and of the mouth, 0 to 1 from the lower left corner",
        size=6,
        options={"SKIP_SAVE"},
    )

    def point(self, context: Any, event: Any) -> Outcome:
        """Three clicks; all else passes through, so that one can zoom."""
        point = _under(context, event) if event.type == "LEFTMOUSE" and event.value == "PRESS" else None
        if point is None:
            return {"PASS_THROUGH"}
        _picked.append(point)
        if len(_picked) == len(self.asked):
            return self._done(context)
        self._say(context)
        return {"RUNNING_MODAL"}


class JOIN_OT_face_box(_Pointing, bpy.types.Operator):
    """Drag a box around the head, with hair and chin, in the image"""

    bl_idname = "join.face_box"
    bl_label = "Drag a Box around the Head"
    bl_options = {"UNDO"}
    asked = ("Drag a box around the head",)

    places: bpy.props.FloatVectorProperty(  # type: ignore[valid-type]
        name="Places",
        description="Left, bottom, right and top of the box, 0 to 1 from the lower left corner",
        size=4,
        options={"SKIP_SAVE"},
    )

    def point(self, context: Any, event: Any) -> Outcome:
        """From the press to the release."""
        point = _under(context, event)
        if event.type == "LEFTMOUSE" and event.value == "PRESS" and point is not None:
            _picked[:] = [point, point]
            return {"RUNNING_MODAL"}
        if event.type == "MOUSEMOVE" and _picked and point is not None:
            _picked[1] = point
            context.area.tag_redraw()
            return {"RUNNING_MODAL"}
        if event.type == "LEFTMOUSE" and event.value == "RELEASE" and _picked:
            (x, y), (other_x, other_y) = _picked
            _picked[:] = [(min(x, other_x), min(y, other_y)), (max(x, other_x), max(y, other_y))]
            return self._done(context)
        return {"PASS_THROUGH"}


class JOIN_OT_face_forget(OnPhoto, Acting, bpy.types.Operator):
    """Let the engine find the face itself again"""

    bl_idname = "join.face_forget"
    bl_label = "Find It Again"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """Nothing is kept with the image any more."""
        faces.forget(chosen_image(self.image, context))


class JOIN_PT_face(InSidebar, bpy.types.Panel):
    """Where the face is, for a bank of faces: it is found, unless one points at it"""

    bl_label = "Face"
    bl_parent_id = "JOIN_PT_decompose"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The default bank is not one of faces, and a layer may be of a part of its photo."""
        image = context.space_data.image
        return image is not None and "join_set" not in image and context.scene.join_intrinsics.names_bank

    def draw(self, context: Any) -> None:
        """Two ways to say it, and the way back."""
        layout: Any = self.layout
        given = bool(faces.marked(context.space_data.image))
        layout.label(text="As you said" if given else "Found by itself", icon="USER")
        column = layout.column(align=True)
        column.operator(JOIN_OT_face_points.bl_idname, icon="EYEDROPPER")
        column.operator(JOIN_OT_face_box.bl_idname, icon="SELECT_SET")
        if given:
            layout.operator(JOIN_OT_face_forget.bl_idname, icon="LOOP_BACK")


def draw() -> None:
    """Over the image: what the bank will look at, and what somebody points at just now."""
    context: Any = bpy.context
    image = context.space_data.image
    if image is None:
        return
    for x, y in _picked:
        at = drawing.place_of(context.region, (x, y, x, y))[:2]
        drawing.fill((at[0] - _DOT, at[1] - _DOT, at[0] + _DOT, at[1] + _DOT), _COLOUR)
    if _picked or "join_set" in image or not context.scene.join_intrinsics.names_bank:
        return
    corners = faces.outline(image)
    if corners:
        places = [drawing.place_of(context.region, (x, y, x, y))[:2] for x, y in [*corners, corners[0]]]
        drawing.draw_line(places, _COLOUR, 2.0)
