# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in and out: any file → scene-linear float32 Rec.709, and layers → EXR and PNG.

Everything that comes in passes :func:`validate_image`, so that the rest of the engine never meets a bad pixel.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..color import COMPONENT_TRANSFORMS, srgb_decode
from ..components import COMPONENTS
from ..errors import JoinError
from ..leftovers import sweep, temporary_name
from ..names import IMAGE_SUFFIXES, Listing, is_file, is_folder, list_folder
from .png16 import read_png16

SMALLEST_SIDE = 16
LARGEST_ASPECT = 8
_VISIBLE = 1 / 255  # of alpha
_READABLE = "Use a PNG, JPEG, TIFF or EXR image, or a float .npy array."


def read_image(path: str | Path) -> np.ndarray:
    """Read PNG, JPEG, TIFF, EXR or NPY → linear Rec.709 float32 [H, W, 3], or [H, W, 4] with straight alpha.

    PNG, JPEG and TIFF are taken as sRGB-encoded, 8 or 16 bits (16-bit colour TIFF and interlaced PNG at 8 bits; float
    TIFF as linear); EXIF orientation is applied. EXR (premultiplied alpha, as the format has it) and NPY (straight
    alpha) are linear.

    Raises:
        JoinError: ``image_missing``, ``image_empty``, ``image_unreadable``, and all that :func:`validate_image` raises.
    """
    path = Path(path)
    if is_folder(path):
        raise JoinError("image_unreadable", f"'{path}' is a folder, not an image.", "Name the images in it.")
    if not is_file(path):
        raise JoinError("image_missing", f"There is no image '{path}'.", "Check the path.")
    try:
        if path.stat().st_size == 0:
            raise JoinError("image_empty", f"The image '{path}' is empty (0 bytes).", "Save or download it again.")
        pixels = _READERS.get(path.suffix.lower(), _read_with_pillow)(path)
    except (JoinError, MemoryError):
        raise
    except Exception as error:  # every reader has its own ways to complain about a damaged file
        raise JoinError("image_unreadable", f"'{path}' cannot be read as an image ({error}).", _READABLE) from error
    return validate_image(pixels, str(path))


def images_in(folder: Path, but: Path | None = None) -> Listing:
    """The images in a folder (not below it), by name, and what else is there ``but`` one path.

    Raises:
        JoinError: ``image_missing`` when there is none, or the folder cannot be read.
    """
    try:
        found = list_folder(folder, but)
    except OSError as error:
        text = f"The folder '{folder}' cannot be read ({error.strerror or error})."
        raise JoinError("image_missing", text, "Choose another.") from error
    if not found.images:
        passed = f": passed over {found.passed_over}" if found.passed_over else ""
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        raise JoinError(
            "image_missing", f"There are no images in the folder '{folder}'{passed}.", f"Images are named .{kinds}."
        )
    return found


def validate_image(pixels: np.ndarray, name: str = "image") -> np.ndarray:
    """Check an image before it is decomposed: float [H, W], [H, W, 1…4] → float32 [H, W, 3] or [H, W, 4].

    Raises:
        JoinError: ``image_unreadable`` (not an image's shape or type), ``image_empty`` (no pixels), ``image_too_long``
            (aspect over 8:1), ``image_too_small`` (a side under 16 pixels), ``image_not_finite`` (NaN or infinity
            anywhere), ``image_transparent`` (nothing visible).
    """
    pixels = _as_rgb(np.asarray(pixels), name)
    height, width = pixels.shape[:2]
    if height == 0 or width == 0:
        raise JoinError("image_empty", f"'{name}' has no pixels ({width} × {height}).", "Choose another image.")
    if max(height, width) > LARGEST_ASPECT * min(height, width):
        raise JoinError(
            "image_too_long",
            f"'{name}' is {width} × {height}: more than {LARGEST_ASPECT} times as long as it is wide.",
            "Crop it to the part that matters.",
        )
    if min(height, width) < SMALLEST_SIDE:
        raise JoinError(
            "image_too_small",
            f"'{name}' is {width} × {height}: each side must have at least {SMALLEST_SIDE} pixels.",
            "Use a larger image.",
        )
    broken = np.count_nonzero(~np.isfinite(pixels).all(axis=-1))
    if broken:
        raise JoinError(
            "image_not_finite",
            f"'{name}' has {broken} pixels (of {height * width}) that are not a number or infinite.",
            "Replace them, for example with a clamp or an inpaint node, and try again.",
        )
    if pixels.shape[2] == 4 and pixels[..., 3].max() <= 0:
        raise JoinError("image_transparent", f"'{name}' is fully transparent.", "Choose an image with visible pixels.")
    return pixels


def opaque(pixels: np.ndarray) -> np.ndarray:
    """Linear [H, W, 3 or 4] → linear [H, W, 3] ≥ 0, with transparent pixels filled by the mean of the visible ones.

    The bank has never seen a transparent pixel: the mean colour disturbs the inversion least. Half-transparent ones
    keep their colour, which the layers are to make; below 1/255, where a colour is mostly rounding, none is left.
    """
    colour = pixels[..., :3].clip(0.0, None)
    if pixels.shape[2] == 3:
        return colour
    alpha = pixels[..., 3:].clip(0.0, 1.0)
    mean = (colour * alpha).sum(axis=(0, 1), dtype=np.float64) / alpha.sum(dtype=np.float64)
    return np.where(alpha < _VISIBLE, mean.astype(np.float32), colour)


