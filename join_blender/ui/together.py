# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos. Decompose Together: several of one thing under other light get one albedo, and a set of layers each. And the
colours that a photo's file speaks of, where Blender took it for sRGB: by a colour space of Blender's where it has one
of that name, else by an image that the engine makes of the file."""

from pathlib import Path
from typing import Any

import bpy

from ..engine import memory
from ..engine.decomposition import Decomposition
from ..engine.failure import Failure
from ..engine.protocol import Message
from ..host import images, photos, sets
from ..host.layers import LayersTogether
from . import running
from .decompose import Decomposing, make_launch, options_of, part_of, take_settings
from .layers import ByEngine
from .parts import Acting, InSidebar, Outcome, chosen_image, shown_image
from .properties import CROP, SHRINK, STEPS, HowToDecompose, OnPhoto

_SETTINGS = ("preset", "seed", "bank", "device", "shrink", "crop")


class JoinPhoto(bpy.types.PropertyGroup):
    """An entry of ``scene.join_photos``."""

    image: bpy.props.PointerProperty(type=bpy.types.Image, name="Photo")  # type: ignore[valid-type]


class JOIN_UL_photos(bpy.types.UIList):
    """The photos that are to be decomposed together"""

    def draw_item(  # Blender counts its arguments, and needs not all of them
        self,
        context: Any,
        layout: Any,
        data: Any,
        item: Any,
        icon: Any,
        active_data: Any,
        active_property: Any,
        index: Any = 0,
        flt_flag: Any = 0,
    ) -> None:
        """Its name."""
        if item.image is not None:
            layout.prop(item.image, "name", text="", emboss=False, icon_value=layout.icon(item.image))
        else:
            layout.label(text="Gone from this file", icon="ERROR")


class JOIN_OT_photo_add(OnPhoto, Acting, bpy.types.Operator):
    """Put the image that is shown into the list"""

    bl_idname = "join.photo_add"
    bl_label = "Add Photo"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> None:
        """Of a layer, the image that it was made of."""
        image = images.find_image(self.image) if self.image else sets.input_of(shown_image(context))
        if not photos.add(context.scene, image):
            self.report({"INFO"}, f"'{image.name}' is in the list already")


class JOIN_OT_photo_open(Acting, bpy.types.Operator):
    """Open photos from files, and put them into the list: choose several with Shift or Ctrl"""

    bl_idname = "join.photo_open"
    bl_label = "Open Photos..."
    bl_options = {"UNDO"}

    directory: bpy.props.StringProperty(name="Folder", subtype="DIR_PATH")  # type: ignore[valid-type]
    files: bpy.props.CollectionProperty(  # type: ignore[valid-type]
        type=bpy.types.OperatorFileListElement, name="Files", options={"SKIP_SAVE", "HIDDEN"}
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """Let the user choose the files."""
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def act(self, context: Any) -> None:
        """Each into the list, in the order of their names."""
        folder = Path(bpy.path.abspath(self.directory))
        names = sorted(item.name for item in self.files if item.name)
        if not names:
            raise Failure("file_missing", "No file is chosen.", "Choose two or more.")
        try:
            for image in photos.load(folder / name for name in names):
                photos.add(context.scene, image)
        except RuntimeError as error:  # Blender's own, of a file that is no picture
            raise Failure("image_unreadable", str(error).strip(), "Choose another.") from error


class JOIN_OT_photo_remove(Acting, bpy.types.Operator):
    """Take the chosen photo out of the list; the image stays in the file"""

    bl_idname = "join.photo_remove"
    bl_label = "Remove Photo"
    bl_options = {"UNDO"}

    everything: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="All", description="Empty the list", options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """What this button does."""
        return "Empty the list; the images stay in the file" if properties.everything else str(cls.__doc__)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Where there is one."""
        return len(context.scene.join_photos) > 0

    def act(self, context: Any) -> None:
        """One, or all."""
        if self.everything:
            photos.clear(context.scene)
        else:
            photos.remove(context.scene, context.scene.join_photo_index)


