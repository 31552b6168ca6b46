# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG, TIFF and Radiance (by OpenImageIO, at their full depth) and what else people have (by Pillow, at 8 bits)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..memory import BYTES_PER_PIXEL, BYTES_PER_PIXEL_WITH_ALPHA
from ..names import encoded
from .announced import PNG, check_pixels
from .profiles import LINEAR, SRGB, ColourSpace, TableProfile, adobe_rgb, space_of_icc, space_of_png, through_lcms
from .room import refuse_too_large

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
RADIANCE = (b"#?RADIANCE", b"#?RGBE")

# What Pillow may take a file for. It knows more: PostScript, for which it would run another program on the file.
_KINDS = (
    *("JPEG", "JPEG2000", "PNG", "TIFF", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TGA", "PPM", "PSD", "SGI", "PCX"),
    *("DDS", "ICO", "ICNS", "QOI"),
)
_ROWS = 256  # at a time
_LARGEST_CHUNK = 16 << 20  # bytes of a PNG's profile, packed and unpacked
_ORIENTATION = 0x0112
_INTEROPERABILITY, _INDEX = 0xA005, 0x0001


def read_with_oiio(path: Path, upright: bool, notes: list[str]) -> np.ndarray:
    """A PNG, TIFF or Radiance picture → linear Rec.709 float32 [H, W, 3 or 4], straight alpha.

    Integers of any width are display-encoded, 0 to their greatest value; floats are linear. Either follows the file's
    own word on its colours.

    Args:
        upright: turn it as its EXIF data say; else as it is stored.
        notes: gets a sentence about what a person would want to know.

    Raises:
        JoinError: ``image_colours``, ``image_unreadable``.
        OSError, ValueError: the file is damaged.
    """
    import OpenImageIO as oiio

    settings = oiio.ImageSpec()
    settings["oiio:UnassociatedAlpha"] = 1
    file = oiio.ImageInput.open(encoded(path), settings)
    if file is None:
        raise OSError(oiio.geterror() or "it is damaged")
    try:
        spec = file.spec()
        check_pixels(spec.width, spec.height, path.stat().st_size)
        if spec.depth > 1 or spec.deep:
            raise ValueError("it has a third dimension")
        needed = BYTES_PER_PIXEL_WITH_ALPHA if spec.nchannels in (2, 4) else BYTES_PER_PIXEL
        refuse_too_large(str(path), spec.width, spec.height, needed)
        photometric = spec.get_int_attribute("tiff:PhotometricInterpretation", 2)
        if photometric not in (0, 1, 2, 3):  # CMYK, Lab and the like
            return read_with_pillow(path, upright, notes)
        if file.seek_subimage(1, 0):
            notes.append(f"'{path.name}' has several pages: this is the first.")
        file.seek_subimage(0, 0)
        samples = file.read_image(0, 0, 0, min(spec.nchannels, 5), oiio.TypeDesc(spec.format.basetype))
        if samples is None:
            raise OSError(file.geterror() or "it is damaged")
    finally:
        file.close()
    samples = np.asarray(samples)
    colours = 3 if samples.shape[2] >= 3 else 1
    alpha = colours if spec.alpha_channel == colours or samples.shape[2] in (2, 4) else None
    straight = spec.get_int_attribute("oiio:UnassociatedAlpha", 0)
    premultiplied = file.format_name() == "tiff" and alpha is not None and not straight
    space = _space(path, file.format_name(), spec, colours, samples.dtype, notes)
    if isinstance(space, bytes):
        samples, space = _through_lcms(samples, colours, alpha, space), SRGB
        colours, alpha = 3, None if alpha is None else 3
    pixels = _linear(samples, colours, alpha, space, premultiplied)
    return turned(pixels, spec.get_int_attribute("Orientation", 1)) if upright else pixels


def read_with_pillow(path: Path, upright: bool, notes: list[str]) -> np.ndarray:
    """JPEG, WebP, GIF, BMP and all else that Pillow reads; as :func:`read_with_oiio`."""
    with _opened(path) as file:
        refuse_too_large(str(path), *file.size)
        frames = getattr(file, "n_frames", 1)
        if frames > 1 and file.format != "MPO":  # what a phone adds to its photo is no film
            notes.append(f"'{path.name}' has {frames} frames: this is the first.")
        file.load()
        exif = file.getexif()
        profile = file.info.get("icc_profile")
        if profile is None and file.format in ("JPEG", "MPO"):
            index = exif.get_ifd(0x8769).get(_INTEROPERABILITY)
            known = exif.get_ifd(_INTEROPERABILITY) if index is not None else {}
            adobe = str(known.get(_INDEX, "")).startswith("R03")
        else:
            adobe = False
        picture = _plain_mode(file)
        colours = 3 if picture.mode[:3] in ("RGB", "CMY", "LAB") else 1
        space = adobe_rgb() if adobe and colours == 3 else SRGB
        if profile:
            found = _profile(path, profile, 1 if picture.mode in ("L", "LA") else 3, notes)
            if isinstance(found, bytes):
                picture, colours = _lcms_keeping_alpha(picture, found, path, notes), 3
            else:
                space = found
        if picture.mode in ("CMYK", "LAB"):
            picture = picture.convert("RGB")
        pixels = _of_picture(picture, colours, space)
        return turned(pixels, exif.get(_ORIENTATION, 1)) if upright else pixels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A Pillow image of any size that the file's own allows, where Pillow would refuse what is a large picture."""
    from PIL import Image

    usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        Image.init()
        with Image.open(path, formats=[kind for kind in _KINDS if kind in Image.OPEN]) as file:
            check_pixels(*file.size, path.stat().st_size)
            yield file
    finally:
        Image.MAX_IMAGE_PIXELS = usual


def turned(pixels: np.ndarray, orientation: Any) -> np.ndarray:
    """[H, W, C] as EXIF's orientation (1 to 8) wants it looked at."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _space(path: Path, kind: str, spec: Any, colours: int, dtype: np.dtype, notes: list[str]) -> ColourSpace | bytes:
    """Of the values as they lie in the file; the profile itself where they must go through LittleCMS."""
    if kind == "png":
        chunks = dict(_png_chunks(path))
        frames = int.from_bytes(chunks.get(b"acTL", b"")[:4], "big")
        if frames > 1:
            notes.append(f"'{path.name}' has {frames} frames: this is the first.")
        profile = space = None
        try:
            profile = None if b"cICP" in chunks else _unpacked(chunks.get(b"iCCP"))
            space = None if profile else space_of_png(chunks, colours)
        except ValueError as error:
            notes.append(f"What '{path.name}' says of its colours is not understood ({error}): taken as sRGB.")
    else:
        stored = spec.get("ICCProfile")
        profile, space = (None if stored is None else np.asarray(stored, np.uint8).tobytes()), None
    if profile:
        return _profile(path, profile, colours, notes)
    return space or (LINEAR if dtype.kind == "f" else SRGB)


def _profile(path: Path, profile: bytes, colours: int, notes: list[str]) -> ColourSpace | bytes:
    try:
        return space_of_icc(profile, colours)
    except TableProfile:
        return profile
    except ValueError as error:
        notes.append(f"The colour profile of '{path.name}' cannot be used ({error}): taken as sRGB.")
        return SRGB


def _linear(
    samples: np.ndarray, colours: int, alpha: int | None, space: ColourSpace, premultiplied: bool = False
) -> np.ndarray:
    """Samples [H, W, C] of any type → linear float32 [H, W, 3 or 4]; row by row, for the sake of memory."""
    height, width = samples.shape[:2]
    out = np.empty((height, width, 3 if alpha is None else 4), np.float32)
    greatest = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1
    table = None
    if samples.dtype in (np.uint8, np.uint16) and not premultiplied:
        table = space.lookup(np.arange(greatest + 1, dtype=np.float32) / np.float32(greatest))
        # Rounded, black lies a hair below 0, for which a picture would be copied as a whole to be clipped.
        np.maximum(table, 0.0, out=table)
    for top in range(0, height, _ROWS):
        rows = samples[top : top + _ROWS]
        wide: Any = np.float64 if rows.dtype.itemsize > 2 and rows.dtype.kind in "iu" else np.float32
        covered = None if alpha is None else (rows[..., alpha : alpha + 1].astype(wide) / greatest).astype(np.float32)
        if table is None:
            encoded = (rows[..., :colours].astype(wide) / greatest).astype(np.float32)
            if premultiplied and covered is not None:
                encoded = encoded / np.where(covered > 0, covered, 1.0)
            colour = space.linear(encoded)
        elif table.ndim == 1:
            colour = table[rows[..., :colours]]
        else:
            colour = np.stack([table[:, i][rows[..., i]] for i in range(colours)], axis=-1)
        if table is not None and space.matrix is not None:
            colour = colour @ space.matrix.T.astype(np.float32)
        out[top : top + _ROWS, :, :3] = colour
        if covered is not None:
            out[top : top + _ROWS, :, 3:] = covered
    return out


def _of_picture(picture: Any, colours: int, space: ColourSpace) -> np.ndarray:
    """A Pillow image of mode L, LA, RGB, RGBA (8 bits) or I, I;16, F → as :func:`_linear`."""
    if picture.mode == "F":
        return _linear(np.asarray(picture, np.float32)[..., None], 1, None, LINEAR)
    if picture.mode.startswith("I"):
        return _linear(np.asarray(picture).astype(np.uint16)[..., None], 1, None, space)
    bands = len(picture.getbands())
    alpha = colours if bands > colours else None
    out = np.empty((picture.height, picture.width, 3 if alpha is None else 4), np.float32)
    for top in range(0, picture.height, _ROWS):
        bottom = min(top + _ROWS, picture.height)
        rows = np.asarray(picture.crop((0, top, picture.width, bottom)))
        out[top:bottom] = _linear(rows.reshape(bottom - top, picture.width, bands), colours, alpha, space)
    return out


def _plain_mode(file: Any) -> Any:
    """The same as L, LA, RGB, RGBA, CMYK or LAB at 8 bits, or as I, I;16, F."""
    mode = file.mode
    if mode in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB", "F") or mode.startswith("I"):
        if mode in ("L", "RGB") and "transparency" in file.info:
            return file.convert("RGBA")
        return file
    if mode == "1":
        return file.convert("L")
    if mode in ("PA", "RGBa", "La") or "transparency" in file.info:
        return file.convert("RGBA")
    return file.convert("RGB")


def _through_lcms(samples: np.ndarray, colours: int, alpha: int | None, profile: bytes) -> np.ndarray:
    """Samples of a picture with a profile of tables → 8 bits of sRGB, [H, W, 3 or 4]."""
    from PIL import Image

    greatest = np.iinfo(samples.dtype).max if samples.dtype.kind in "iu" else 1
    bytes_ = (samples.astype(np.float64) / greatest).clip(0.0, 1.0) * 255.0 + 0.5
    plain = bytes_.astype(np.uint8)
    picture = Image.fromarray(np.ascontiguousarray(plain[..., :3] if colours == 3 else plain[..., 0]))
    found = np.asarray(through_lcms(picture, profile))
    return found if alpha is None else np.concatenate([found, plain[..., alpha : alpha + 1]], axis=2)


def _lcms_keeping_alpha(picture: Any, profile: bytes, path: Path, notes: list[str]) -> Any:
    alpha = picture.getchannel("A") if "A" in picture.getbands() and picture.mode != "LAB" else None
    plain = picture if alpha is None else picture.convert(picture.mode[:-1])
    try:
        found = through_lcms(plain, profile)
    except ValueError as error:
        notes.append(f"The colour profile of '{path.name}' cannot be used ({error}): taken as sRGB.")
        found = plain.convert("RGB")
    if alpha is not None:
        found.putalpha(alpha)
    return found


def _png_chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Those before the pixels, by name."""
    with path.open("rb") as file:
        file.seek(len(PNG))
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            length = int.from_bytes(head[:4], "big")
            if length > _LARGEST_CHUNK:
                return
            yield head[4:], file.read(length)
            file.seek(4, 1)


def _unpacked(chunk: bytes | None) -> bytes | None:
    """The profile in an iCCP chunk: a name, a zero, the method, deflated data. Raises ValueError."""
    if not chunk or b"\0" not in chunk[:80]:
        return None
    packed = chunk[chunk.index(b"\0") + 2 :]
    try:
        return zlib.decompressobj().decompress(packed, _LARGEST_CHUNK)
    except zlib.error as error:
        raise ValueError(f"its colour profile is damaged: {error}") from error
