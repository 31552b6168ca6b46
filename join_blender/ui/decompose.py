# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose Image and Decompose Folder, and the ways to stop, repeat and repair them."""

from pathlib import Path
from typing import Any

import bpy

from ..engine import memory
from ..engine.connection import Launch
from ..engine.decomposition import Decomposition
from ..engine.failure import Failure
from ..engine.pixels import Source
from ..engine.protocol import Options
from ..engine.vocabulary import names
from ..host import editors, faces, images, masks, sets
from ..host.layers import LayerSet
from ..install import locate
from ..install.task import Task, blender_python, write_frames
from . import engine_state, running
from .engine_state import chosen_python
from .parts import Acting, OneAtATime, Outcome, chosen_image, report, shown_image
from .properties import CROP, LAYER, RUN_AGAIN, SHRINK, STEPS, HowToDecompose, OnPhoto, WithMask

SEQUENCE, MOVIE = "Decomposing the sequence", "Writing the movie's frames"
"""What the tasks are called that do the frames."""


class Decomposing:
    """What operators have in common that queue one job; ``_begin`` reads the pixels and queues it."""

    def invoke(self: Any, context: Any, _event: Any) -> Outcome:
        """From a button: queue it, and return at once."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self._begin(context)
        except Failure as failure:
            running.refuse(failure)
            return report(self, failure)
        return {"FINISHED"}

    def execute(self: Any, context: Any) -> Outcome:
        """From a script or in background mode: wait for the layers."""
        try:
            job = self._begin(context)
            running.wait(job)
        except Failure as failure:
            return report(self, failure)
        self.report({"INFO"}, running.last_message)
        return {"FINISHED"} if job.result is not None else {"CANCELLED"}


class ByDecomposing:
    """An operator that ends in ``join.decompose``: ``_decompose`` calls it, in the way in which it was called."""

    def invoke(self: Any, context: Any, _event: Any) -> Outcome:
        """From a button: while Blender stays usable."""
        return self._decompose(context, "INVOKE_DEFAULT")  # type: ignore[no-any-return]

    def execute(self: Any, context: Any) -> Outcome:
        """From a script or in background mode: wait for the layers."""
        return self._decompose(context, "EXEC_DEFAULT")  # type: ignore[no-any-return]


class JOIN_OT_decompose(WithMask, HowToDecompose, OnPhoto, Decomposing, bpy.types.Operator):
    """Split the image into layers that multiply and add back to it, while Blender stays usable"""

    bl_idname = "join.decompose"
    bl_label = "Decompose Image"
    # No REGISTER: the redo panel would run the whole job at each change of a number. No UNDO: the layers come later,
    # and then with a step of undo of their own.
    bl_options = set()

    again: RUN_AGAIN  # type: ignore[valid-type]
    shrink: SHRINK  # type: ignore[valid-type]
    crop: CROP  # type: ignore[valid-type]
    layer: LAYER  # type: ignore[valid-type]
    frame: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Frame",
        description="Of an image sequence: the number in the file's name; -1 for the frame that is shown",
        min=-1,
        default=-1,
        options={"SKIP_SAVE"},
    )
    steps: STEPS  # type: ignore[valid-type]
    save_directory: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Save Directory",
        description="Folder in which to keep decomposition.join; empty for none",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    def _begin(self, context: Any) -> Decomposition:
        """Read the image and queue it."""
        take_settings(self, context, ("preset", "seed", "bank", "device", "again", "shrink", "crop", "layer"))
        shown = None if self.image else shown_image(context)
        image = images.find_image(self.image) if self.image else sets.input_of(shown)
        update = sets.set_of(shown or image) if self.again == "UPDATE" else None
        sets.refuse_linked(update)
        launch = make_launch(self.device)
        part, wanted = part_of(self, image)
        memory.refuse_too_large(image.name, *wanted, memory.available())
        frame = self._frame_of(context, image)
        source = images.read_source(image, frame, part, self.shrink, _shows_right_eye(context), self.layer)
        mask = masks.read_mask(self.mask, self.painted, source) if self.mask or self.painted else None
        keep_in = Path(bpy.path.abspath(self.save_directory)) if self.save_directory else None
        scratch = bpy.app.tempdir or None
        options = options_of(self)
        face = faces.request(image, source)
        job = Decomposition(source, options, launch, image.name, scratch, None, keep_in, frame, mask=mask, face=face)
        running.add(job, LayerSet(job, image.session_uid, update))
        if shown is not None and context.scene.join_intrinsics.show == "LAYER":
            running.follow(job, context.area)
        return job

    def _frame_of(self, context: Any, image: Any) -> int | None:
        if image.source != "SEQUENCE":
            return None
        if self.frame >= 0:
            return self.frame
        space = context.space_data
        return (
            images.shown_frame(image, space.image_user) if space is not None and space.type == "IMAGE_EDITOR" else None
        )


class JOIN_OT_use_bank(OnPhoto, ByDecomposing, bpy.types.Operator):
    """Choose this bank under Bank, and decompose the image by it"""

    bl_idname = "join.use_bank"
    bl_label = "Use Bank"
    bl_options = set()

    bank: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Bank", description="Name of a shipped bank", options={"SKIP_SAVE"}
    )

    def _decompose(self, context: Any, how: str) -> Outcome:
        sets.choose_bank(context.scene, self.bank)
        return bpy.ops.join.decompose(how, image=self.image)  # type: ignore[no-any-return,attr-defined,unused-ignore]


class _InFolder:
    """Where images and layers lie. The file browser shows them first, as Blender reads the last of the bases first."""

    directory: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Folder", description="The images in it, not those in folders below it", subtype="DIR_PATH"
    )
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    filter_image: bpy.props.BoolProperty(default=True, options={"HIDDEN"})  # type: ignore[valid-type]
    output: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Output",
        description="Where each image gets a folder of its own; empty for a folder 'layers' beside the images",
        subtype="DIR_PATH",
    )
    skip_existing: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Skip Finished",
        description="Leave out images whose layers are there, made of the same file with the same bank and settings",
        default=True,
    )


class JOIN_OT_decompose_folder(HowToDecompose, _InFolder, bpy.types.Operator):
    """Decompose every image in a folder, one after the other, into folders of EXR and PNG layers"""

    bl_idname = "join.decompose_folder"
    bl_label = "Decompose Folder..."
    bl_options = set()

    steps: STEPS  # type: ignore[valid-type]

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """Let the user choose the folder."""
        take_settings(self, context, ("preset", "seed", "bank", "device"))
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Outcome:
        """Queue them all; in background mode wait for them."""
        take_settings(self, context, ("preset", "seed", "bank", "device"))
        try:
            jobs, found, output = self._jobs()
            running.add_folder(jobs, output)
        except Failure as failure:
            running.refuse(failure)
            return report(self, failure)
        if found.passed_over:
            self.report({"INFO"}, f"Passed over {found.passed_over}")
        if found.series:
            self.report({"INFO"}, found.series)
        if not bpy.app.background:
            return {"FINISHED"}
        failures = running.wait_for_all()
        for one in failures:
            self.report({"WARNING"}, str(one))
        if failures:
            count = f"{len(failures)} of {len(jobs)} images were not decomposed."
            return report(self, Failure("batch", count, f"The first: {failures[0]}"))
        finished = sum(bool((job.result or {}).get("skipped")) for job in jobs)
        before = f", {finished} were finished already" if finished else ""
        self.report({"INFO"}, f"{len(jobs) - finished} images were decomposed{before}")
        return {"FINISHED"}

    def _jobs(self) -> tuple[list[Decomposition], names.Listing, Path]:
        """A job for each image, what is in the folder, and where the layers go."""
        folder = Path(bpy.path.abspath(self.directory))
        output = Path(bpy.path.abspath(self.output)) if self.output else folder / "layers"
        try:
            found = names.list_folder(folder, output)
        except OSError as error:
            text = f"The folder '{folder}' cannot be read ({error.strerror or error})."
            raise Failure("image_missing", text, "Choose another.") from error
        if not found.images:
            kinds = ", ".join(suffix[1:].upper() for suffix in names.IMAGE_SUFFIXES)
            raise Failure("image_missing", f"There are no images in '{folder}'.", f"Read are {kinds}.")
        launch, options, scratch = make_launch(self.device), options_of(self), bpy.app.tempdir or None
        jobs = [
            Decomposition(
                path,
                options,
                launch,
                path.name,
                scratch,
                output / names.safe_name(path.stem),
                skip_existing=self.skip_existing,
            )
            for path in found.images
        ]
        return jobs, found, output


class JOIN_OT_decompose_sequence(HowToDecompose, OnPhoto, OneAtATime, bpy.types.Operator):
    """Decompose every frame, into an image sequence for each layer, with an albedo that does not flicker where nothing
    moves. The camera should stand still. What an earlier run has done is kept, and it goes on from there. Of a movie,
    the frames are written first, as images beside it"""

    bl_idname = "join.decompose_sequence"
    bl_label = "Decompose All Frames"
    bl_options = set()

    output: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Output",
        description="Where each layer gets a folder of EXR files; empty for a folder 'layers' beside the frames, or "
        "called after the movie",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> Outcome:
        """Start it; in background mode wait for the end."""
        take_settings(self, context, ("preset", "seed", "bank", "device"))
        try:
            image = chosen_image(self.image, context)
            output = Path(bpy.path.abspath(self.output)) if self.output else None
            name, area, arguments = image.name, None if self.image else context.area, self._arguments()
            running.refuse(None)
            if image.source == "MOVIE":
                movie = images.file_of(image)
                beside = [movie.with_name(f"{movie.stem} {what}") for what in ("layers", "frames")]
                script = [*_blender(), str(Path(images.__file__).with_name("movie_frames.py")), "--"]
                engine_state.begin(
                    lambda: write_frames(MOVIE, movie, beside[1], script),
                    lambda task: _go_on(task, name, output or beside[0], arguments, area),
                )
            else:
                frames = images.frames_of(image)
                _begin_sequence(name, frames, output or frames[0].parent / "layers", arguments, area)
        except Failure as failure:
            running.refuse(failure)
            return report(self, failure)
        return {"FINISHED"}

    def _arguments(self) -> list[str]:
        bank = bank_reference(self.bank)
        arguments = ["-m", "join_engine", "decompose-sequence", "--messages"]
        arguments += ["--preset", self.preset.lower(), "--seed", str(self.seed), "--device", self.device.lower()]
        return arguments + (["--bank", bank] if bank else [])


def _blender() -> list[str]:
    """The command of a Blender in background mode, up to the script; under the wheel, Python itself is one."""
    if not bpy.app.binary_path:
        return [str(blender_python())]
    return [
        bpy.app.binary_path,
        "-b",
        "--factory-startup",
        "--offline-mode",
        "-noaudio",
        "--python-exit-code",
        "1",
        "-P",
    ]


def _begin_sequence(name: str, frames: list[Path], folder: Path, arguments: list[str], area: Any) -> None:
    python, request = chosen_python().path, {"type": "sequence", "frames": [str(frame) for frame in frames]}
    command = [*arguments, "--out", str(folder)]
    engine_state.begin(
        lambda: Task(SEQUENCE, python, command, request, hint="Press the button again: it goes on."),
        lambda task: _open_sequences(task, name, folder, frames, area),
    )


def _go_on(task: Task, name: str, folder: Path, arguments: list[str], area: Any) -> None:
    """The frames of a movie are written: decompose them."""
    try:
        if task.failure is not None:
            raise task.failure
        if task.answer is not None:
            _begin_sequence(name, [Path(path) for path in task.answer["frames"]], folder, arguments, area)
    except Failure as failure:
        running.refuse(failure)


def _open_sequences(task: Task, name: str, folder: Path, frames: list[Path], area: Any) -> None:
    if task.failure is not None:
        running.refuse(task.failure)
    if task.answer is None:
        return
    layers = images.open_sequences(Path(name).stem, folder, list(task.answer["layers"]), frames)
    if any(area == one for one, _ in editors.on_screen()):
        area.spaces.active.image = layers.get("albedo") or next(iter(layers.values()))
        images.play_sequence(area.spaces.active.image_user, frames)
    running.undo_soon(f"Decompose {name}")
    running.say(f"{name}: {len(frames)} frames in {folder}")


class JOIN_OT_stop(Acting, bpy.types.Operator):
    """End a decomposition"""

    bl_idname = "join.stop"
    bl_label = "Stop Decomposing"
    bl_options = {"INTERNAL"}

    job: bpy.props.StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # type: ignore[valid-type]
    keep: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Keep", description="Take the best layers found so far instead of none", options={"SKIP_SAVE"}
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        """What this button does."""
        return (
            "Stop now and take the best layers found so far" if properties.keep else "Stop now and leave nothing behind"
        )

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs."""
        return running.current() is not None

    def act(self, _context: Any) -> None:
        """Ask; the next ticks see the end of it."""
        running.queue.stop(self.job or running.current().id, self.keep)
        running.wake()


