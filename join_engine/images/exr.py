# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenEXR files of all kinds: which of their parts and layers is the picture, and its pixels in linear Rec.709."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import JoinError
from ..exr_layers import Layer, layer_named, layers_of, picture_of
from ..memory import BYTES_PER_PIXEL, BYTES_PER_PIXEL_WITH_ALPHA
from ..names import encoded
from .announced import check_exr
from .between import between
from .profiles import luminance_weights, space_of_chromaticities
from .room import refuse_too_large

# Light that a renderer adds where nothing covers the pixel (flames, glows) has less alpha than this. An 8-bit file has
# no smaller one.
_UNCOVERED = 1 / 255
_ROWS = 256
_TOLD = 12  # names of layers in a sentence


def read_exr(path: Path, wanted: str | None, notes: list[str]) -> np.ndarray:
    """The picture in an EXR: linear Rec.709, float32 [H, W, 1, 3 or 4], straight alpha, as large as its display window.

    Without a name it is the plain R, G, B of a file or its luminance and chroma, else what is called Combined, beauty,
    rgba …, else the first layer of colours that is not called after something measured; a single channel is grey.

    Args:
        wanted: a part or layer by name; None for the picture.
        notes: gets a sentence about what a person would want to know.

    Raises:
        JoinError: ``layer_missing``, ``image_unreadable`` for what holds no picture.
        RuntimeError, OSError, ValueError: the file is damaged.
    """
    import OpenEXR

    with OpenEXR.File(encoded(path), header_only=True) as file:
        headers = [dict(part.header) for part in file.parts]
    layers = [layer for number, header in enumerate(headers) for layer in _layers_of(number, header, len(headers))]
    layer = _chosen(path, layers, wanted)
    if wanted is None and len([other for other in layers if len(other.colours) == 3]) > 1:
        others = _titles([other for other in layers if other != layer])
        notes.append(f"Of the layers of '{path.name}' this is '{layer.title}'. There are also {others}.")
    header = headers[layer.part]
    needed = BYTES_PER_PIXEL if layer.alpha is None else BYTES_PER_PIXEL_WITH_ALPHA
    for window in ("dataWindow", "displayWindow"):  # the frame may be the larger one
        first, last = (np.asarray(corner, int) for corner in header[window])
        width, height = (max(0, int(side)) for side in last - first + 1)
        refuse_too_large(str(path), width, height, needed)
    pixels = _pixels(path, layer, header)
    if layer.alpha is not None:
        pixels = _straight(pixels)
    return _framed(path, pixels, header, notes)


def read_planes(path: Path) -> np.ndarray:
    """R, G, B (and A) of an EXR as they are, float32 [H, W, 3 or 4]: no check, no division by alpha."""
    import OpenEXR

    check_exr(path)
    with OpenEXR.File(encoded(path), separate_channels=True) as file:
        channels = file.channels()
        names = [name for name in "RGBA" if name in channels]
        return np.stack([np.asarray(channels[name].pixels, np.float32) for name in names], axis=2)


def _layers_of(part: int, header: Mapping[str, Any], parts: int) -> list[Layer]:
    if "deep" in str(header.get("type", "")).lower():
        return []
    title = str(header.get("name", "")) if parts > 1 else ""
    return layers_of(part, title, (str(channel.name) for channel in header["channels"]))


def _chosen(path: Path, layers: Sequence[Layer], wanted: str | None) -> Layer:
    names = _titles(layers)
    if wanted is not None:
        found = layer_named(layers, wanted)
        if found is None:
            raise JoinError("layer_missing", f"'{path}' has no layer '{wanted}'.", f"It has {names or 'none'}.")
        return found
    if not layers:
        text = f"'{path}' is a deep image, or holds no channels but alpha."
        raise JoinError("image_unreadable", text, "Flatten it first, or choose another file.")
    best = picture_of(layers)
    if best is None:
        message = f"'{path}' has no colours, only {names}."
        raise JoinError("image_unreadable", message, "Choose one of them by name, or another file.")
    return best


def _titles(layers: Sequence[Layer]) -> str:
    """The names of the first layers, and how many there are beside them."""
    more = len(layers) - _TOLD
    return ", ".join([f"'{layer.title}'" for layer in layers[:_TOLD]]) + (f" and {more} more" if more > 0 else "")


def _pixels(path: Path, layer: Layer, header: Mapping[str, Any]) -> np.ndarray:
    """Float32 [h, w, C] of the data window: linear Rec.709 and alpha, as they are stored."""
    chromaticities = _chromaticities(header)
    if layer.chroma:
        pixels = _of_luminance(path, layer, chromaticities)
    else:
        pixels = _read_channels(path, layer.part, layer.channels)
    if chromaticities is None or len(layer.colours) == 1 or layer.data:
        return pixels
    space = space_of_chromaticities(chromaticities, "the file's chromaticities")
    if space.matrix is not None:
        for top in range(0, len(pixels), _ROWS):
            pixels[top : top + _ROWS, :, :3] = pixels[top : top + _ROWS, :, :3] @ space.matrix.T.astype(np.float32)
    return pixels


