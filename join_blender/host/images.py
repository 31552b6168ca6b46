# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels out of Blender's images and layers into them.

Inside Blender the bottom row is first, float images hold scene-linear values, and byte images hold encoded ones:

- float images (EXR, 16-bit PNG, generated float, a render): taken as they are; Blender has made them linear;
- byte images in sRGB: decoded with the sRGB curve;
- byte images marked as data (Non-Color) or linear: taken as they are, which is what Blender's own nodes do;
- byte images in any other space (Display P3, ACES …): Blender's own colour management makes them linear.

Alpha, where an image has one that says something, comes along as the fourth channel, and the colour is straight
(not multiplied by it). Blender keeps float images premultiplied and byte images straight.
"""

from __future__ import annotations

import contextlib
import io
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import bpy
import numpy as np

from ..engine import filled
from ..engine.background import Future, make_folder
from ..engine.embedded import profile_in
from ..engine.exr import channel_names, encode_exr, read_layer, size_in
from ..engine.exr import layers as exr_layers
from ..engine.failure import Failure
from ..engine.pixels import Box, Source
from ..engine.vocabulary import components
from . import editors
from .versions import saving_linear_exr, working_space

LINEAR, DATA = "Linear Rec.709", "Non-Color"
_LONGEST_NAME = 59
"""Bytes: 63 is Blender 4's limit, less the ".001" that Blender adds to a name that is taken."""

_HEADER = 1 << 20
"""Bytes in which an EXR names its channels."""

_MOST_PROFILES = 1000
_profiles: dict[tuple[str, int], str] = {}
"""What files say of their colours, by name and time or size."""

_DEPTHS_WITHOUT_ALPHA = 8, 24
"""Bits of a pixel of byte images."""

_UNCOMPUTED = 256, 256
"""The size of the empty image that Blender hands out for a Viewer that nothing has computed."""
_COMPUTE_IT = "Link its node, turn on Backdrop in the Compositor (or render), and try again."

CONTENT = "join_content"
"""On what :func:`fill_layer` has filled: a mark that is new each time, but for copies of the same bytes."""
_SIZE = "join_size"
"""On the same: width, height, and bytes of the packed file that is so large."""
_MAGIC = b"\x76\x2f\x31\x01"

_LOOK, _LOOK_AWAY = 0.01, 0.5
"""Seconds between two looks whether editors have drawn what is new; those that are not on the screen, or whose window
seems not to be."""
_MOST_LOOKS = 300
_looks = 0
_to_show: set[int] = set()
"""Session's numbers of images that editors show and have not been told of, see :func:`_show_anew`."""
when_shown: list[Callable[[], None]] = []
"""Who wants to know that editors show what their images hold."""

Fractions = tuple[float, float, float, float]
"""Left, top, right, bottom of a part, each 0 to 1 from the top left corner."""


def image_named(name: str) -> bpy.types.Image | None:
    """The image datablock of that name, if there is one."""
    image: bpy.types.Image | None = bpy.data.images.get(name)
    return image


def private_names() -> list[str]:
    """What this file, its images and their files are called."""
    paths = [bpy.data.filepath, *(image.filepath for image in bpy.data.images)]
    return [*(image.name for image in bpy.data.images), *(Path(path.replace("\\", "/")).name for path in paths)]


def find_image(name: str) -> bpy.types.Image:
    """The image datablock of that name.

    Raises:
        Failure: ``image_missing``.
    """
    image = image_named(name)
    if image is None:
        raise Failure(
            "image_missing", f"There is no image '{name}' in this file.", "Open it in the Image Editor first."
        )
    return image


