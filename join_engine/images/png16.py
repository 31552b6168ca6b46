# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files with 16 bits per channel at their full depth, which Pillow cuts down to 8 bits for colour images."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # PNG colour type → samples per pixel


def read_png16(path: Path) -> np.ndarray | None:
    """The samples of a non-interlaced 16-bit PNG as uint16 [H, W, 1…4], or None for any other file.

    Raises:
        ValueError: the file starts as such a PNG, but is damaged.
    """
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        return None
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if depth != 16 or interlace or colour not in _CHANNELS:
        return None
    pixel = _CHANNELS[colour] * 2
    try:
        packed = zlib.decompress(_image_data(data))
    except zlib.error as error:
        raise ValueError(f"damaged PNG: {error}") from error
    if len(packed) < height * (1 + width * pixel):
        raise ValueError("truncated PNG")
    rows = np.frombuffer(packed, np.uint8, height * (1 + width * pixel)).reshape(height, 1 + width * pixel)
    samples = _unfilter(rows[:, 0], rows[:, 1:].reshape(height, width, pixel))
    return samples.reshape(height, width * pixel).view(">u2").reshape(height, width, -1).astype(np.uint16)


def encode_png16(samples: np.ndarray) -> bytes:
    """A PNG of uint16 [H, W, 3 or 4], sRGB-encoded."""
    height, width, channels = samples.shape
    colour = {3: 2, 4: 6}[channels]
    rows = np.zeros((height, 1 + width * channels * 2), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"sRGB", b"\0"), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _image_data(data: bytes) -> bytes:
    parts, position = [], 8
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        if kind == b"IDAT":
            parts.append(data[position + 8 : position + 8 + length])
        position += 12 + length
    return b"".join(parts)


def _unfilter(kinds: np.ndarray, filtered: np.ndarray) -> np.ndarray:
    """Undo the row filters of PNG (specification, clause 9): uint8 [H], [H, W, bytes per pixel] → the same shape.

    A pixel needs its left, upper and upper left neighbours, so all pixels on one anti-diagonal can be done at once.
    """
    height, width, _ = filtered.shape
    if kinds.max(initial=0) > 4:
        raise ValueError("damaged PNG: unknown row filter")
    out = np.zeros((height + 1, width + 1, filtered.shape[2]), np.int16)  # one row and column of zeros in front
    for diagonal in range(height + width - 1):
        y = np.arange(max(0, diagonal - width + 1), min(height, diagonal + 1))
        x = diagonal - y
        left, up, corner = out[y + 1, x], out[y, x + 1], out[y, x]
        kind = kinds[y][:, None]
        predicted = np.select(
            [kind == 1, kind == 2, kind == 3, kind == 4],
            [left, up, (left + up) >> 1, _paeth(left, up, corner)],
            0,
        )
        out[y + 1, x + 1] = (filtered[y, x] + predicted) & 255
    return np.ascontiguousarray(out[1:, 1:].astype(np.uint8))


def _paeth(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    to_left, to_up, to_corner = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    nearest_up = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearest_up)
