# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture's header announces, against the size of its file: looked at before any memory is taken for it.

Each function raises ValueError for a file that cannot hold what it announces, or that would take far more memory than
its size lets one expect.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from ..exr_codec import channels_of, headers_of
from ..untrusted import DEFLATE, check_memory

PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
EXR = b"\x76\x2f\x31\x01"
_EXR_SIZES = {0: 4, 1: 2, 2: 4}  # of unsigned integers, half floats, floats
# A line of an EXR takes at least so many bytes: its chunk's place in the table, its number and its size. A chunk has
# at most 256 lines (DWAB); a tile may be larger.
_CHUNK_BYTES, _MOST_LINES = 16, 256


def load_npy(path: Path) -> np.ndarray:
    """The array of a ``.npy`` file, as it is. numpy would take the memory first and look for the bytes afterwards."""
    with path.open("rb") as file:
        shape, order, kind = _npy_header(file, path.stat().st_size)
        return np.fromfile(file, kind, math.prod(shape)).reshape(shape, order=order)


def npy_array(data: bytes) -> np.ndarray:
    """The same of the bytes of such a file."""
    file = io.BytesIO(data)
    shape, order, kind = _npy_header(file, len(data))
    return np.frombuffer(data, kind, math.prod(shape), file.tell()).reshape(shape, order=order)


def _npy_header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype]:
    """Shape, order and kind of numbers of the array that begins where ``file``, of ``size`` bytes, then stands."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, columns_first, kind = read_header(file)
    except Exception as error:  # numpy reads it as Python's own text, and so it may end in whatever that ends in
        raise ValueError(f"its header cannot be read ({type(error).__name__})") from error
    if kind.hasobject or min(shape, default=0) < 0:
        raise ValueError("it holds something else than numbers")
    if math.prod(shape) * kind.itemsize > size - file.tell():
        raise ValueError(f"its header says {' × '.join(map(str, shape))}, and the file holds less")
    return shape, "F" if columns_first else "C", kind


def check_png(start: bytes, size: int) -> None:
    """See that the pixels of a file that begins so can come out of its ``size`` bytes; other files pass."""
    if not start.startswith(PNG) or start[12:16] != b"IHDR" or len(start) < 33:
        return
    width, height, depth, colour = struct.unpack(">IIBB", start[16:26])
    announced = height * (1 + width * _PNG_CHANNELS.get(colour, 1) * depth // 8)
    if announced > DEFLATE * size:
        raise ValueError(f"its header says {width} × {height}, and the file holds far less")
    check_pixels(width, height, size)


def check_pixels(width: int, height: int, size: int) -> None:
    """See that a file of ``size`` bytes may have so many pixels, of four floats each."""
    if width < 1 or height < 1:
        raise ValueError("it has no pixels")
    check_memory(width * height * 4 * 4, size)


def png_pixels(data: bytes) -> np.ndarray:
    """The bytes of a PNG → uint8 [H, W, 3]."""
    from PIL import Image

    check_png(data[:64], len(data))
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, EOFError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(str(error) or "damaged PNG") from error


def check_exr(path: Path) -> None:
    """See that the windows of all parts are no larger than the file allows: that of the data, and the frame shown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        data = file.read(min(size, 2**24))
    try:
        total = sum(_part_bytes(data, header, size) for header in headers_of(data)[0])
    except (IndexError, struct.error) as error:
        raise ValueError("its header is cut short") from error
    check_memory(total, size)


def _part_bytes(data: bytes, header: Mapping[str, tuple[int, int]], size: int) -> int:
    """Memory that the pixels of one part of a file of ``size`` bytes take."""
    if "dataWindow" not in header or "channels" not in header:
        raise ValueError("its header is incomplete")
    left, top, right, bottom = struct.unpack_from("<4i", data, header["dataWindow"][0])
    width, height = right - left + 1, bottom - top + 1
    if width < 1 or height < 1:
        raise ValueError("its data window is empty")
    if "tiles" not in header and math.ceil(height / _MOST_LINES) * _CHUNK_BYTES > size:
        raise ValueError(f"its header says {width} × {height}, and the file holds far less")
    left, top, right, bottom = struct.unpack_from("<4i", data, header.get("displayWindow", header["dataWindow"])[0])
    check_memory(max(0, right - left + 1) * max(0, bottom - top + 1) * 4 * 4, size)
    kinds = [kind for _, kind, _ in channels_of(data, *header["channels"])]
    if not set(kinds) <= set(_EXR_SIZES):
        raise ValueError("it has channels of an unknown kind")
    return width * height * max(sum(_EXR_SIZES[kind] for kind in kinds), 4 * 4)