def read_source(
    image: bpy.types.Image,
    frame: int | None = None,
    crop: Fractions | None = None,
    shrink: int = 1,
    right_eye: bool = False,
    layer: str = "",
    into: np.ndarray | None = None,
) -> Source:
    """Take the image's pixels out of Blender; all that takes longer is left to the :class:`Source`.

    Args:
        image: of any kind that has pixels.
        frame: of an image sequence: the number in the file's name; None for the one in its path.
        crop: the part that is wanted.
        shrink: see :class:`Source`.
        right_eye: of a stereo render, take the right view instead of the left one.
        layer: of a multilayer file, by name; empty for the picture.
        into: of :func:`make_room`, which is used if it is as large as is needed.

    Raises:
        Failure: one sentence for each reason why there is nothing to decompose.
    """
    _check_kind(image)
    if image.type == "RENDER_RESULT":
        return _take_render(image, crop, shrink, right_eye)
    if is_multilayer(image):
        return _take_layer(image, frame, crop, shrink, layer)
    with _readable(image, frame) as given, _in_known_space(given) as readable:
        _check_channels(given)
        return _take(image, readable, crop, shrink, None, into)


def make_room(image: Any) -> Future[np.ndarray]:
    """Memory for :func:`read_source`, made in a thread: the system hands out new memory page by page, which for a 4K
    image takes many times as long as the pixels themselves."""
    width, height = image.size
    floats = width * height * image.channels
    return Future(lambda: np.ones(floats, np.float32))


def is_multilayer(image: Any) -> bool:
    """Whether an image is a multilayer EXR, of which Blender hands out no pixels."""
    if image is None or image.source not in ("FILE", "SEQUENCE"):
        return False
    _ = tuple(image.size)  # loads the file, if that has not happened yet: only then Blender knows
    return bool(image.type == "MULTILAYER")


def layer_names(image: Any) -> list[str]:
    """What the layers of a multilayer EXR are called; empty for other images, and where there is no file."""
    return [layer.title for layer in exr_layers(beginning(image))] if is_multilayer(image) else []


def set_space(image: Any, name: str) -> None:
    """Say in which colour space, by a name of Blender's, an image is."""
    image.colorspace_settings.name = name


def size_of(image: bpy.types.Image) -> tuple[int, int]:
    """Width and height, (0, 0) where there are no pixels; loads the file if that has not happened yet."""
    if image.type == "RENDER_RESULT":
        render = bpy.context.scene.render
        scale = render.resolution_percentage / 100
        return int(render.resolution_x * scale), int(render.resolution_y * scale)
    width, height = image.size
    return int(width), int(height)


def layer_size(image: Any) -> tuple[int, int]:
    """Width and height of a layer, which Blender itself only knows once it has decoded it."""
    packed = image.packed_file
    with contextlib.suppress(ValueError):  # there is none, or somebody else has changed it
        width, height, size = map(int, str(image.get(_SIZE, "")).split())
        if packed is not None and packed.size == size and not image.has_data:
            return width, height
    return size_of(image)


def packed_exr(image: Any) -> bytes | None:
    """What a layer was filled with; None where something was painted on it since, or it is no packed file. In no time
    if that :func:`is_at_hand`."""
    packed, mark = image.packed_file, str(image.get(CONTENT, ""))
    if packed is None or image.is_dirty:
        return None
    if (data := filled.recall(mark, packed.size)) is not None:
        return data
    data = bytes(packed.data)
    if data[:4] != _MAGIC:
        return None
    if mark:
        filled.keep(mark, data)
    return data


def is_at_hand(image: Any) -> bool:
    """Whether :func:`packed_exr` need not copy anything out of Blender."""
    packed = image.packed_file
    return packed is None or image.is_dirty or filled.recall(str(image.get(CONTENT, "")), packed.size) is not None


def new_layer(name: str, space: str = LINEAR) -> bpy.types.Image:
    """An image for :func:`fill_layer`, which is saved only while something uses it; never replaces one.

    Args:
        name: as :func:`layer_name` makes it; Blender adds .001 where it is taken.
        space: linear Rec.709, or :data:`DATA`.
    """
    image: Any = bpy.data.images.new(name, 1, 1, alpha=True, float_buffer=True)
    try:
        image.colorspace_settings.name = space
    except BaseException:
        bpy.data.images.remove(image)  # no half-made datablock stays
        raise
    return image


