# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in and out: any file → scene-linear float32 Rec.709, and layers → EXR and PNG.

Everything that comes in passes :func:`validate_image`, so that the rest of the engine never meets a bad pixel.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..color import COMPONENT_TRANSFORMS
from ..components import COMPONENTS
from ..errors import JoinError
from ..leftovers import InUse, alone_in, sweep, temporary_name
from ..names import IMAGE_SUFFIXES, Listing, encoded, is_file, is_folder, list_folder, refuse_no_file, same_name
from .announced import EXR, PNG, check_exr, check_png, load_npy
from .exr import read_exr
from .raster import RADIANCE, TIFF, read_with_oiio, read_with_pillow

SMALLEST_SIDE = 16
LARGEST_ASPECT = 8
# Beyond it the arithmetic of float32 has no room for squares. The sun of a sky is a millionth of it.
GREATEST = 1e12
# Broken pixels, as a share of all, that are filled from around them: renders have fireflies, and a picture with more
# is broken itself.
FILLED_AT_MOST = 0.01
_VISIBLE = 1 / 255  # of alpha
_STRIP = 1 << 18  # pixels. Arrays of more would be fetched from the system each time anew
_LITTLE_ROOM = 4 << 20  # bytes: what a writer takes at a time may be more than is left
_LARGEST_HALF = 65504.0
_PNG_FILTER_SUB = 16
_READABLE = "Use a PNG, JPEG, TIFF, EXR or Radiance image, or a float .npy array."


