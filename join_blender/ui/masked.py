# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mask covers: *Clean Up*, layers of a photo without the sticker, the seam or the shadow that is there; and
*Paste Material*, a patch of another set's paint in this one's light."""

from typing import Any

import bpy

from ..engine.decomposition import Decomposition
from ..engine.failure import Failure
from ..host import masks, relight, sets
from ..host.layers import LayerSet
from . import running
from .decompose import ByDecomposing, Decomposing, as_made, make_launch
from .layers import chosen_set
from .parts import Outcome, WithSettings, report
from .properties import OnPhoto, WithMask
from .relight import OfRelightable, other_set, shown_set


class JOIN_OT_clean_up(WithMask, OnPhoto, ByDecomposing, bpy.types.Operator):
    """Decompose the image without what the mask covers: its colours and its light are filled from around"""

    bl_idname = "join.clean_up"
    bl_label = "Clean Up"
    bl_options = set()

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


class JOIN_PT_clean_up(WithSettings, bpy.types.Panel):
    """Take a sticker, a seam or the photographer's shadow out of the layers"""

    bl_label = "Clean Up"
    bl_parent_id = "JOIN_PT_decompose"
    bl_options = {"DEFAULT_CLOSED"}

    def show(self, context: Any, layout: Any) -> None:
        """Which mask, and the button."""
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


class JOIN_OT_paste(WithMask, Decomposing, bpy.types.Operator):
    """Lay the other material's paint where the mask is: a new set, whose light and gloss stay as they are"""

    bl_idname = "join.paste"
    bl_label = "Paste Material"
    bl_options = set()  # as Decompose Image: the layers come later, with a step of undo of their own

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image",
        description="Name of the image, or of a layer, that is pasted into; empty for the one in the Image Editor",
        options={"SKIP_SAVE"},
    )
    other: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Other", description="Name of the other image, or of a layer; empty for the panel's", options={"SKIP_SAVE"}
    )
    scale: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Scale", description="Of the patch; 0 for the panel's", min=0.0, max=100.0, options={"SKIP_SAVE"}
    )
    feather: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Feather",
        description="Pixels over which its edge is soft; below 0 for the panel's",
        min=-1.0,
        max=256.0,
        default=-1.0,
        options={"SKIP_SAVE"},
    )

    def _begin(self, context: Any) -> Decomposition:
        """Read layers and mask, and queue it."""
        settings = context.scene.join_intrinsics
        key = chosen_set(self.image, context)
        other = other_set(context, self.other, settings.paste_from, "paste_impossible", "Paste Material")
        mask, painted = (self.mask, self.painted) if self.mask or self.painted else chosen(context)
        scale = self.scale or settings.paste_scale
        feather = self.feather if self.feather >= 0.0 else settings.paste_feather
        pasting = relight.pasting(key, other, scale, feather)
        layer = next(iter(sets.layers_of(key).values()))
        image, source, options = as_made(layer)
        covered, frame = masks.read_mask(mask, painted, source), layer.get("join_frame")
        launch, scratch = make_launch("AUTO"), bpy.app.tempdir or None
        job = Decomposition(source, options, launch, image.name, scratch, frame=frame, mask=covered, pasting=pasting)
        running.add(job, LayerSet(job, image.session_uid))
        if not self.image and settings.show == "LAYER":
            running.follow(job, context.area)
        return job


class JOIN_PT_paste(OfRelightable, WithSettings, bpy.types.Panel):
    """A patch of another material, in the light of this one"""

    section = "6-relight"
    bl_label = "Paste Material"
    bl_options = {"DEFAULT_CLOSED"}

    def show(self, context: Any, layout: Any) -> None:
        """What, where, how, and the button."""
        settings, key = context.scene.join_intrinsics, shown_set(context)
        layout.prop(settings, "paste_from")
        layout.prop(settings, "mask")
        layout.prop(settings, "painted")
        column = layout.column(align=True)
        column.prop(settings, "paste_scale")
        column.prop(settings, "paste_feather")
        mask, painted = chosen(context)
        other = settings.paste_from
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = other is not None and sets.set_of(other) != key and bool(mask or painted)
        row.operator(JOIN_OT_paste.bl_idname, icon="PASTEDOWN")
        if not mask and not painted:
            layout.label(text="Draw a mask: the editor's Mask mode", icon="INFO")