def fill_layer(
    image: bpy.types.Image,
    data: bytes,
    alpha: bool,
    properties: Mapping[str, Any] | None = None,
    content: str = "",
    is_read_again: bool = False,
) -> None:
    """Give an image its content: the bytes of an EXR, packed. Milliseconds; Blender decodes them when it draws.

    Args:
        image: of :func:`new_layer`, or one that was filled before; any size.
        data: see :func:`join_blender.engine.exr.encode_exr`.
        alpha: the data has one.
        properties: stored on the datablock as custom properties.
        content: the mark of another image with the same bytes; empty for a new one.
        is_read_again: :func:`packed_exr` will be asked for it: have it at hand.
    """
    target: Any = image
    mode = "CHANNEL_PACKED" if alpha else "NONE"
    if target.alpha_mode != mode:
        # The layers multiply back as they are; nothing may multiply alpha into them on the way.
        target.alpha_mode = mode
    target.pack(data=data, data_len=len(data))
    target.source = "FILE"
    target.filepath_raw = "//" + re.sub(r"[^\w .-]", "_", image.name) + ".exr"  # where Unpack would put it
    target.buffers_free()
    target.gl_free()
    set_properties(image, properties or {})
    target[CONTENT] = content or uuid.uuid4().hex
    target[_SIZE] = " ".join(map(str, (*size_in(data), len(data))))
    if is_read_again:
        filled.keep(target[CONTENT], data)
    target.update_tag()
    _show_anew(target)


def set_properties(image: bpy.types.Image, properties: Mapping[str, Any]) -> None:
    """Custom properties of an image."""
    target: Any = image
    for key, value in properties.items():
        if isinstance(value, bytes):
            target.pop(key, None)  # Blender cuts bytes that replace others at their first zero
        if value is not None:
            target[key] = value


def contents() -> dict[int, str]:
    """What each layer was filled with last, by the number that Blender keeps through undo."""
    found: dict[int, str] = {}
    for image in bpy.data.images:
        content = image.get(CONTENT)
        if content is not None:
            numbered: Any = image
            found[numbered.session_uid] = str(content)
    return found


def decode_again(before: Mapping[int, str]) -> None:
    """After undo or redo: layers that have another content than ``before``. Blender takes their packed files back, and
    keeps the pixels that it had decoded."""
    now = contents()
    for image in bpy.data.images:
        changed: Any = image
        if now.get(changed.session_uid) != before.get(changed.session_uid) and not changed.is_dirty:
            changed.buffers_free()
            changed.gl_free()
    for image in bpy.data.images:
        if image.get(CONTENT) is not None:
            _show_anew(image)


def _show_anew(image: Any) -> None:
    """An editor of Blender 4.3 goes on showing the pixels of before unless it is told that there are others, and to be
    told, it needs them decoded. So it is told once it has drawn, which it decodes them for anyway: in no tick of
    ours. During an undo it would forget it again."""
    if bpy.app.background or not any(space.image == image for _, space in editors.spaces()):
        return
    global _looks
    _looks = 0
    _to_show.add(image.session_uid)
    editors.redraw(image)
    if bpy.app.timers.is_registered(_tell):  # it may be dozing
        bpy.app.timers.unregister(_tell)
    bpy.app.timers.register(_tell, first_interval=0.0, persistent=True)


def _tell() -> float | None:
    """Editors that have decoded what they shall show are told so; when to look again."""
    global _looks
    _looks += 1
    shown = {space.image.session_uid for _, space in editors.spaces() if space.image is not None}
    _to_show.intersection_update(shown)
    for image in bpy.data.images:
        changed: Any = image
        if changed.session_uid in _to_show and changed.has_data:
            changed.update()
            _to_show.discard(changed.session_uid)
            editors.redraw(changed)
    if not is_behind():
        for tell in when_shown:
            tell()
    if not _to_show:
        return None
    return _LOOK if is_behind() and _looks < _MOST_LOOKS else _LOOK_AWAY


