# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer as the bytes of an OpenEXR file, by the codec that add-on and renderer share.

It goes into the .blend as the file that Blender would pack itself: made here in a thread, which takes no time from
Blender's main thread, where packing 2048² pixels takes a quarter of a second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from .vocabulary import beside

if TYPE_CHECKING:
    from join_engine import exr_codec
else:
    exr_codec = beside("exr_codec")  # not in the vocabulary, for it needs numpy

channel_names = exr_codec.channel_names

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
