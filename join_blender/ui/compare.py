# SPDX-License-Identifier: GPL-3.0-or-later
"""Looking at a decomposition: its layers, the views that compare it with the input, and the sets that there are."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import bpy

from ..engine import confidence
from ..engine.failure import Failure
from ..host import compare as host
from ..host import compositor, editors, relight, relight_values, sets
from ..host.images import image_named
from ..overlay import live, steady_view, wipe
from . import decompose, running
from .parts import Acting, Asking, Outcome, shown_image

VIEWS = (
    ("RECOMPOSED", "Recomposed", "What the layers make together, in the light that they have now"),
    ("SPLIT", "Split", "The left half of the input beside the right half of the recomposition"),
    (
        "ERROR",
        "Error",
        "How far the decomposition is from the input: |input − recomposition| in the original light, times the gain",
    ),
)
CONFIDENCE = tuple(
    (
        f"{confidence.KIND}{name}".upper().replace(" ", "_"),
        name.capitalize(),
        f"Where the {name} is a guess: the picture in grey, coloured by how far the bank expects the {name} to be off",
    )
    for name in confidence.SCALES
)


def kind_of(view: str) -> str:
    """As :mod:`..host.compare` calls what an operator is told by a name of :data:`VIEWS` or :data:`CONFIDENCE`."""
    return view.lower().replace("_", " ")


_refreshing: set[tuple[str, str]] = set()
"""Set and kind of the views that are being made anew."""
_followed: set[str] = set()
"""Sets whose recomposed view is shown as soon as it is there."""
when_current: list[Callable[[], None]] = []
"""Who wants to know that all views are of what their layers hold."""


def refresh() -> None:
    """Make the views anew that are shown and no longer of what the layers hold; scripts and background mode wait."""
    for set_id, kind, gain in host.stale_views():
        if (set_id, kind) in _refreshing:
            continue
        if not bpy.app.background:
            _make_anew(set_id, kind, gain)
            continue
        with contextlib.suppress(Failure):  # a layer or the input is gone: the panel says so
            host.show(host.gather(set_id, kind).make(gain))


def _make_anew(set_id: str, kind: str, gain: float) -> None:
    """In ticks and a thread."""
    _refreshing.add((set_id, kind))
    failed = partial(_not_refreshed, set_id, kind)
    pieces = host.gather_in_pieces(set_id, kind)
    running.in_pieces(pieces, lambda found: running.later(partial(found.make, gain), _refreshed, failed), failed)


def _refreshed(view: host.View) -> None:
    _refreshing.discard((view.set_id, view.kind))
    if sets.is_finished(view.set_id):
        made = host.show(view)
        if view.kind == host.RECOMPOSED and view.set_id in _followed:
            _followed.discard(view.set_id)
            for area in list(live.areas_beside(view.set_id)):
                steady_view.show(area, made)
    running.redraw()
    refresh()  # the layers may have changed meanwhile
    _tell_if_current()


def _not_refreshed(set_id: str, kind: str, _failure: Failure) -> None:
    """A layer or the input is gone: the panel says so."""
    _refreshing.discard((set_id, kind))
    _tell_if_current()


def _tell_if_current() -> None:
    if not _refreshing:
        for current in when_current:
            current()


def forget() -> None:
    """Another file is about to be loaded: what is under way for this one never comes."""
    _refreshing.clear()
    _followed.clear()


def is_busy() -> bool:
    """Whether a view is being made anew."""
    return bool(_refreshing)


def show_recomposed(set_id: str) -> None:
    """Where an editor shows what no light changes, let it show what the layers make in theirs, once that is there."""
    if not any(live.areas_beside(set_id)):
        return
    _followed.add(set_id)
    if (set_id, host.RECOMPOSED) in _refreshing:
        return
    _make_anew(set_id, host.RECOMPOSED, 1.0)


class JOIN_OT_show(bpy.types.Operator):
    """Show this image in the editor"""

    bl_idname = "join.show"
    bl_label = "Show Image"
    bl_options = {"INTERNAL"}

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="Which", options={"SKIP_SAVE", "HIDDEN"}
    )
    number: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Number", description="Which, as several may be called the same", options={"SKIP_SAVE", "HIDDEN"}
    )

    def execute(self, context: Any) -> Outcome:
        """Only the editor changes."""
        image: Any = editors.image_of_number(self.number) if self.number else image_named(self.image)
        if image is None:
            return {"CANCELLED"}
        steady_view.show(context.area, image)
        if sets.COMPONENT in image:
            running.remember_look(str(image[sets.COMPONENT]))
        return {"FINISHED"}


class JOIN_OT_view(Acting, bpy.types.Operator):
    """Compare the layers with the image that they were made of"""

    bl_idname = "join.view"
    bl_label = "Compare"
    bl_options = {"INTERNAL"}

    kind: bpy.props.EnumProperty(name="View", items=VIEWS + CONFIDENCE, options={"SKIP_SAVE"})  # type: ignore[valid-type]
    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="A layer, or the image; empty for the one in the editor", options={"SKIP_SAVE"}
    )
    gain: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Gain", description="How much the error is brightened", min=1.0, default=10.0, options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """What this button shows."""
        return next(text for kind, _, text in VIEWS + CONFIDENCE if kind == properties.kind)

    def act(self, context: Any) -> None:
        """The figures are made in a thread; scripts and background mode wait for them."""
        image = image_named(self.image) if self.image else shown_image(context)
        set_id = sets.set_of(image)
        if set_id is None:
            raise Failure("image_missing", "This image was not decomposed.", "Decompose it first.")
        gain, kind = self.gain, kind_of(self.kind)
        host.refuse_impossible(set_id, kind)
        if bpy.app.background:
            host.show(host.gather(set_id, kind).make(gain))
            return
        window, area = context.window, context.area

        def show(view: host.View) -> None:
            made = host.show(view)
            if area in window.screen.areas[:] and area.type == "IMAGE_EDITOR":
                steady_view.show(area, made)
            running.redraw()

        pieces = host.gather_in_pieces(set_id, kind)
        running.in_pieces(pieces, lambda found: running.later(lambda: found.make(gain), show))


class JOIN_OT_wipe(Acting, bpy.types.Operator):
    """Wipe between two images of a set: drag the line over the picture. Esc, or the button again, ends it"""

    bl_idname = "join.wipe"
    bl_label = "Wipe"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """In an Image Editor."""
        return context.space_data is not None and context.space_data.type == "IMAGE_EDITOR"

    def act(self, context: Any) -> None:
        """Only this editor changes, and nothing in the file."""
        space: Any = context.space_data
        context.area.tag_redraw()
        if wipe.of(space) is not None:
            wipe.end(space)
            return
        key = sets.set_of(shown_image(context))
        if key is None or not sets.is_finished(key):
            raise Failure("layers_missing", "This image has no layers.", "Decompose it first.")
        names = wipe.names_of(key)
        if len(names) < 2:
            raise Failure("layers_missing", "There are no two images to wipe between.")
        seen = str(space.image.get(sets.COMPONENT, "")) if sets.VIEW not in space.image else ""
        others = [name for name in (seen, running.looked_at, *names) if name in names and name != names[0]]
        wipe.begin(context, key, names[0], others[0])


class JOIN_OT_wipe_end(Acting, bpy.types.Operator):
    """End the wipe"""

    bl_idname = "join.wipe_end"
    bl_label = "End Wipe"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Only in an editor that wipes; else the key means what it always means."""
        return wipe.of(context.space_data) is not None

    def act(self, context: Any) -> None:
        """The line goes."""
        wipe.end(context.space_data)
        context.area.tag_redraw()


