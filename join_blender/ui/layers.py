# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a set of layers: nodes, a material, files for other programs."""

import time
from pathlib import Path
from typing import Any

import bpy

from ..engine.background import Future
from ..engine.failure import Failure
from ..engine.job import Job
from ..engine.protocol import Message
from ..engine.vocabulary import names
from ..host import compositor, editors, export, material
from ..host.images import image_named
from ..host.sets import (
    all_sets,
    formula_of,
    is_finished,
    label_of,
    layers_of,
    maps_of,
    set_of,
    source_name,
    source_of,
)
from . import decompose, relight_updates
from .parts import Acting, Asking, InSidebar, Outcome, report, shown_image

_TICK = 0.1
_FORMATS = (
    (
        "EXR16",
        "EXR, 16 bit",
        "One multilayer OpenEXR of half floats, linear: albedo.R, shading.R … and the whole image",
    ),
    ("EXR32", "EXR, 32 bit", "One multilayer OpenEXR of full floats, which loses nothing; linear"),
    ("PNG8", "PNG, 8 bit", "A file per layer. The albedo is sRGB; shading and specular are tone-mapped, x / (1 + x)"),
    ("PNG16", "PNG, 16 bit", "A file per layer, as with 8 bits but without banding"),
    ("JOIN", "JoIN Decomposition", "Layers and codes in a .join file: python -m join_engine relight reads it back"),
)


class OnLayers:
    """An operator on layers, which scripts name by an image."""

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image",
        description="A layer, or the image that was decomposed; empty for the one in the Image Editor",
        options={"SKIP_SAVE"},
    )


class _OnSet(OnLayers):
    """An operator on the set that is shown, or on one that a script names."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """An image in the editor has layers; a script may name one."""
        space: Any = context.space_data
        return space is None or space.type != "IMAGE_EDITOR" or set_of(space.image) is not None

    def chosen_set(self, context: Any) -> str:
        """Raises Failure where there is no set, or none that is finished."""
        if key := str(getattr(self, "key", "")):
            if is_finished(key):
                return key
            raise Failure("layers_missing", "These layers are gone.", "Decompose the image again.")
        return chosen_set(self.image, context)


def chosen_set(name: str, context: Any) -> str:
    """The set of the image of that name; of the one that is shown for no name.

    Raises:
        Failure: ``layers_missing``.
    """
    image = image_named(name) if name else shown_image(context)
    set_id = set_of(image)
    if image is None:  # the set may have outlived its image
        set_id = next((key for key in all_sets() if source_of(key) is None and source_name(key) == name), None)
    if set_id is None or not is_finished(set_id):
        words = f"'{image.name if image is not None else name}' has no finished layers."
        raise Failure("layers_missing", words, "Decompose it first, or show one of its layers.")
    return set_id


class JOIN_OT_add_nodes(_OnSet, Acting, bpy.types.Operator):
    """Put the layers, the group JoIN Recombine and a Viewer into the compositor, beside what is there"""

    bl_idname = "join.add_nodes"
    bl_label = "Add to Compositor"
    bl_options = {"REGISTER", "UNDO"}

    render: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Render It",
        description="Let the scene render the recombined picture, at its size, instead of what it renders now",
        options={"SKIP_SAVE"},
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """What this button does."""
        return (
            "The same, and let the scene render the recombined picture, at its size"
            if properties.render
            else "Put the layers, the group JoIN Recombine and a Viewer into the compositor; renders stay as before"
        )

    def act(self, context: Any) -> None:
        """A frame of nodes; connected to the scene's output only where that is asked for."""
        scene = context.scene
        key = self.chosen_set(context)
        said = compositor.add_layers(scene, f"JoIN: {label_of(key)}", layers_of(key), formula_of(key), self.render)
        if self.render:
            said += "The scene renders the recombined picture now, at its size"
        else:
            said += "The nodes are in a frame of their own; what the scene renders is as it was"
        self.report({"INFO"}, said)