def is_behind() -> bool:
    """Whether an editor on the screen does not show yet what its image holds."""
    shown = (space.image for _, space in editors.on_screen() if space.image is not None)
    return any(image.session_uid in _to_show for image in shown)


def forget_all() -> None:
    """Another file is about to be loaded, or the add-on is going away: what is known of the images of this one."""
    _to_show.clear()
    filled.forget_all()
    if bpy.app.timers.is_registered(_tell):
        bpy.app.timers.unregister(_tell)


def fill_neutral(image: bpy.types.Image, component: str) -> None:
    """Let an image leave a picture alone wherever it is used as that component."""
    known = components.COMPONENTS.get(component)
    value = known.neutral if known is not None else 0.0
    width, height = size_of(image)
    picture = np.full((max(height, 1), max(width, 1), 3), value, np.float32)
    fill_layer(image, encode_exr(picture), False)


def fill_preview(preview: Any, square: np.ndarray) -> None:
    """Give a small picture of Blender's its pixels, see :func:`.pixels.square`."""
    preview.image_size = square.shape[:2]
    preview.image_pixels_float.foreach_set(square.ravel())


def layer_name(source: str, component: str) -> str:
    """``photo.png`` and ``albedo`` → ``photo albedo``, short enough that Blender never cuts the component off."""
    stem = stem_of(source)
    room = _LONGEST_NAME - len(component.encode()) - 1
    return f"{stem.encode()[:room].decode('utf-8', 'ignore').rstrip()} {component}"


def stem_of(source: str) -> str:
    """``photo.png`` → ``photo``; what is no ending stays."""
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{2,3}$", "", source) or source


def _check_kind(image: bpy.types.Image) -> None:
    if image.type == "COMPOSITING" and bpy.app.background:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image))
    if image.source == "TILED":
        raise Failure("image_tiled", f"'{image.name}' has UDIM tiles.", "Decompose the tiles' files one by one.")
    if image.source == "MOVIE":
        raise Failure("image_movie", f"'{image.name}' is a movie.", "Decompose all its frames.")
    if working_space() not in (LINEAR, "Rec.709"):
        raise Failure(
            "image_working_space",
            f"This file's working space is {working_space()}, and the layers need {LINEAR}.",
            "Change it in the scene's Color Management.",
        )


@contextmanager
def _readable(image: bpy.types.Image, frame: int | None) -> Iterator[bpy.types.Image]:
    """The image itself, or a copy for the moment where Blender has no pixels to hand out of it."""
    if image.source == "SEQUENCE" and image.packed_file is None:
        path = _frame_path(image, frame)
        with _loaded(path, image.colorspace_settings.name, image.alpha_mode) as loaded:
            yield loaded
    else:
        yield image


@contextmanager
def _in_known_space(image: Any) -> Iterator[bpy.types.Image]:
    """The image itself where its pixels can be read as they are; else a linear copy for the moment, which Blender makes
    when it saves an EXR."""
    width, _ = image.size  # loads the file, if that has not happened yet
    space = image.colorspace_settings
    if not width or not image.has_data or image.is_float or space.is_data or space.name in (LINEAR, "sRGB"):
        yield image
        return
    with make_folder(bpy.app.tempdir or None) as folder:
        path, scene = Path(folder) / "linear.exr", bpy.context.scene
        with contextlib.suppress(RuntimeError), saving_linear_exr(scene, "INDIVIDUAL"):
            image.save_render(str(path), scene=scene)
        if not path.is_file():
            yield image  # which is then refused
            return
        opaque = image.alpha_mode == "NONE" or image.depth in _DEPTHS_WITHOUT_ALPHA
        with _loaded(path, LINEAR, "NONE" if opaque else None) as loaded:
            yield loaded