def _names_to_wipe(self: Any, context: Any) -> Any:
    """The images of the set; Blender needs them to stay in memory."""
    found = wipe.of(context.space_data) if context is not None else None
    _wiped[:] = (
        [(name, name.capitalize(), f"Show the {name} there") for name in wipe.names_of(found.key)] if found else []
    )
    return _wiped


_wiped: list[tuple[str, str, str]] = []


class JOIN_OT_wipe_side(bpy.types.Operator):
    """Choose what is on this side of the line"""

    bl_idname = "join.wipe_side"
    bl_label = "Side of the Wipe"
    bl_options = {"INTERNAL"}

    left: bpy.props.BoolProperty(options={"SKIP_SAVE", "HIDDEN"})  # type: ignore[valid-type]
    name: bpy.props.EnumProperty(name="Image", items=_names_to_wipe, options={"SKIP_SAVE"})  # type: ignore[valid-type]

    def execute(self, context: Any) -> Outcome:
        """Where both sides would be the same, they change places."""
        found = wipe.of(context.space_data)
        if found is None:
            return {"CANCELLED"}
        left, right = (self.name, found.right) if self.left else (found.left, self.name)
        if left == right:
            left, right = found.right, found.left
        wipe.show(context.area, replace(found, left=left, right=right))
        context.area.tag_redraw()
        return {"FINISHED"}