class JOIN_OT_decompose_together(HowToDecompose, Decomposing, bpy.types.Operator):
    """Split photos of one thing under other light into one albedo and the light of each, while Blender stays usable"""

    bl_idname = "join.decompose_together"
    bl_label = "Decompose Together"
    bl_options = set()

    images: bpy.props.CollectionProperty(  # type: ignore[valid-type]
        type=bpy.types.OperatorFileListElement,
        name="Images",
        description="Names of the images; none for those of the list",
        options={"SKIP_SAVE"},
    )
    shrink: SHRINK  # type: ignore[valid-type]
    crop: CROP  # type: ignore[valid-type]
    steps: STEPS  # type: ignore[valid-type]

    def _begin(self, context: Any) -> Decomposition:
        """Read the photos and queue them as one job."""
        take_settings(self, context, _SETTINGS)
        named = [images.find_image(item.name) for item in self.images]
        chosen = named or photos.listed(context.scene)
        photos.refuse_unequal(chosen)
        launch = make_launch(self.device)
        part, wanted = part_of(self, chosen[0])
        free = memory.available()
        memory.refuse_too_large(chosen[0].name, *wanted, free // len(chosen) if free is not None else None)
        sources = [images.read_source(image, None, part, self.shrink) for image in chosen]
        job = Decomposition(sources, options_of(self), launch, f"{len(chosen)} photos", bpy.app.tempdir or None)
        running.add(job, LayersTogether(job, [image.session_uid for image in chosen]))
        space: Any = context.space_data
        if space is not None and space.type == "IMAGE_EDITOR" and context.scene.join_intrinsics.show == "LAYER":
            running.follow(job, context.area)
        return job


class JOIN_PT_together(InSidebar, bpy.types.Panel):
    """Photos of one thing under other light: together they tell paint from light better than one alone"""

    bl_label = "Several Photos of One Thing"
    bl_parent_id = "JOIN_PT_decompose"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        """The list, and the button."""
        layout: Any = self.layout
        scene = context.scene
        row = layout.row()
        row.template_list("JOIN_UL_photos", "", scene, "join_photos", scene, "join_photo_index", rows=3)
        column = row.column(align=True)
        column.operator(JOIN_OT_photo_add.bl_idname, text="", icon="ADD")
        column.operator(JOIN_OT_photo_open.bl_idname, text="", icon="FILE_FOLDER")
        column.operator(JOIN_OT_photo_remove.bl_idname, text="", icon="REMOVE")
        column.operator(JOIN_OT_photo_remove.bl_idname, text="", icon="X").everything = True
        count = len(photos.listed(scene))
        row = layout.row()
        row.scale_y = 1.4
        row.enabled = count >= 2
        row.operator(JOIN_OT_decompose_together.bl_idname, icon="RENDERLAYERS")
        if count < 2:
            layout.label(text="Add two photos or more, from a tripod", icon="INFO")


def draw_colors(layout: Any, image: Any) -> None:
    """What the file of an image says, and a button that has Blender show it so; nothing where Blender does."""
    said = images.profile_of(image) if image is not None else ""
    if not said:
        return
    layout.label(text=f"Its file says {said}", icon="INFO")
    if photos.suggested_space(image):
        layout.operator(JOIN_OT_use_file_colors.bl_idname, text=f"Use {said}", icon="COLOR")
    elif image.source == "FILE":
        layout.operator(JOIN_OT_convert_colors.bl_idname, text=f"Convert from {said}", icon="COLOR")


class JOIN_OT_use_file_colors(OnPhoto, Acting, bpy.types.Operator):
    """Set the image's Color Space to the one that its file speaks of, which Blender itself does not look at"""

    bl_idname = "join.use_file_colors"
    bl_label = "Use the File's Color Space"
    bl_options = {"REGISTER", "UNDO"}

    def act(self, context: Any) -> None:
        """Nothing changes where the file says nothing, or Blender has no such space."""
        image = chosen_image(self.image, context)
        if space := photos.suggested_space(image):
            images.set_space(image, space)


class JOIN_OT_convert_colors(OnPhoto, ByEngine, bpy.types.Operator):
    """Make a linear image of the file by the colours that it speaks of, for which Blender has no Color Space. It is
    kept in the .blend; the image itself stays as it is"""

    bl_idname = "join.convert_colors"
    bl_label = "Convert the File's Colors"
    bl_options = {"UNDO"}

    def act(self, context: Any) -> Outcome:
        """The engine reads the file."""
        image = chosen_image(self.image, context)
        self._name = image.name
        return self.ask(context, *photos.conversion_request(image), "Converting colors")

    def read(self, answer: Message) -> Any:
        """The picture, ready to be packed, and what the engine has to say of it."""
        return photos.encode_converted(answer)

    def use(self, context: Any, made: Any) -> Outcome:
        """A new image, which the editor then shows."""
        converted, notes = photos.write_converted(self._name, made)
        if context.space_data is not None and context.space_data.type == "IMAGE_EDITOR":
            context.space_data.image = converted
        self.report({"INFO"}, " ".join([f"'{converted.name}' is '{self._name}' by its file's colors.", *notes]))
        return {"FINISHED"}
