# SPDX-License-Identifier: GPL-3.0-or-later
"""PNG files with 16 bits per channel, which Pillow does not write of colour images."""

from __future__ import annotations

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


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