class _OfSet(Acting):
    """An operator on a set that is named by its key, as in the list; by an image, as in scripts; or else on the one
    that is shown."""

    key: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Set", description="Its id", options={"SKIP_SAVE", "HIDDEN"}
    )
    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="A layer of the set; empty for the one that is shown", options={"SKIP_SAVE", "HIDDEN"}
    )

    def chosen(self, context: Any) -> str:
        """Raises Failure where there is none."""
        key = self.key or sets.set_of(image_named(self.image) if self.image else shown_image(context)) or ""
        if not sets.is_finished(key):
            raise Failure("layers_missing", "There is no such set of layers.", "Decompose an image first.")
        return key


class JOIN_OT_set_show(_OfSet, bpy.types.Operator):
    """Switch to these layers: the editor shows the one that it shows now, of this set"""

    bl_idname = "join.set_show"
    bl_label = "Switch to Set"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """The set is the one that is meant from now on where its image is shown."""
        key = self.chosen(context)
        sets.choose(key)
        space: Any = context.space_data
        if space is not None and space.type == "IMAGE_EDITOR":
            layers = sets.layers_of(key)
            component = space.image.get(sets.COMPONENT) if space.image is not None else None
            steady_view.show(context.area, layers.get(component or running.looked_at) or next(iter(layers.values())))


class JOIN_OT_set_rename(Asking, _OfSet, bpy.types.Operator):
    """Give these layers another name; what uses them goes on using them"""

    bl_idname = "join.set_rename"
    bl_label = "Rename Set"
    bl_options = {"UNDO"}

    name: bpy.props.StringProperty(name="Name", description="What the set is called")  # type: ignore[valid-type]

    def prepare(self, context: Any) -> Any:
        """Ask for the name."""
        self.name = sets.label_of(self.chosen(context))
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: Any) -> None:
        """The layers are called after it, too."""
        sets.rename(self.chosen(context), self.name)


class JOIN_OT_set_remove(Asking, _OfSet, bpy.types.Operator):
    """Take these layers out of the file, with their originals and views. The image that they were made of stays"""

    bl_idname = "join.set_remove"
    bl_label = "Remove Set"
    bl_options = {"UNDO"}

    def prepare(self, context: Any) -> Any:
        """Ask, and say what would lose them."""
        self._users = sets.users_of(self.chosen(context))
        return context.window_manager.invoke_props_dialog(self, width=400)

    def draw(self, _context: Any) -> None:
        """The question."""
        layout: Any = self.layout
        layout.label(
            text=f"Remove the layers of '{sets.label_of(self.key)}' from this file?" if self.key else "Remove?"
        )
        for name in getattr(self, "_users", []):
            layout.label(text=f"Used by {name}", icon="ERROR")

    def act(self, context: Any) -> None:
        """Gone; an undo brings them back."""
        key = self.chosen(context)
        sets.refuse_linked(key)
        compositor.remove_layers(sets.layers_of(key).values())
        sets.remove(key)
        relight_values.forget(key)


class JOIN_OT_set_local(_OfSet, bpy.types.Operator):
    """Copy these layers, which are linked from another file, into this one, so that they can be changed"""

    bl_idname = "join.set_local"
    bl_label = "Make Local"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """Everything in this file that uses them uses the copies."""
        sets.make_local(self.chosen(context))


class JOIN_OT_set_repair(_OfSet, bpy.types.Operator):
    """Bring layers that were deleted back: out of their originals where they have been relit, else by decomposing once
    more with the same settings"""

    bl_idname = "join.set_repair"
    bl_label = "Bring Back"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """The engine is asked only where that is needed."""
        key = self.chosen(context)
        sets.refuse_linked(key)
        if relight.bring_back(key):
            job = decompose.begin_again(key)
            if bpy.app.background:
                running.wait(job)


def _images_to_choose(self: Any, context: Any, edit_text: str) -> list[str]:
    """What a set may have been made of."""
    return [i.name for i in sets.all_images() if sets.SET not in i and edit_text.lower() in i.name.lower()]


class JOIN_OT_set_input(_OfSet, bpy.types.Operator):
    """Say of which image these layers were made, where that was removed from the file and opened again"""

    bl_idname = "join.set_input"
    bl_label = "Choose Input"
    bl_options = {"UNDO"}

    input: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Input", description="Name of the image", search=_images_to_choose, options={"SKIP_SAVE"}
    )

    def invoke(self, context: Any, _event: Any) -> Any:
        """Ask which."""
        return context.window_manager.invoke_props_dialog(self)

    def act(self, context: Any) -> None:
        """Its size must fit."""
        image = image_named(self.input)
        if image is None:
            raise Failure("input_missing", f"There is no image '{self.input}'.", "Choose one of the list.")
        sets.choose_input(self.chosen(context), image)