def _check_channels(image: Any) -> None:
    """Blender shows an EXR with red and green alone, and leaves what it finds in memory in the blue."""
    if not image.is_float or image.source not in ("FILE", "SEQUENCE"):
        return
    data = beginning(image)
    names = {name.rpartition(".")[2].upper() for name in channel_names(data)}
    if names & {"R", "G", "B"} and not names >= {"R", "G", "B"}:
        found = ", ".join(channel_names(data))
        raise Failure(
            "image_channels",
            f"'{image.name}' has no colours, only the channels {found}.",
            "Open a file with R, G and B.",
        )


@contextmanager
def opened(image: Any) -> Iterator[BinaryIO]:
    """The bytes of an image's file, packed or not; none where there is no file."""
    path = file_of(image)
    if image.packed_file is not None:
        yield io.BytesIO(image.packed_file.data)
    elif path.is_file():  # a pipe would keep Blender waiting
        with path.open("rb") as file:
            yield file
    else:
        yield io.BytesIO()


def beginning(image: Any) -> bytes:
    """The first bytes of an image's file, where an EXR names its channels; none where it cannot be read."""
    with contextlib.suppress(OSError), opened(image) as file:
        return file.read(_HEADER)
    return b""


def file_of(image: Any) -> Path:
    """Where an image's file is or was; of a sequence the one in its path."""
    return Path(bpy.path.abspath(image.filepath, library=image.library))


def profile_of(image: Any) -> str:
    """The colours that an image's file speaks of, where Blender takes it for sRGB all the same; empty for none."""
    if image.source not in ("FILE", "SEQUENCE") or image.colorspace_settings.name != "sRGB":
        return ""
    packed = image.packed_file
    with contextlib.suppress(OSError):
        # A panel asks at every redraw.
        path = file_of(image)
        key = (image.name_full, packed.size) if packed is not None else (str(path), path.stat().st_mtime_ns)
        if key not in _profiles:
            if len(_profiles) >= _MOST_PROFILES:
                _profiles.clear()
            with opened(image) as file:
                _profiles[key] = profile_in(file) or ""
        return _profiles[key]
    return ""


def has_space(image: Any, name: str) -> bool:
    """Whether Blender has a colour space of that name."""
    return name in image.colorspace_settings.bl_rna.properties["name"].enum_items


def _take_render(image: Any, crop: Fractions | None, shrink: int, right_eye: bool) -> Source:
    """The pixels of a render by way of a file."""
    with make_folder(bpy.app.tempdir or None) as folder:
        path, pair = _save_render(image, Path(folder))
        with _loaded(path, LINEAR) as loaded:
            stored: Any = loaded.pixels
            if len(stored) > 0:
                return _take(image, loaded, crop, shrink, int(right_eye) if pair else None)
        # Of a single one of several views Blender before 5.0 writes a file that it does not read.
        return replace(_of_exr(image, path.read_bytes(), "", crop, shrink), layer="")


def _take_layer(image: Any, frame: int | None, crop: Fractions | None, shrink: int, wanted: str) -> Source:
    path = _frame_path(image, frame) if image.source == "SEQUENCE" and image.packed_file is None else file_of(image)
    try:
        data = bytes(image.packed_file.data) if image.packed_file is not None else path.read_bytes()
    except OSError as error:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image)) from error
    return _of_exr(image, data, wanted, crop, shrink)


def _of_exr(image: Any, data: bytes, wanted: str, crop: Fractions | None, shrink: int) -> Source:
    layer, pixels = read_layer(data, wanted, image.name)
    height, width, channels = pixels.shape
    box, flat = _box(crop, width, height), pixels[::-1].ravel()
    source = Source(image.name, flat, width, height, channels, False, True, True, box, shrink, layer.title)
    return _checked(source)


def _checked(source: Source) -> Source:
    if min(source.size) < 1:
        raise Failure("image_empty", f"Nothing is left of '{source.name}'.", "Crop or reduce it less.")
    return source


