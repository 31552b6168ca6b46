# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a decomposition: its layers, and the views that compare it with the input."""

from typing import Any

import bpy

from ..engine.failure import Failure
from ..host import compare as host
from ..host import layers as sets
from ..host.images import image_named
from . import running
from .decompose import shown_image
from .running import Outcome, report

VIEWS = (
    ("RECOMPOSED", "Recomposed", "What the layers make together"),
    ("SPLIT", "Split", "The left half of the input beside the right half of the recomposition"),
    ("ERROR", "Error", "How far the recomposition is from the input, |input − recomposition|, brightened by the gain"),
)


class JOIN_OT_show(bpy.types.Operator):
    """Show this image in the editor"""

    bl_idname = "join.show"
    bl_label = "Show Image"
    bl_options = {"INTERNAL"}

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="Which", options={"SKIP_SAVE", "HIDDEN"}
    )

    def execute(self, context: Any) -> Outcome:
        """Only the editor changes."""
        image: Any = image_named(self.image)
        if image is None:
            return {"CANCELLED"}
        context.space_data.image = image
        return {"FINISHED"}


class JOIN_OT_view(bpy.types.Operator):
    """Compare the layers with the image that they were made of"""

    bl_idname = "join.view"
    bl_label = "Compare"
    bl_options = {"INTERNAL"}

    kind: bpy.props.EnumProperty(name="View", items=VIEWS, options={"SKIP_SAVE"})  # type: ignore[valid-type]
    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="A layer, or the image; empty for the one in the editor", options={"SKIP_SAVE"}
    )
    gain: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Gain", description="How much the error is brightened", min=1.0, default=10.0, options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """What this button shows."""
        return next(text for kind, _, text in VIEWS if kind == properties.kind)

    def execute(self, context: Any) -> Outcome:
        """The figures are made in a thread; scripts and background mode wait for them."""
        try:
            image = image_named(self.image) if self.image else shown_image(context)
            set_id = sets.set_of(image)
            if set_id is None:
                raise Failure("image_missing", "This image was not decomposed.", "Decompose it first.")
            ingredients = host.gather(set_id)
            kind, gain = self.kind.lower(), self.gain
            if bpy.app.background:
                host.show(ingredients.make(kind, gain))
                return {"FINISHED"}
        except Failure as failure:
            return report(self, failure)
        window, area = context.window, context.area

        def show(view: host.View) -> None:
            made = host.show(view)
            if area in window.screen.areas[:] and area.type == "IMAGE_EDITOR":
                area.spaces.active.image = made
            running.redraw()

        running.later(lambda: ingredients.make(kind, gain), show)
        return {"FINISHED"}


CLASSES: tuple[type, ...] = (JOIN_OT_show, JOIN_OT_view)
