# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels out of Blender's images and layers into them.

Inside Blender the bottom row is first, float images hold scene-linear values, and byte images hold encoded ones:

- float images (EXR, 16-bit PNG, generated float, a render): taken as they are; Blender has made them linear;
- byte images in sRGB: decoded with the sRGB curve;
- byte images marked as data (Non-Color) or linear: taken as they are, which is what Blender's own nodes do;
- byte images in any other space: refused, as a guess would be a wrong colour that nobody sees.

Alpha, where an image has one that says something, comes along as the fourth channel, and the colour is straight
(not multiplied by it). Blender keeps float images premultiplied and byte images straight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.background import make_folder
from ..engine.failure import Failure
from ..engine.pixels import Box, Source
from .versions import saving_linear_exr, working_space

LINEAR = "Linear Rec.709"
_LONGEST_NAME = 59
"""Bytes: 63 is Blender 4's limit, less the ".001" that Blender adds to a name that is taken."""

_UNCOMPUTED = 256, 256
"""The size of the empty image that Blender hands out for a Viewer that nothing has computed."""
_COMPUTE_IT = "Link its node, turn on Backdrop in the Compositor (or render), and try again."

Fractions = tuple[float, float, float, float]
"""Left, top, right, bottom of a part, each 0 to 1 from the top left corner."""


def image_named(name: str) -> bpy.types.Image | None:
    """The image datablock of that name, if there is one."""
    image: bpy.types.Image | None = bpy.data.images.get(name)
    return image


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
    image: bpy.types.Image, frame: int | None = None, crop: Fractions | None = None, shrink: int = 1
) -> Source:
    """Take the image's pixels out of Blender; all that takes longer is left to the :class:`Source`.

    Args:
        image: of any kind that has pixels.
        frame: of an image sequence: the number in the file's name; None for the one in its path.
        crop: the part that is wanted.
        shrink: see :class:`Source`.

    Raises:
        Failure: one sentence for each reason why there is nothing to decompose.
    """
    _check_kind(image)
    with _readable(image, frame) as readable:
        return _take(image, readable, crop, shrink)


def mark_as_srgb(image: bpy.types.Image) -> None:
    """Say that the bytes are sRGB-encoded."""
    space: Any = image.colorspace_settings
    space.name = "sRGB"


def size_of(image: bpy.types.Image) -> tuple[int, int]:
    """Width and height, (0, 0) where there are no pixels; loads the file if that has not happened yet."""
    if image.type == "RENDER_RESULT":
        render = bpy.context.scene.render
        scale = render.resolution_percentage / 100
        return int(render.resolution_x * scale), int(render.resolution_y * scale)
    width, height = image.size
    return int(width), int(height)


def new_layer(name: str) -> bpy.types.Image:
    """An image for :func:`fill_layer`, linear Rec.709, kept on saving; never replaces one.

    Args:
        name: as :func:`layer_name` makes it; Blender adds .001 where it is taken.
    """
    image: Any = bpy.data.images.new(name, 1, 1, alpha=True, float_buffer=True)
    try:
        image.colorspace_settings.name = LINEAR
        image.use_fake_user = True
    except BaseException:
        bpy.data.images.remove(image)  # no half-made datablock stays
        raise
    return image