class JOIN_OT_make_material(_OnSet, Acting, bpy.types.Operator):
    """Make a Principled material of the layers for the active object: the albedo is its base colour. Roughness and
    specular level are only estimated from the specular layer, where the bank has one"""

    bl_idname = "join.make_material"
    bl_label = "Material from Layers"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """A new material in the active slot; what was there stays in the file."""
        thing = context.view_layer.objects.active
        if thing is None:
            raise Failure("object_missing", "No object is active.", "Click one in the 3D Viewport first.")
        set_id = self.chosen_set(context)
        if not material.is_suitable(thing):
            raise Failure("object_unsuitable", f"'{thing.name}' cannot have a material.", "Choose a mesh.")
        made = material.make_material(label_of(set_id), layers_of(set_id))
        before = material.assign(made, thing)
        words = f"'{made.name}' is on '{thing.name}'"
        self.report({"INFO"}, f"{words} instead of '{before}', which stays in the file" if before else words)


class JOIN_OT_mark_asset(_OnSet, Acting, bpy.types.Operator):
    """Put the material of these layers into the Asset Browser, with what they make as its picture: the one that shows
    their albedo, or a new one. With it goes the group JoIN Recombine, if the compositor has it"""

    bl_idname = "join.mark_asset"
    bl_label = "Mark as Asset"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """The file is then where other files find them, once it lies in an asset library."""
        marked = material.mark_as_assets(self.chosen_set(context))
        self.report({"INFO"}, f"Marked as assets of this file: {', '.join(marked)}")


class JOIN_OT_paint(_OnSet, Acting, bpy.types.Operator):
    """Paint on the albedo: the active object gets a material of these layers, if it has none, and goes into Texture
    Paint mode with the albedo as its slot; this editor goes into Paint mode. What you paint is the layer itself"""

    bl_idname = "join.paint"
    bl_label = "Send to Texture Paint"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """The active object has to be a mesh with a UV map."""
        thing = context.view_layer.objects.active
        self.report({"INFO"}, material.paint(self.chosen_set(context), thing, context.space_data))


class Waiting:
    """An operator that waits for the engine while Blender stays usable; a script and background mode wait with it.

    ``is_done`` tells whether there is nothing to wait for any longer, and ``finish(context)`` does what is done then.
    Both may raise Failure.
    """

    _timer: bpy.types.Timer | None = None

    def wait(self: Any, context: Any, words: str = "") -> Outcome:
        """Begin to wait. ``words`` stand in Blender's status bar meanwhile. Raises Failure."""
        if bpy.app.background or not context.window:
            while not self.is_done():
                time.sleep(0.005)
            return self.finish(context)  # type: ignore[no-any-return]
        self._timer = context.window_manager.event_timer_add(_TICK, window=context.window)
        context.window_manager.modal_handler_add(self)
        if words:
            context.workspace.status_text_set(words)
        return {"RUNNING_MODAL"}

    def modal(self: Any, context: Any, event: Any) -> Outcome:
        """Look at the engine; everything else passes through to Blender."""
        if event.type != "TIMER" or self._timer is None:
            return {"PASS_THROUGH"}
        try:
            if not self.is_done():
                return {"PASS_THROUGH"}
            done: Outcome = self.finish(context)
        except Failure as failure:
            done = report(self, failure)
        self.cancel(context)
        return done

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away, or it is done."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            context.workspace.status_text_set(None)
            self._timer = None


class ByEngine(Waiting, Acting):
    """An operator for which the engine does a job: ``act`` calls :meth:`ask`, and ``use(context, made)`` does what is
    done with what :meth:`read` has made of the answer, or raises Failure."""

    _job: Job | None = None
    _made: Future[Any] | None = None

    def ask(self, context: Any, files: dict[str, bytes], request: Message, words: str) -> Outcome:
        """Begin; raises Failure. ``words`` stand in Blender's status bar meanwhile."""
        self._job = Job.with_files(files, request, decompose.make_launch("auto"), bpy.app.tempdir or None)
        relight_updates.connection.add(self._job)
        return self.wait(context, words)

    def read(self, answer: Message) -> Any:
        """What is to be made of the engine's answer while its files are there; in a thread. Raises Failure."""
        return answer

    def write_next(self, made: Any) -> bool:
        """Put one image of it into the file; whether there was one. Blender's window lives on in between."""
        return False

    def is_done(self) -> bool:
        """Whether the engine has answered, :meth:`read` has read that, and all is written."""
        assert self._job is not None
        if self._made is None:
            relight_updates.connection.step()
            if self._job.ended:
                job = self._job
                self._made = Future(lambda: self.read(job.answer()))
        return self._made is not None and self._made.done and not self._write_next(self._made)

    def _write_next(self, made: Future[Any]) -> bool:
        try:
            return self.write_next(made.result())
        except Failure:
            return False  # whoever uses it hears why

    def finish(self: Any, context: Any) -> Outcome:
        """The job has ended."""
        self._job.close()
        return self.use(context, self._made.result())  # type: ignore[no-any-return]