def _chromaticities(header: Mapping[str, Any]) -> tuple[float, ...] | None:
    import OpenEXR

    found = header.get("chromaticities")
    if found is None and header.get("colorInteropID"):
        found = OpenEXR.colorInteropIDToChromaticities(str(header["colorInteropID"]))
    return None if found is None else tuple(float(value) for value in found)


def _read_channels(path: Path, part: int, names: Sequence[str]) -> np.ndarray:
    """By OpenImageIO, which reads those channels alone: a file may hold forty others."""
    import OpenImageIO as oiio

    file = oiio.ImageInput.open(encoded(path))
    if file is None:
        raise OSError(oiio.geterror() or "it is damaged")
    try:
        if not file.seek_subimage(part, 0):
            raise OSError(file.geterror() or "a part is missing")
        spec = file.spec()
        places = [spec.channelnames.index(name) for name in names]
        if places == list(range(places[0], places[0] + len(places))):
            pixels = file.read_image(part, 0, places[0], places[-1] + 1, oiio.FLOAT)
            if pixels is None:
                raise OSError(file.geterror() or "it is damaged")
            return _as_stored(np.asarray(pixels), spec, places)
        out = np.empty((spec.height, spec.width, len(names)), np.float32)
        for index, place in enumerate(places):
            plane = file.read_image(part, 0, place, place + 1, oiio.FLOAT)
            if plane is None:
                raise OSError(file.geterror() or "it is damaged")
            out[..., index] = plane[..., 0]
        return _as_stored(out, spec, places)
    finally:
        file.close()


def _as_stored(pixels: np.ndarray, spec: Any, places: Sequence[int]) -> np.ndarray:
    """Whole numbers as they are, as Blender takes them: OpenImageIO would have their greatest be 1. In place."""
    for index, place in enumerate(places):
        if str(spec.channelformat(place)) == "uint":
            pixels[..., index] *= np.float32(2**32 - 1)
    return pixels


def _of_luminance(path: Path, layer: Layer, chromaticities: Sequence[float] | None) -> np.ndarray:
    """Luminance and chroma, which may be stored for every other pixel only → RGB (and alpha)."""
    import OpenEXR

    with OpenEXR.File(encoded(path), separate_channels=True) as file:
        channels = file.parts[layer.part].channels
        planes = [np.asarray(channels[name].pixels, np.float32) for name in layer.channels]
    height, width = planes[0].shape
    luminance, red, blue = planes[0], *(_enlarged(plane, height, width) for plane in planes[1:3])
    weights = luminance_weights(chromaticities)
    red, blue = (red + 1.0) * luminance, (blue + 1.0) * luminance
    green = (luminance - weights[0] * red - weights[2] * blue) / weights[1]
    return np.stack([red, green, blue, *planes[3:]], axis=2).astype(np.float32)


def _enlarged(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane stored for every n-th row and column, linearly in between."""
    for axis, size in ((0, height), (1, width)):
        count = plane.shape[axis]
        if count == size:
            continue
        plane = between(plane, np.arange(size) / -(-size // count), axis)
    return plane


def _straight(pixels: np.ndarray) -> np.ndarray:
    """Divide by alpha, in place. Light where nothing covers a pixel (a flame) stays and counts as covered."""
    for top in range(0, len(pixels), _ROWS):
        rows = pixels[top : top + _ROWS]
        colour, alpha = rows[..., :-1], rows[..., -1:]
        uncovered = (alpha < _UNCOVERED) & (colour.max(axis=2, keepdims=True) > _UNCOVERED)
        np.copyto(alpha, 1.0, where=uncovered)
        np.divide(colour, alpha, out=colour, where=alpha > 0)
        np.copyto(colour, 0.0, where=~(alpha > 0) & ~np.isnan(alpha))
    return pixels


def _framed(path: Path, pixels: np.ndarray, header: Mapping[str, Any], notes: list[str]) -> np.ndarray:
    """What the display window shows: cut where the data go on, and transparent where there are none."""
    (left, top), (right, bottom) = (np.asarray(corner, int) for corner in header["dataWindow"])
    (first, upper), (last, lower) = (np.asarray(corner, int) for corner in header["displayWindow"])
    if (left, top, right, bottom) == (first, upper, last, lower):
        return pixels
    width, height = last - first + 1, lower - upper + 1
    here = np.s_[max(top, upper) : min(bottom, lower) + 1, max(left, first) : min(right, last) + 1]
    if here[0].start >= here[0].stop or here[1].start >= here[1].stop:
        raise JoinError("image_empty", f"The frame of '{path}' shows nothing of its data.", "Save it anew.")

    def seen_from(*corner: int) -> tuple[slice, ...]:
        return tuple(slice(part.start - begin, part.stop - begin) for part, begin in zip(here, corner, strict=True))

    shown = pixels[seen_from(top, left)]
    if shown.shape[:2] == (height, width):
        return np.ascontiguousarray(shown)
    notes.append(f"'{path.name}' has pixels in a part of its frame only; the rest counts as transparent.")
    channels = shown.shape[2] + (shown.shape[2] in (1, 3))
    out = np.zeros((height, width, channels), np.float32)
    place = out[seen_from(upper, first)]
    place[..., : shown.shape[2]] = shown
    if channels > shown.shape[2]:
        place[..., -1] = 1.0
    return out