class JOIN_OT_escape(Acting, bpy.types.Operator):
    """End the decomposition at work as the settings say: with the best layers so far, or with none"""

    bl_idname = "join.escape"
    bl_label = "Stop Decomposing"
    bl_options = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs; else the key means what it always means."""
        return running.current() is not None

    def act(self, context: Any) -> None:
        """As :class:`JOIN_OT_stop`."""
        running.queue.stop(running.current().id, context.scene.join_intrinsics.escape == "KEEP")
        running.wake()


class JOIN_OT_restart(Acting, bpy.types.Operator):
    """Start the engine afresh and try what failed once more, with the same pixels and settings"""

    bl_idname = "join.restart"
    bl_label = "Restart"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any) -> None:
        """Nothing waits: the timer sees to it."""
        running.restart()


class JOIN_OT_dismiss(Acting, bpy.types.Operator):
    """Close this message; what waits in the queue goes on"""

    bl_idname = "join.dismiss"
    bl_label = "Dismiss"
    bl_options = {"INTERNAL"}

    def act(self, _context: Any) -> None:
        """Forget the failure."""
        running.dismiss()


class JOIN_OT_set_colorspace(Acting, bpy.types.Operator):
    """Mark the image as sRGB, which most pictures with 8 bits are"""

    bl_idname = "join.set_colorspace"
    bl_label = "Mark as sRGB"
    bl_options = {"UNDO", "INTERNAL"}

    def act(self, context: Any) -> None:
        """The image in the editor."""
        images.set_space(shown_image(context), "sRGB")
        running.refuse(None)


def make_launch(device: str) -> Launch:
    """The engine that the preferences and the settings ask for.

    Raises:
        Failure: where there is none.
    """
    return Launch(chosen_python().path, locate.engine_root(), device.lower())


def begin_again(key: str) -> Decomposition:
    """Queue what made a set once more, into the same set.

    Raises:
        Failure: ``input_missing``, ``layers_missing`` for one of several photos or with a mask, and what makes it
            impossible to decompose the image.
    """
    layer = next(iter(sets.layers_of(key).values()))
    if sets.TOGETHER in layer:
        words = "This layer was made of several photos together."
        raise Failure("layers_missing", words, "Decompose them together again.")
    if sets.settings_of(layer).get("cleaned"):
        raise Failure("layers_missing", "This layer was made with a mask.", "Press Clean Up again.")
    if sets.settings_of(layer).get("pasted"):
        raise Failure("layers_missing", "Another material was pasted into this layer.", "Press Paste again.")
    image, source, options = as_made(layer)
    launch, scratch = make_launch("AUTO"), bpy.app.tempdir or None
    frame, face = layer.get("join_frame"), faces.request(image, source)
    job = Decomposition(source, options, launch, image.name, scratch, frame=frame, face=face)
    running.add(job, LayerSet(job, image.session_uid, key))
    return job


def as_made(layer: Any) -> tuple[Any, Source, Options]:
    """The image that a layer was made of, the pixels that were taken of it, and the settings.

    Raises:
        Failure: ``input_missing``, and what makes it impossible to read the image.
    """
    image = sets.input_of(layer)
    bank = str(layer.get("join_bank_path", "") or layer.get("join_bank", ""))
    preset, seed = str(layer.get("join_preset", "standard")), int(layer.get("join_seed", 0))
    return image, sets.read_input(image, layer), Options(bank_reference(bank), preset, seed)


def _shows_right_eye(context: Any) -> bool:
    """Whether the editor shows the right view of a stereo render."""
    space: Any = context.space_data
    return space is not None and space.type == "IMAGE_EDITOR" and space.image_user.multilayer_view == 1


def options_of(operator: Any) -> Options:
    """What an operator with these properties asks of the engine."""
    return Options(
        bank_reference(operator.bank),
        operator.preset.lower(),
        operator.seed,
        operator.steps or None,
        operator.device.lower(),
    )


def part_of(operator: Any, image: Any) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """The part of an image that an operator with a crop wants, as :func:`images.read_source` takes it, and the size
    that it shall have."""
    width, height = images.size_of(image)
    left, bottom, right, top = operator.crop
    wanted = round(width * (right - left) / operator.shrink), round(height * (top - bottom) / operator.shrink)
    return (left, 1.0 - top, right, 1.0 - bottom), wanted


def take_settings(operator: Any, context: Any, names: tuple[str, ...]) -> None:
    """What the caller did not say comes from the panel's settings."""
    settings = context.scene.join_intrinsics
    for name in names:
        if not operator.properties.is_property_set(name):
            setattr(operator, name, getattr(settings, name))


def bank_reference(text: str) -> str | None:
    """A name as it is, a path made absolute (Blender's ``//`` means beside the .blend), nothing as None."""
    text = text.strip()
    return (bpy.path.abspath(text) if text.startswith("//") else text) or None