class JOIN_OT_make_maps(_OnSet, ByEngine, bpy.types.Operator):
    """Make a Principled material with maps of the layers: the albedo, and roughness, one value for the picture, as a
    network guesses it that has learned from renders. It goes to the active object; without one it stays in the file"""

    bl_idname = "join.make_maps"
    bl_label = "Material with Maps"
    bl_options = {"UNDO"}

    relief: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Relief",
        description="Also guess normals and height from the shading. On renders they are no closer to the true ones "
        "than a flat surface: for the eye only",
        options={"SKIP_SAVE"},
    )
    displacement: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Displacement", description="Let the height displace the surface, too", options={"SKIP_SAVE"}
    )

    def act(self, context: Any) -> Outcome:
        """The engine makes the maps."""
        self._key = self.chosen_set(context)
        thing = context.view_layer.objects.active
        self._thing = thing.name if thing is not None and material.is_suitable(thing) else ""
        return self.ask(context, *material.maps_request(self._key, self.relief), "Making maps")

    def read(self, answer: Message) -> Any:
        """The maps, ready to be packed."""
        return material.encode_maps(answer), float(answer.get("span") or 0.0)

    def write_next(self, made: Any) -> bool:
        """An image of the set."""
        maps, span = made
        if not maps or not is_finished(self._key):
            return False
        name = next(iter(maps))
        material.write_map(self._key, name, maps.pop(name), span)
        return True

    def use(self, context: Any, made: Any) -> Outcome:
        """A new material in the active slot; what was there stays in the file."""
        if not is_finished(self._key):
            raise Failure("layers_missing", "These layers are gone.", "Decompose the image again.")
        maps = maps_of(self._key)
        new = material.make_material(label_of(self._key), layers_of(self._key), maps, self.displacement)
        thing = context.view_layer.objects.get(self._thing)
        if thing is None:
            material.keep(new)
            self.report({"INFO"}, f"The material '{new.name}' is in the file; no object was selected for it")
            return {"FINISHED"}
        before = material.assign(new, thing)
        instead = f" instead of '{before}', which stays in the file" if before else ""
        self.report({"INFO"}, f"'{new.name}' is on '{thing.name}'{instead}, with maps: {', '.join(maps) or 'none'}")
        return {"FINISHED"}


class JOIN_OT_make_tile(_OnSet, ByEngine, bpy.types.Operator):
    """Make textures of the layers that can be repeated: what differs between opposite edges by large goes, and seams
    are cut where all layers together differ least. They are smaller by a sixth of each side. With an object selected,
    a material of them is put on it"""

    bl_idname = "join.make_tile"
    bl_label = "Make Tile"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> Outcome:
        """The engine makes the tile."""
        self._key = self.chosen_set(context)
        thing = context.view_layer.objects.active
        self._thing = thing.name if thing is not None and material.is_suitable(thing) else ""
        self._numbers: dict[str, int] = {}
        return self.ask(context, *material.tile_request(self._key), "Making a tile")

    def read(self, answer: Message) -> Any:
        """The layers, ready to be packed, how bright the specular is, and the seam energy."""
        before, after = answer.get("seam") or (0.0, 0.0)
        return *material.encode_tile(answer), float(before), float(after)

    def write_next(self, made: Any) -> bool:
        """An image."""
        data, *_ = made
        if not data or not is_finished(self._key):
            return False
        name = next(iter(data))
        self._numbers[name] = material.write_tile(self._key, name, data.pop(name)).session_uid
        return True

    def use(self, context: Any, made: Any) -> Outcome:
        """The editor shows the first of the images; and a material of them."""
        _, brightest, before, after = made
        found = {name: editors.image_of_number(number) for name, number in self._numbers.items()}
        tile = {name: image for name, image in found.items() if image is not None}
        if not is_finished(self._key) or not tile:
            raise Failure("layers_missing", "These layers are gone.", "Decompose the image again.")
        said = f"Tile of {', '.join(tile)}: seam energy {before:.1f} before, {after:.1f} now; 1 cannot be seen"
        thing = context.view_layer.objects.get(self._thing)
        if thing is not None:
            new = material.make_material(f"{label_of(self._key)} tile", tile, brightest=brightest)
            material.assign(new, thing)
            said += f". '{new.name}' is on '{thing.name}'"
        if context.space_data is not None and context.space_data.type == "IMAGE_EDITOR":
            context.space_data.image = tile.get("albedo") or next(iter(tile.values()))
        self.report({"INFO"}, said)
        return {"FINISHED"}


