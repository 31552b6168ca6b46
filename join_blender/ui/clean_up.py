# SPDX-License-Identifier: GPL-3.0-or-later
"""Clean Up: layers of a photo without the sticker, the seam or the shadow that a mask covers."""

from typing import Any

import bpy

from ..engine.failure import Failure
from ..host import masks
from . import running
from .running import Outcome, report


class JOIN_OT_clean_up(bpy.types.Operator):
    """Decompose the image without what the mask covers: its colours and its light are filled from around"""

    bl_idname = "join.clean_up"
    bl_label = "Clean Up"
    bl_options = set()

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="Name of the image; empty for the one in the Image Editor", options={"SKIP_SAVE"}
    )
    mask: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Mask",
        description="Name of a Mask; empty for the panel's, or for the one that the editor shows",
        options={"SKIP_SAVE"},
    )
    painted: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Painted Mask",
        description="Name of an image that is black where all is well; empty for the panel's",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """From a button: queue it, and return at once."""
        return self._decompose(context, "INVOKE_DEFAULT")

    def execute(self, context: Any) -> Outcome:
        """From a script or in background mode: wait for the layers."""
        return self._decompose(context, "EXEC_DEFAULT")

    def _decompose(self, context: Any, how: str) -> Outcome:
        mask, painted = self.mask, self.painted
        if not mask and not painted:
            mask, painted = chosen(context)
        if not mask and not painted:
            words = "No mask is chosen."
            failure = Failure("mask_missing", words, "Draw one in the Image Editor's Mask mode, or paint one.")
            running.refuse(failure)
            return report(self, failure)
        try:
            operators: Any = bpy.ops
            done = operators.join.decompose(how, image=self.image, mask=mask, painted=painted)
        except RuntimeError as error:
            self.report({"ERROR"}, str(error).removeprefix("Error: ").strip())
            return {"CANCELLED"}
        return set(done)  # type: ignore[return-value]


def chosen(context: Any) -> tuple[str, str]:
    """Names of the Mask and of the painted image that the panel says; the editor's Mask where it says neither."""
    settings = context.scene.join_intrinsics
    mask = settings.mask.name if settings.mask is not None else ""
    painted = settings.painted.name if settings.painted is not None else ""
    return (mask, painted) if mask or painted else (masks.name_in(context.space_data), "")


class JOIN_PT_clean_up(bpy.types.Panel):
    """Take a sticker, a seam or the photographer's shadow out of the layers"""

    bl_idname = "JOIN_PT_clean_up"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = "JoIN"
    bl_label = "Clean Up"
    bl_parent_id = "JOIN_PT_decompose"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """Which mask, and the button."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        settings = context.scene.join_intrinsics
        layout.prop(settings, "mask")
        layout.prop(settings, "painted")
        mask, painted = chosen(context)
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = context.space_data.image is not None and bool(mask or painted)
        row.operator(JOIN_OT_clean_up.bl_idname, icon="BRUSH_DATA")
        if not mask and not painted:
            layout.label(text="Draw a mask: the editor's Mask mode", icon="INFO")


CLASSES: tuple[type, ...] = (JOIN_OT_clean_up, JOIN_PT_clean_up)
