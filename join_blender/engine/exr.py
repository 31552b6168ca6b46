# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer as the bytes of an OpenEXR file, by the codec that add-on and renderer share; and a layer of a user's file.

It goes into the .blend as the file that Blender would pack itself: made here in a thread, which takes no time from
Blender's main thread, where packing 2048² pixels takes a quarter of a second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .failure import Failure
from .vocabulary import beside

if TYPE_CHECKING:
    from join_engine import exr_codec
    from join_engine.exr_layers import Layer
else:
    exr_codec = beside("exr_codec")  # not in the vocabulary, for it needs numpy
exr_layers = beside("exr_layers")

channel_names, layers, size_in = exr_codec.channel_names, exr_codec.layers, exr_codec.size_in

_LEVEL = 1
"""Higher ones gain about 3% on photographs and take twice as long or more."""


def encode_exr(rgb: np.ndarray, alpha: np.ndarray | None = None) -> bytes:
    """A scanline EXR of 32-bit floats, which keeps every bit.

    Args:
        rgb: ``[H, W, 3]`` float32, linear, top row first.
        alpha: ``[H, W]`` float32, stored beside the colour, not multiplied into it.
    """
    channels = {letter: rgb[..., number] for number, letter in enumerate("RGB")}
    if alpha is not None:
        channels["A"] = alpha
    return exr_codec.write_channels(channels, _LEVEL, threads=max(1, min(4, (os.cpu_count() or 2) - 1)))


def alpha_in(exr: bytes) -> np.ndarray | None:
    """``[H, W]``, the alpha of an EXR of :func:`encode_exr`; None where it has none."""
    return exr_codec.read_channels(exr, wanted=["A"])["A"] if "A" in channel_names(exr) else None


def read_layer(exr: bytes, wanted: str, name: str) -> tuple[Layer, np.ndarray]:
    """One layer of a multilayer file, whose pixels Blender hands out to nobody.

    Args:
        exr: the whole file.
        wanted: part or layer by name; empty for the picture, which is found as the engine finds it.
        name: what the user calls the image.

    Returns:
        The layer, and float32 ``[H, W, 1 to 4]``, linear, top row first, the colours multiplied by alpha where there is
        one, as the format has it.

    Raises:
        Failure: ``layer_missing``, ``image_unreadable``.
    """
    found = layers(exr)
    names = ", ".join(layer.title for layer in found)
    layer = exr_layers.layer_named(found, wanted) if wanted else exr_layers.picture_of(found)
    if layer is None and wanted:
        raise Failure("layer_missing", f"'{name}' has no layer '{wanted}'.", f"It has {names or 'none'}.")
    if layer is None:
        raise Failure("image_unreadable", f"'{name}' has no colours, only {names or 'no channels'}.", "Choose a layer.")
    try:
        if layer.chroma:
            raise ValueError("luminance and chroma")
        channels = exr_codec.read_channels(exr, layer.part, layer.channels)
    except ValueError as error:
        text = f"'{name}' is a multilayer file of a kind that Blender alone can read ({error})."
        raise Failure(
            "image_unreadable", text, "Save it with the codec ZIP, or one of its layers as an image."
        ) from error
    return layer, np.stack([channels[channel] for channel in layer.channels], axis=2)