@dataclass(frozen=True)
class Picture:
    """What came out of a file.

    Attributes:
        pixels: scene-linear Rec.709 float32 [H, W, 3], or [H, W, 4] with straight alpha.
        notes: sentences about what a person would want to know: an animation of which this is the first frame, the
            layer of an EXR that was taken, pixels that were filled.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()


def read_image(path: str | Path) -> np.ndarray:
    """The pixels of :func:`read_picture`, upright, without its notes."""
    return read_picture(path).pixels


def read_picture(path: str | Path, layer: str | None = None, upright: bool = True) -> Picture:
    """Read an image file of any kind → linear Rec.709.

    What kind it is its first bytes say. PNG, TIFF and Radiance files come at their full depth, anything else that is no
    EXR or NPY at 8 bits. Integers are taken as display-encoded, floats as linear; ICC profiles, cICP, gAMA and cHRM of
    PNG and the chromaticities of EXR are honoured, and without them the colours are sRGB's. EXR (premultiplied alpha,
    as the format has it; see :func:`join_engine.images.exr.read_exr` for which of its layers) and NPY (straight alpha)
    are linear. Raises JoinError ``image_missing``, ``image_empty``, ``image_unreadable``, ``image_colours``,
    ``layer_missing``, and all that :func:`validate_image` raises.

    Args:
        layer: part or layer of an EXR; None for the picture.
        upright: turn it as its EXIF data say; Blender shows pictures as they are stored.
    """
    path = Path(path)
    if is_folder(path):
        raise JoinError("image_unreadable", f"'{path}' is a folder, not an image.", "Name the images in it.")
    if not is_file(path):
        raise JoinError("image_missing", f"There is no image '{path}'.", "Check the path.")
    notes: list[str] = []
    try:
        if path.stat().st_size == 0:
            raise JoinError("image_empty", f"The image '{path}' is empty (0 bytes).", "Save or download it again.")
        pixels = _read(path, layer, upright, notes)
    except JoinError:
        raise
    except MemoryError as error:
        text = f"There is not enough memory to read '{path}'."
        raise JoinError("out_of_memory", text, "Make it smaller, or close other programs.") from error
    except Exception as error:  # every reader has its own ways to complain about a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise JoinError("image_unreadable", f"'{path}' cannot be read as an image ({reason}).", _READABLE) from error
    return Picture(validate_image(pixels, str(path), notes), tuple(notes))


def _read(path: Path, layer: str | None, upright: bool, notes: list[str]) -> np.ndarray:
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(EXR) or path.suffix.lower() == ".exr":
        check_exr(path)
        return read_exr(path, layer, notes)
    if layer is not None:
        raise JoinError("layer_missing", f"'{path}' is no EXR and has no layers.", "Name no layer.")
    if start.startswith(b"\x93NUMPY") or path.suffix.lower() == ".npy":
        return load_npy(path)
    check_png(start, path.stat().st_size)
    if start.startswith((PNG, *TIFF, *RADIANCE)):
        return read_with_oiio(path, upright, notes)
    return read_with_pillow(path, upright, notes)


def images_in(folder: Path, but: Path | None = None) -> Listing:
    """The images in a folder (not below it), by name, and what else is there ``but`` one path. Raises JoinError
    ``image_missing`` when there is none, or the folder cannot be read."""
    try:
        found = list_folder(folder, but)
    except OSError as error:
        text = f"The folder '{folder}' cannot be read ({error.strerror or error})."
        raise JoinError("image_missing", text, "Choose another.") from error
    if not found.images:
        passed = f": passed over {found.passed_over}" if found.passed_over else ""
        kinds = ", ".join(suffix[1:] for suffix in IMAGE_SUFFIXES)
        message = f"There are no images in the folder '{folder}'{passed}."
        raise JoinError("image_missing", message, f"Images are named .{kinds}.")
    return found


def validate_image(pixels: np.ndarray, name: str = "image", notes: list[str] | None = None) -> np.ndarray:
    """Check an image before it is decomposed: float [H, W], [H, W, 1…4] → float32 [H, W, 3] or [H, W, 4].

    Pixels that are not a number, infinite or beyond :data:`GREATEST` are filled from around them where they are few.
    Raises JoinError ``image_unreadable`` (not an image's shape or type), ``image_empty`` (no pixels),
    ``image_too_long`` (aspect over 8:1), ``image_too_small`` (a side under 16 pixels), ``image_not_finite`` (more than
    :data:`FILLED_AT_MOST` of the pixels broken), ``image_transparent`` (nothing visible).

    Args:
        pixels: linear.
        name: what a person calls it.
        notes: gets a sentence where pixels were filled.
    """
    pixels = _as_rgb(np.asarray(pixels), name)
    height, width = pixels.shape[:2]
    if height == 0 or width == 0:
        raise JoinError("image_empty", f"'{name}' has no pixels ({width} × {height}).", "Choose another image.")
    if max(height, width) > LARGEST_ASPECT * min(height, width):
        message = f"'{name}' is {width} × {height}: more than {LARGEST_ASPECT} times as long as it is wide."
        raise JoinError("image_too_long", message, "Crop it to the part that matters.")
    if min(height, width) < SMALLEST_SIDE:
        message = f"'{name}' is {width} × {height}: each side must have at least {SMALLEST_SIDE} pixels."
        raise JoinError("image_too_small", message, "Use a larger image.")
    broken = _broken(pixels)
    count = len(broken[0])
    if count > FILLED_AT_MOST * height * width:
        raise JoinError(
            "image_not_finite",
            f"'{name}' has {count} pixels (of {height * width}) that are no number, infinite or beyond {GREATEST:g}.",
            "Replace them, for example with a clamp or an inpaint node, and try again.",
        )
    if count:
        pixels = _filled(pixels, broken)
        if notes is not None:
            words = "1 pixel was" if count == 1 else f"{count} pixels were"
            notes.append(f"{words} not a number or too bright to compute with: filled from around.")
    if pixels.shape[2] == 4 and pixels[..., 3].max() <= 0:
        raise JoinError("image_transparent", f"'{name}' is fully transparent.", "Choose an image with visible pixels.")
    return pixels


def _broken(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels that no one can compute with."""
    found = []
    for strip in strips(*pixels.shape[:2]):
        # Comparisons with NaN are false.
        rows, columns = np.nonzero(~(np.abs(pixels[strip]) <= GREATEST).all(axis=-1))
        found.append((rows + strip.start, columns))
    return np.concatenate([rows for rows, _ in found]), np.concatenate([columns for _, columns in found])


def _filled(pixels: np.ndarray, broken: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """A copy with broken pixels taken from the mean of their sound neighbours, from the edge of a hole inwards."""
    pixels = pixels.copy()
    height, width = pixels.shape[:2]
    sound = np.ones((height, width), bool)
    sound[broken] = False
    rows, columns = broken
    around = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    while len(rows):
        total, count = np.zeros((len(rows), pixels.shape[2])), np.zeros(len(rows))
        for dy, dx in around:
            y, x = (rows + dy).clip(0, height - 1), (columns + dx).clip(0, width - 1)
            known = sound[y, x]
            total[known] += pixels[y[known], x[known]]
            count += known
        reached = count > 0
        pixels[rows[reached], columns[reached]] = total[reached] / count[reached, None]
        sound[rows[reached], columns[reached]] = True
        rows, columns = rows[~reached], columns[~reached]
    return pixels


def opaque(pixels: np.ndarray) -> np.ndarray:
    """Linear [H, W, 3 or 4] → linear [H, W, 3] ≥ 0, with transparent pixels filled by the mean of the visible ones.

    The bank has never seen a transparent pixel: the mean colour disturbs the inversion least. Half-transparent ones
    keep their colour, which the layers are to make; below 1/255, where a colour is mostly rounding, none is left.
    """
    if pixels.shape[2] == 3:
        return pixels if pixels.min() >= 0.0 else pixels.clip(0.0, None)
    colour = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    total, visible = np.zeros(3), 0.0
    for rows in strips(*pixels.shape[:2]):
        np.clip(pixels[rows, :, :3], 0.0, None, out=colour[rows])
        alpha = pixels[rows, :, 3:].clip(0.0, 1.0)
        total += (colour[rows] * alpha).sum(axis=(0, 1), dtype=np.float64)
        visible += alpha.sum(dtype=np.float64)
    mean = (total / visible).astype(colour.dtype)
    for rows in strips(*pixels.shape[:2]):
        np.copyto(colour[rows], mean, where=pixels[rows, :, 3:] < _VISIBLE)
    return colour


def strips(height: int, width: int) -> Iterator[slice]:
    """Rows from the top down, about a quarter of a million pixels at a time: what is made of them takes no memory to
    speak of."""
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def display_encode(component: str, linear: np.ndarray) -> np.ndarray:
    """Linear [H, W, 3] → [0, 1] for looking at: shading and specular through Reinhard, anything else through sRGB."""
    name = COMPONENTS[component].transform if component in COMPONENTS else "srgb"
    return np.asarray(COMPONENT_TRANSFORMS[name].encode(linear)).clip(0.0, 1.0)


def write_exr(path: str | Path, linear: np.ndarray) -> None:
    """Write [H, W, 3] as float32 scanline EXR (ZIP, channels R, G, B, values as they are); atomic."""
    with exr_writer(path, (linear.shape[0], linear.shape[1]), "RGB") as write:
        write(linear)


def write_png(path: str | Path, encoded: np.ndarray) -> None:
    """Write display-encoded [H, W, 3] in [0, 1] as 8-bit PNG; atomic."""
    with png_writer(path, (encoded.shape[0], encoded.shape[1]), encoded.shape[2]) as write:
        write(encoded)


@contextlib.contextmanager
def exr_writer(
    path: str | Path, size: tuple[int, int], channels: Sequence[str], depth: int = 32
) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives what writes the next rows of a scanline EXR (ZIP): [rows, W, C], values as they are. Atomic.

    Args:
        size: its height and width.
        channels: their names.
        depth: bits of each, 16 or 32; what half floats cannot hold becomes their greatest value.
    """
    with atomically(path) as temporary, _image_writer(temporary, "openexr", size, channels, depth) as write:

        def write_rows(rows: np.ndarray) -> None:
            if depth == 16:
                rows = rows.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)  # else: infinity
            write(rows)

        yield write_rows


@contextlib.contextmanager
def png_writer(
    path: str | Path, size: tuple[int, int], channels: int, depth: int = 8
) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives what writes the next rows of a PNG: display-encoded [rows, W, 3 or 4] in [0, 1], straight alpha. Atomic.

    Args:
        size: its height and width.
        channels: 3 or 4.
        depth: bits of each, 8 or 16.
    """
    kind = np.uint8 if depth == 8 else np.uint16
    greatest = np.float32(np.iinfo(kind).max)
    with atomically(path) as temporary, _image_writer(temporary, "png", size, "RGBA"[:channels], depth) as write:
        yield lambda rows: write((rows.clip(0.0, 1.0) * greatest + np.float32(0.5)).astype(kind))


@contextlib.contextmanager
def npy_writer(path: str | Path, size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """Gives what writes the next rows, [rows, W, 3], of a float32 .npy. Atomic."""
    with atomically(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (*size, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        yield lambda rows: np.ascontiguousarray(rows, "<f4").tofile(file)


@contextlib.contextmanager
def _image_writer(
    path: Path, kind: str, size: tuple[int, int], channels: Sequence[str], depth: int
) -> Iterator[Callable[[np.ndarray], None]]:
    """By OpenImageIO, rows from the top down. Raises OSError."""
    import OpenImageIO as oiio

    types = {("openexr", 16): "half", ("openexr", 32): "float", ("png", 8): "uint8", ("png", 16): "uint16"}
    spec = oiio.ImageSpec(size[1], size[0], len(channels), types[kind, depth])
    spec.channelnames = tuple(channels)
    spec.attribute("oiio:UnassociatedAlpha", 1)
    spec.attribute("DateTime", "")  # the same pixels are the same bytes, whenever they are written
    if kind == "png":
        # Six times as fast as zlib's usual level, and a tenth larger.
        spec.attribute("png:compressionLevel", 1)
        spec.attribute("png:filter", _PNG_FILTER_SUB)
        spec.attribute("oiio:ColorSpace", "sRGB")
    else:
        spec.attribute("compression", "zip")
    file = oiio.ImageOutput.create(kind)
    if file is None:
        raise OSError(oiio.geterror())
    if not file.open(encoded(path), spec):
        raise OSError(file.geterror())
    top = 0

    def write(rows: np.ndarray) -> None:
        nonlocal top
        if not file.write_scanlines(top, top + len(rows), 0, np.ascontiguousarray(rows)):
            raise OSError(file.geterror())
        top += len(rows)

    try:
        yield write
    except BaseException:
        file.close()
        raise
    if not file.close():
        raise OSError(file.geterror())


def write_npy(path: str | Path, array: np.ndarray) -> None:
    """Write an array as float32 .npy; atomic."""
    with atomically(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.ascontiguousarray(array, dtype=np.float32))


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file; atomic. Bytes of a name that are no UTF-8 stand there as in JSON: ``\\udcff``."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_atomically(path: str | Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` make a file: :func:`atomically`."""
    with atomically(path) as temporary:
        write(temporary)


@contextlib.contextmanager
def atomically(path: str | Path) -> Iterator[Path]:
    """Gives a temporary name beside ``path``; what is written there is then renamed: never a half-written file.

    What killed processes have left of such files in the folder is removed, once. Raises JoinError ``output_unwritable``
    when the folder or the disk refuses, and for what is no file: a device, which root would replace by a file, or a
    pipe.
    """
    path = Path(path)
    temporary = path.with_name(temporary_name(".tmp"))
    try:
        refuse_no_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_of_ones_own(folder: Path, is_result: bool = False) -> Iterator[None]:
    """A folder in which no other process of ours works meanwhile: :func:`join_engine.leftovers.alone_in`. Raises
    JoinError ``folder_in_use``, ``output_unwritable``. ``is_result``: it appears and is replaced as a whole: the claim
    lies beside it."""
    with contextlib.ExitStack() as stack:
        try:
            whole = Path(os.path.realpath(folder))  # not resolve(), which ends in a loop of links
            stack.enter_context(alone_in(whole.parent, same_name(whole.name)) if is_result else alone_in(folder))
        except InUse as error:
            text = f"In '{folder}' {error} is at work already."
            raise JoinError("folder_in_use", text, "Wait for its end, or choose another folder.") from error
        except OSError as error:
            raise unwritable(folder, error) from error
        yield


def unwritable(path: Path, error: OSError) -> JoinError:
    """``output_unwritable``, with what helps against that error."""
    advice = {errno.ENOSPC: "Make room there.", errno.ENAMETOOLONG: "Choose a shorter name."}
    number, reason = error.errno or 0, error.strerror or str(error)
    if not number and _is_full(path.parent):  # writers of images do not say so
        number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
    hint = advice.get(number, "Choose another folder.")
    return JoinError("output_unwritable", f"'{path}' cannot be written ({reason}).", hint)


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < _LITTLE_ROOM
    except OSError:
        return False


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