class JOIN_OT_export(_OnSet, ByEngine, Asking, bpy.types.Operator):
    """Write the layers, as they are now, into files for other programs"""

    bl_idname = "join.export"
    bl_label = "Export Layers..."
    bl_options = set()

    key: bpy.props.StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # type: ignore[valid-type]
    filepath: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="File", description="For PNG: what the names of the files begin with", subtype="FILE_PATH"
    )
    format: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Format", description="What is written", items=_FORMATS, default="EXR16"
    )
    check_existing: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_glob: bpy.props.StringProperty(default="*.exr;*.png;*.join", options={"HIDDEN"})  # type: ignore[valid-type]

    def prepare(self, context: Any) -> Outcome:
        """Let the user choose the file."""
        set_id = self.chosen_set(context)
        self.key = set_id  # the file browser takes the editor away
        self.filepath = names.safe_name(label_of(set_id)) + export.SUFFIXES[self.format]
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def check(self, _context: Any) -> bool:
        """The name's ending follows the format."""
        right = _with_suffix(self.filepath, self.format)
        changed = right != self.filepath
        self.filepath = right
        return changed

    def draw(self, _context: Any) -> None:
        """In the file browser's sidebar."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        layout.prop(self, "format")

    def act(self, context: Any) -> Outcome:
        """From a script or in background mode: wait. Else the engine writes while Blender stays usable."""
        set_id = self.chosen_set(context)
        if not self.filepath:
            raise Failure("file_missing", "No file is named.", "Choose one.")
        path = Path(bpy.path.abspath(_with_suffix(self.filepath, self.format)))
        return self.ask(context, *export.export_request(set_id, path, self.format), "Exporting layers")

    def use(self, _context: Any, made: Any) -> Outcome:
        """Say where the files are."""
        files = made.get("files", [])
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        self.report({"INFO"}, f"Wrote {files[0]}{more}" if files else "Nothing was written")
        return {"FINISHED"}


class JOIN_PT_use(InSidebar, bpy.types.Panel):
    """Where the layers go from here"""

    section = "7-compositor"
    bl_label = "Use Layers"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where the image has layers, or is one."""
        space: Any = context.space_data
        return is_finished(set_of(space.image))

    def draw(self, context: Any) -> None:
        """A button for each."""
        layout: Any = self.layout
        row = layout.row(align=True)
        row.operator(JOIN_OT_add_nodes.bl_idname, icon="NODE_COMPOSITING").render = False
        row.operator(JOIN_OT_add_nodes.bl_idname, text="", icon="RENDER_STILL").render = True
        row = layout.row()
        active = context.view_layer.objects.active
        row.enabled = active is not None and material.is_suitable(active)
        row.operator(JOIN_OT_make_material.bl_idname, icon="MATERIAL")
        if not row.enabled:
            layout.label(text="Select an object for the material", icon="INFO")
        row = layout.row(align=True)
        settings = context.scene.join_intrinsics
        row.operator(JOIN_OT_make_maps.bl_idname, icon="NODE_TEXTURE").relief = settings.relief
        row.prop(settings, "relief", text="", icon="MOD_NORMALEDIT")
        layout.operator(JOIN_OT_make_tile.bl_idname, icon="TEXTURE")
        row = layout.row()
        row.enabled = active is not None and active.type == "MESH"
        row.operator(JOIN_OT_paint.bl_idname, icon="TPAINT_HLT")
        layout.operator(JOIN_OT_mark_asset.bl_idname, icon="ASSET_MANAGER")
        layout.operator(JOIN_OT_export.bl_idname, icon="EXPORT")


def _with_suffix(path: str, how: str) -> str:
    known = set(export.SUFFIXES.values())
    stem = path[: -len(Path(path).suffix)] if Path(path).suffix.lower() in known else path
    return stem + export.SUFFIXES[how]