def fill_layer(image: bpy.types.Image, data: bytes, alpha: bool, properties: Mapping[str, Any] | None = None) -> None:
    """Give an image its content: the bytes of an EXR, packed. Milliseconds; Blender decodes them when it draws.

    Args:
        image: of :func:`new_layer`, or one that was filled before; any size.
        data: see :func:`join_blender.engine.exr.encode_exr`.
        alpha: the data has one.
        properties: stored on the datablock as custom properties.
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
    for key, value in (properties or {}).items():
        if isinstance(value, bytes):
            target.pop(key, None)  # Blender cuts bytes that replace others at their first zero
        target[key] = value
    target.update_tag()


def layer_name(source: str, component: str) -> str:
    """``photo.png`` and ``albedo`` → ``photo albedo``, short enough that Blender never cuts the component off."""
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]{2,3}$", "", source) or source
    room = _LONGEST_NAME - len(component.encode()) - 1
    return f"{stem.encode()[:room].decode('utf-8', 'ignore').rstrip()} {component}"


def _check_kind(image: bpy.types.Image) -> None:
    if image.type == "COMPOSITING" and bpy.app.background:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image))
    if image.source == "TILED":
        raise Failure("image_tiled", f"'{image.name}' has UDIM tiles.", "Decompose the tiles' files one by one.")
    if image.source == "MOVIE":
        raise Failure("image_movie", f"'{image.name}' is a movie.", "Save the frame as an image first.")
    if working_space() not in (LINEAR, "Rec.709"):
        raise Failure(
            "image_working_space",
            f"This file's working space is {working_space()}, and the layers need {LINEAR}.",
            "Change it in the scene's Color Management.",
        )


@contextmanager
def _readable(image: bpy.types.Image, frame: int | None) -> Iterator[bpy.types.Image]:
    """The image itself, or a copy for the moment where Blender has no pixels to hand out of it."""
    if image.type == "RENDER_RESULT":
        with make_folder(bpy.app.tempdir or None) as folder:
            path = Path(folder) / "render.exr"
            _save_render(image, path)
            with _loaded(path, LINEAR) as loaded:
                yield loaded
    elif image.source == "SEQUENCE" and image.packed_file is None:
        path = _frame_path(image, frame)
        with _loaded(path, image.colorspace_settings.name, image.alpha_mode) as loaded:
            yield loaded
    else:
        yield image


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


def _save_render(image: bpy.types.Image, path: Path) -> None:
    scene = bpy.context.scene
    try:
        with saving_linear_exr(scene):
            image.save_render(str(path), scene=scene)
    except RuntimeError as error:
        raise Failure("image_empty", "There is no render yet.", "Render an image first.") from error
    if not path.is_file():
        raise Failure("image_empty", "There is no render yet.", "Render an image first.")


def shown_frame(image: bpy.types.Image, image_user: bpy.types.ImageUser) -> int | None:
    """The number in the name of the file that an editor shows of a sequence."""
    path = Path(image.filepath_from_user(image_user=image_user))
    digits = "".join(character if character.isdigit() else " " for character in path.stem).split()
    return int(digits[-1]) if digits else None


def _frame_path(image: bpy.types.Image, frame: int | None) -> Path:
    """The file of one frame: the last number in the name, with as many digits as it has."""
    path = Path(bpy.path.abspath(image.filepath, library=image.library))
    match = re.search(r"(\d+)(?=\D*$)", path.stem)
    if frame is not None and match is not None:
        number = str(frame).zfill(len(match.group(1)))
        path = path.with_name(path.stem[: match.start()] + number + path.stem[match.end() :] + path.suffix)
    if not path.is_file():
        raise Failure(
            "image_empty", f"The sequence '{image.name}' has no file {path.name}.", "Go to a frame that it has."
        )
    return path


def _take(image: bpy.types.Image, readable: Any, crop: Fractions | None, shrink: int) -> Source:
    width, height = readable.size  # loads the file, if that has not happened yet
    channels = readable.channels
    stored: Any = readable.pixels if width and height and readable.has_data else ()
    if len(stored) == 0 or len(stored) != width * height * channels:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image))
    encoded = _is_encoded(image, readable)
    box = _box(crop, width, height)
    flat = np.empty(width * height * channels, dtype=np.float32)
    stored.foreach_get(flat)
    if image.type == "COMPOSITING" and (width, height) == _UNCOMPUTED and not flat.any():
        raise Failure("image_empty", "The compositor has not computed the Viewer yet.", _COMPUTE_IT)
    premultiplied = readable.is_float and readable.alpha_mode != "CHANNEL_PACKED"
    has_alpha = readable.alpha_mode != "NONE"
    source = Source(image.name, flat, width, height, channels, encoded, premultiplied, has_alpha, box, shrink)
    if min(source.size) < 1:
        raise Failure("image_empty", f"Nothing is left of '{image.name}'.", "Crop or reduce it less.")
    return source


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
    if image.type == "MULTILAYER":
        return "A multilayer file has no pixels of its own: save one of its passes as an image."
    if image.packed_file is None and image.source in ("FILE", "SEQUENCE"):
        path = bpy.path.abspath(image.filepath, library=image.library)
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