def display_encode(component: str, linear: np.ndarray) -> np.ndarray:
    """Linear [H, W, 3] → [0, 1] for looking at: shading and specular through Reinhard, anything else through sRGB."""
    name = COMPONENTS[component].transform if component in COMPONENTS else "srgb"
    return np.asarray(COMPONENT_TRANSFORMS[name].encode(linear)).clip(0.0, 1.0)


def read_planes(path: Path) -> np.ndarray:
    """R, G, B (and A) of an EXR as they are, float32 [H, W, 3 or 4]: no check, no division by alpha."""
    import OpenEXR

    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        names = [name for name in "RGBA" if name in channels]
        return np.stack([np.asarray(channels[name].pixels, np.float32) for name in names], axis=2)


def write_exr(path: str | Path, linear: np.ndarray) -> None:
    """Write [H, W, 3] as float32 scanline EXR (ZIP, channels R, G, B, values as they are); atomic."""
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {"RGB": np.ascontiguousarray(linear, dtype=np.float32)}

    def save(temporary: Path) -> None:
        try:
            OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:  # what OpenEXR makes of a full disk or a folder without permission
            raise OSError(str(error)) from error

    write_atomically(path, save)


def write_png(path: str | Path, encoded: np.ndarray) -> None:
    """Write display-encoded [H, W, 3] in [0, 1] as 8-bit PNG; atomic."""
    from PIL import Image

    picture = Image.fromarray((encoded.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write an array as float32 .npy; atomic."""

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(array, dtype=np.float32))

    write_atomically(path, save)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file; atomic."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_atomically(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file under a temporary name beside ``path``, then rename it: never a half-written file.

    What killed processes have left of such files in the folder is removed, once.

    Raises:
        JoinError: ``output_unwritable`` when the folder or the disk refuses.
    """
    path = Path(path)
    temporary = path.with_name(temporary_name(".tmp"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        write(temporary)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> JoinError:
    """``output_unwritable``, with what helps against that error."""
    advice = {errno.ENOSPC: "Make room there.", errno.ENAMETOOLONG: "Choose a shorter name."}
    hint = advice.get(error.errno or 0, "Choose another folder.")
    return JoinError("output_unwritable", f"'{path}' cannot be written ({error.strerror or error}).", hint)


def _as_rgb(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype.kind != "f":
        raise JoinError("image_unreadable", f"'{name}' holds {pixels.dtype}, not floating-point pixels.", _READABLE)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 2, 3, 4):
        raise JoinError("image_unreadable", f"'{name}' has the shape {pixels.shape}, not that of an image.", _READABLE)
    if pixels.shape[2] < 3:  # grey, with or without alpha
        pixels = np.concatenate([pixels[..., :1]] * 3 + [pixels[..., 1:]], axis=2)
    return np.ascontiguousarray(pixels, dtype=np.float32)


def _read_npy(path: Path) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _read_exr(path: Path) -> np.ndarray:
    import OpenEXR

    with OpenEXR.File(str(path)) as file:
        channels = {name: np.asarray(channel.pixels, np.float32) for name, channel in file.channels().items()}
    name = _main_layer(channels)
    pixels = channels[name]
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        alpha = pixels[..., 3:]
        straight = np.where(alpha > 0, pixels[..., :3] / np.where(alpha > 0, alpha, 1), 0)
        pixels = np.concatenate([straight, alpha], axis=2)
    return pixels


def _main_layer(channels: dict[str, np.ndarray]) -> str:
    """The picture of an EXR: its plain RGB(A), else the layer that Blender calls Combined, else the first in colour."""
    for name in ("RGBA", "RGB", "Y"):
        if name in channels:
            return name
    colour = [name for name, pixels in channels.items() if pixels.ndim == 3 and pixels.shape[2] >= 3]
    if not colour:
        raise ValueError("it has no RGB channels")
    return next((name for name in colour if name.endswith("Combined")), colour[0])


def _read_png(path: Path) -> np.ndarray:
    samples = read_png16(path)
    return _read_with_pillow(path) if samples is None else _decode_colour(samples / np.float32(65535.0))


def _read_with_pillow(path: Path) -> np.ndarray:
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        file.load()
        picture = ImageOps.exif_transpose(file)
    if picture.mode == "F":
        return np.asarray(picture, np.float32)
    if picture.mode.startswith("I"):
        return _decode_colour(np.asarray(picture, np.float32)[..., None] / 65535.0)
    has_alpha = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return _decode_colour(np.asarray(picture.convert("RGBA" if has_alpha else "RGB"), np.float32) / 255.0)


def _decode_colour(encoded: np.ndarray) -> np.ndarray:
    """sRGB-encoded [H, W, 1…4] → linear; alpha stays as it is."""
    colour = encoded.shape[2] - (encoded.shape[2] % 2 == 0)
    return np.concatenate([srgb_decode(encoded[..., :colour]), encoded[..., colour:]], axis=2).astype(np.float32)


_READERS: dict[str, Callable[[Path], np.ndarray]] = {".npy": _read_npy, ".exr": _read_exr, ".png": _read_png}