def _notes_on(image: Any) -> tuple[str, ...]:
    """What the file says of its colours, where Blender takes it for sRGB all the same."""
    said = profile_of(image)
    if not said:
        return ()
    known = f"Set its Color Space to {said}, and decompose it again"
    advice = known if has_space(image, said) else "Press Convert in the JoIN tab first"
    return (f"'{image.name}' says that its colours are {said}, and Blender takes them for sRGB. {advice}.",)


@contextmanager
def _loaded(path: Path, space: str, alpha_mode: str | None = None) -> Iterator[bpy.types.Image]:
    loaded: Any = bpy.data.images.load(str(path), check_existing=False)
    try:
        loaded.colorspace_settings.name = space
        if alpha_mode is not None:
            loaded.alpha_mode = alpha_mode
        yield loaded
    finally:
        bpy.data.images.remove(loaded)


def _save_render(image: bpy.types.Image, folder: Path) -> tuple[Path, bool]:
    """The file of a render, and whether the left and the right view are side by side in it."""
    scene = bpy.context.scene
    # Before it has been saved once, Blender does not know a render of two views for one.
    for turn, views in enumerate(("STEREO_3D", "STEREO_3D", "INDIVIDUAL")):
        path = folder / f"{turn}.exr"
        with contextlib.suppress(RuntimeError), saving_linear_exr(scene, views):
            image.save_render(str(path), scene=scene)
        if path.is_file():
            return path, views == "STEREO_3D" and bool(image.is_stereo_3d)
    found = sorted(path for path in folder.iterdir() if path.stat().st_size)  # it leaves empty ones where it gave up
    if not found:
        raise Failure("image_empty", "There is no render yet.", "Render an image first.")
    return found[-1], False


def shown_frame(image: bpy.types.Image, image_user: bpy.types.ImageUser) -> int | None:
    """The number in the name of the file that an editor shows of a sequence."""
    path = Path(image.filepath_from_user(image_user=image_user))
    digits = "".join(character if character.isdigit() else " " for character in path.stem).split()
    return int(digits[-1]) if digits else None


def frames_of(image: Any) -> list[Path]:
    """The files of an image sequence in the order of their numbers: those of the folder that are called as the image's
    own is, with another number at the end.

    Raises:
        Failure: ``image_empty``, and ``sequence_missing`` for what is no sequence of files.
    """
    if image.source != "SEQUENCE" or image.packed_file is not None:
        hint = "Open its frames as an image sequence: select them all in the file browser."
        raise Failure("sequence_missing", f"'{image.name}' is no image sequence.", hint)
    path = file_of(image)
    number = re.search(r"\d+(?=\D*$)", path.stem)
    before, after = (path.stem[: number.start()], path.stem[number.end() :]) if number else (path.stem, "")
    alike = re.compile(re.escape(before) + r"(\d+)" + re.escape(after + path.suffix))
    try:
        found = {int(match[1]): other for other in path.parent.iterdir() if (match := alike.fullmatch(other.name))}
    except OSError as error:
        words = f"The folder '{path.parent}' cannot be read ({error.strerror or error})."
        raise Failure("image_empty", words, "Open the sequence again.") from error
    if not found:
        raise Failure("image_empty", f"There are no files like '{path.name}' any more.", "Open the sequence again.")
    return [found[number] for number in sorted(found)]


def open_sequences(name: str, folder: Path, components: list[str], frames: list[Path]) -> dict[str, Any]:
    """Image sequences, linear Rec.709, of layers that were written as ``component/frame.exr``, by component. One that
    the file has of the same files is loaded again."""
    layers: dict[str, Any] = {}
    for component in components:
        path = folder / component / f"{frames[0].stem}.exr"
        known = [other for other in bpy.data.images if other.source == "SEQUENCE" and file_of(other) == path]
        image: Any = known[0] if known else bpy.data.images.load(str(path))
        if known:
            image.reload()
        else:
            image.name, image.source, image.alpha_mode = f"{name} {component} sequence", "SEQUENCE", "NONE"
            image.colorspace_settings.name = LINEAR
        layers[component] = image
    return layers


