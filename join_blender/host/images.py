# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels out of Blender's images and layers into them.

Outside of this file pixels are float32 ``[H, W, C]``, linear Rec.709, top row first. Inside Blender the bottom row is
first, float images hold scene-linear values, and byte images hold encoded ones:

- float images (EXR, 16-bit PNG, generated float): taken as they are; Blender has made them linear;
- byte images in sRGB: decoded with the sRGB curve;
- byte images marked as data (Non-Color) or linear: taken as they are, which is what Blender's own nodes do;
- byte images in any other space: refused, as a guess would be a wrong colour that nobody sees.

Alpha, where an image has one that says something, comes along as the fourth channel, and the colour is straight
(not multiplied by it). Blender keeps float images premultiplied and byte images straight.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from ..core.failure import Failure
from .versions import working_space

LINEAR = "Linear Rec.709"
_LONGEST_NAME = 59
"""Bytes: 63 is Blender 4's limit, less the ".001" that Blender adds to a name that is taken."""


def find_image(name: str) -> bpy.types.Image:
    """The image datablock of that name.

    Raises:
        Failure: ``image_missing``.
    """
    image: bpy.types.Image | None = bpy.data.images.get(name)
    if image is None:
        raise Failure(
            "image_missing", f"There is no image '{name}' in this file.", "Open it in the Image Editor first."
        )
    return image


def read_pixels(image: bpy.types.Image) -> np.ndarray:
    """The image's pixels for the engine: ``[H, W, 3]``, or ``[H, W, 4]`` where alpha is not 1 everywhere.

    Raises:
        Failure: one sentence for each reason why there is nothing to decompose.
    """
    _check_kind(image)
    width, height = image.size  # loads the file, if that has not happened yet
    if width == 0 or height == 0 or not image.has_data:
        raise Failure("image_empty", f"The image '{image.name}' has no pixels.", _why_empty(image))
    channels = image.channels
    flat = np.empty(width * height * channels, dtype=np.float32)
    stored: Any = image.pixels
    if len(stored) != flat.size:
        raise Failure("image_empty", f"The pixels of the image '{image.name}' cannot be read.", _why_empty(image))
    stored.foreach_get(flat)
    if not np.isfinite(flat).all():
        raise Failure(
            "image_not_finite",
            f"The image '{image.name}' holds pixels that are no numbers (NaN or infinity).",
            "Render or export it again without them.",
        )
    pixels = flat.reshape(height, width, channels)[::-1]
    rgb, alpha = _split(pixels)
    if alpha is not None and image.alpha_mode != "NONE" and not alpha.any():
        raise Failure(
            "image_transparent", f"The image '{image.name}' is transparent everywhere.", "Nothing to decompose."
        )
    rgb = _to_linear(image, rgb)
    if alpha is None or image.alpha_mode == "NONE" or (alpha == 1.0).all():
        return np.ascontiguousarray(rgb)
    if image.is_float and image.alpha_mode != "CHANNEL_PACKED":
        rgb = rgb / np.where(alpha > 0.0, alpha, 1.0)[..., None]
    return np.concatenate([rgb, alpha[..., None]], axis=2)


def write_layer(
    name: str, rgb: np.ndarray, alpha: np.ndarray | None = None, properties: Mapping[str, Any] | None = None
) -> bpy.types.Image:
    """A new packed float image, linear Rec.709, that survives saving; never replaces an image.

    Args:
        name: as :func:`layer_name` makes it; Blender adds .001 where it is taken.
        rgb: ``[H, W, 3]``, top row first.
        alpha: ``[H, W]``; None for opaque.
        properties: stored on the datablock as custom properties.
    """
    height, width = rgb.shape[:2]
    pixels = np.ones((height, width, 4), dtype=np.float32)
    pixels[..., :3] = rgb[::-1]
    if alpha is not None:
        pixels[..., 3] = alpha[::-1]
    image: Any = bpy.data.images.new(name, width, height, alpha=alpha is not None, float_buffer=True)
    try:
        # In this order: setting the colour space later would zero the pixels.
        image.colorspace_settings.name = LINEAR
        # The layers multiply back as they are; nothing may multiply alpha into them on the way.
        image.alpha_mode = "CHANNEL_PACKED" if alpha is not None else "NONE"
        image.pixels.foreach_set(pixels.ravel())
        image.update()
        image.pack()
        image.use_fake_user = True
        for key, value in (properties or {}).items():
            image[key] = value
    except BaseException:
        bpy.data.images.remove(image)  # no half-made datablock stays
        raise
    return image


def layer_name(source: str, component: str) -> str:
    """``photo.png`` and ``albedo`` → ``photo albedo``, short enough that Blender never cuts the component off."""
    stem = re.sub(r"\.[A-Za-z][A-Za-z0-9]{2,3}$", "", source) or source
    room = _LONGEST_NAME - len(component.encode()) - 1
    return f"{stem.encode()[:room].decode('utf-8', 'ignore').rstrip()} {component}"


def _check_kind(image: bpy.types.Image) -> None:
    if image.type in ("RENDER_RESULT", "COMPOSITING"):
        raise Failure(
            "image_render_result",
            f"'{image.name}' is no image that add-ons can read.",
            "Save it with Image > Save As and open that file.",
        )
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


def _why_empty(image: bpy.types.Image) -> str:
    if image.type == "MULTILAYER":
        return "A multilayer file has no pixels of its own: save one of its passes as an image."
    if image.packed_file is None and image.source in ("FILE", "SEQUENCE"):
        path = bpy.path.abspath(image.filepath)
        return f"Its file is missing or is no image: {path}."
    return "Paint on it or open a file first."


def _split(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB and alpha of 1 to 4 channels."""
    channels = pixels.shape[2]
    rgb = pixels[..., :3] if channels >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    alpha = pixels[..., channels - 1] if channels in (2, 4) else None
    return rgb, alpha


def _to_linear(image: bpy.types.Image, rgb: np.ndarray) -> np.ndarray:
    space: Any = image.colorspace_settings
    if image.is_float or space.is_data or space.name == LINEAR:
        return rgb
    if space.name != "sRGB":
        raise Failure(
            "image_colorspace",
            f"The image '{image.name}' is in the colour space '{space.name}', which cannot be decoded.",
            "Set it to sRGB, Linear Rec.709 or Non-Color.",
        )
    # A byte has 256 values: look them up, which is many times faster than raising each pixel to a power.
    return _SRGB_DECODED[np.rint(rgb * 255.0).astype(np.uint8)]


def _decode_srgb(encoded: np.ndarray) -> np.ndarray:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


_SRGB_DECODED = _decode_srgb(np.arange(256) / 255.0).astype(np.float32)