def play_sequence(user: Any, frames: list[Path]) -> None:
    """Let an editor's use of an image go through those frames with the scene's, the first one at frame 1."""
    number = re.search(r"\d+(?=\D*$)", frames[0].stem)
    user.frame_start, user.frame_duration = 1, len(frames)
    user.frame_offset = int(number[0]) - 1 if number else 0
    user.use_auto_refresh = True


def _frame_path(image: bpy.types.Image, frame: int | None) -> Path:
    """The file of one frame: the last number in the name, with as many digits as it has."""
    path = file_of(image)
    match = re.search(r"(\d+)(?=\D*$)", path.stem)
    if frame is not None and match is not None:
        number = str(frame).zfill(len(match.group(1)))
        path = path.with_name(path.stem[: match.start()] + number + path.stem[match.end() :] + path.suffix)
    if not path.is_file():
        raise Failure(
            "image_empty", f"The sequence '{image.name}' has no file {path.name}.", "Go to a frame that it has."
        )
    return path


def _take(
    image: bpy.types.Image,
    readable: Any,
    crop: Fractions | None,
    shrink: int,
    eye: int | None,
    into: np.ndarray | None = None,
) -> Source:
    """``eye``: of two views side by side, the left (0) or the right (1) one; None for a picture of one view."""
    width, height = readable.size  # loads the file, if that has not happened yet
    channels = readable.channels
    stored: Any = readable.pixels if width and height and readable.has_data else ()
    if len(stored) == 0 or len(stored) != width * height * channels:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image))
    encoded = _is_encoded(image, readable)
    floats = width * height * channels
    flat = into if into is not None and into.size == floats else np.empty(floats, dtype=np.float32)
    stored.foreach_get(flat)
    if eye is not None:
        width //= 2
        flat = np.ascontiguousarray(flat.reshape(height, 2, width * channels)[:, eye]).ravel()
    box = _box(crop, width, height)
    if image.type == "COMPOSITING" and (width, height) == _UNCOMPUTED and not flat.any():
        raise Failure("image_empty", "The compositor has not computed the Viewer yet.", _COMPUTE_IT)
    premultiplied = readable.is_float and readable.alpha_mode != "CHANNEL_PACKED"
    has_alpha = readable.alpha_mode != "NONE"
    source = Source(image.name, flat, width, height, channels, encoded, premultiplied, has_alpha, box, shrink)
    return _checked(replace(source, notes=_notes_on(image)))


def _box(crop: Fractions | None, width: int, height: int) -> Box | None:
    if crop is None:
        return None
    left, top, right, bottom = crop
    box = round(left * width), round(top * height), round(right * width), round(bottom * height)
    if box == (0, 0, width, height):
        return None
    if box[2] <= box[0] or box[3] <= box[1]:
        raise Failure("image_empty", "The crop leaves nothing of the image.", "Move its edges apart.")
    return box


def _why_empty(image: bpy.types.Image) -> str:
    if image.type == "COMPOSITING":
        return (
            "In background mode no Viewer is computed: render and decompose 'Render Result', or a file."
            if bpy.app.background
            else "Add a Viewer node to the compositor first."
        )
    if image.packed_file is None and image.source in ("FILE", "SEQUENCE"):
        path = file_of(image)
        return f"Its file is missing or is no image: {path}."
    return "Paint on it or open a file first."


def _is_encoded(image: bpy.types.Image, readable: Any) -> bool:
    """Whether the pixels are sRGB-encoded bytes."""
    space: Any = readable.colorspace_settings
    if readable.is_float or space.is_data or space.name == LINEAR:
        return False
    if space.name != "sRGB":
        raise Failure(
            "image_colorspace",
            f"The image '{image.name}' is in the colour space '{space.name}', which cannot be decoded.",
            "Set it to sRGB, Linear Rec.709 or Non-Color.",
        )
    return True
