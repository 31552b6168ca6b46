# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PNG, JPEG, TIFF or WebP says of its colours, where that is something else than sRGB: Blender does not look."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_ICC_TAG = 34675
_LARGEST_PROFILE = 4 << 20
_SRGB_GAMMA = 45455
# Primaries and curve of cICP (ITU-T H.273) as people call them.
_CICP = {(12, 13): "Display P3", (9, 16): "Rec.2100-PQ", (9, 18): "Rec.2100-HLG", (9, 1): "Rec.2020"}


def profile_in(data: bytes) -> str | None:
    """The colours that a file speaks of, as people call them ("Display P3", "Adobe RGB (1998)").

    Args:
        data: the file, or its beginning.

    Returns:
        None where they are sRGB's, where it says nothing, and where that cannot be read.
    """
    try:
        if data.startswith(_PNG):
            return _of_png(data)
        if data.startswith(_JPEG):
            profile = b"".join(_icc_of_jpeg(data))
            return _name_of(profile) if profile else None
        if data[:4] in _TIFF:
            return _of_tiff(data)
        if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8X":
            (length,) = struct.unpack_from("<I", data, 34)
            return _name_of(data[38 : 38 + length]) if data[30:34] == b"ICCP" else None  # it comes before all pixels
    except (struct.error, IndexError, ValueError, zlib.error):
        return None
    return None


def _of_png(data: bytes) -> str | None:
    """By what counts first: cICP, iCCP, sRGB, gAMA."""
    chunks = dict(_chunks(data))
    if b"cICP" in chunks:
        primaries, curve = chunks[b"cICP"][:2]
        return None if (primaries, curve) == (1, 13) else _CICP.get((primaries, curve), f"cICP {primaries}, {curve}")
    if b"iCCP" in chunks:
        _, _, packed = chunks[b"iCCP"].partition(b"\0")
        return _name_of(zlib.decompressobj().decompress(packed[1:], _LARGEST_PROFILE))
    if b"sRGB" in chunks or b"gAMA" not in chunks:
        return None
    (gamma,) = struct.unpack(">I", chunks[b"gAMA"])
    return None if abs(gamma - _SRGB_GAMMA) < 0.05 * _SRGB_GAMMA else f"of gamma {gamma / 100_000:.2f}"


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of those in front of the pixels."""
    place = len(_PNG)
    while place + 8 <= len(data) and data[place + 4 : place + 8] != b"IDAT":
        (length,) = struct.unpack_from(">I", data, place)
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def _icc_of_jpeg(data: bytes) -> Iterator[bytes]:
    """The parts of the profile, in the order in which they stand."""
    place = 2
    while data[place] == 0xFF and data[place + 1] not in (0xDA, 0xD9):
        (length,) = struct.unpack_from(">H", data, place + 2)
        content = data[place + 4 : place + 2 + length]
        if data[place + 1] == 0xE2 and content.startswith(b"ICC_PROFILE\0"):
            yield content[14:]
        place += 2 + length


def _of_tiff(data: bytes) -> str | None:
    """By the first directory's tags, where these lie within the bytes."""
    order = _TIFF[data[:4]]
    (place,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, place)
    for number in range(count):
        tag, _, length, start = struct.unpack_from(f"{order}HHII", data, place + 2 + 12 * number)
        if tag == _ICC_TAG:
            return _name_of(data[start : start + length])
    return None


def _name_of(profile: bytes) -> str | None:
    """An ICC profile's own description; None of sRGB."""
    (count,) = struct.unpack_from(">I", profile, 128)
    for number in range(min(count, 100)):
        tag, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if tag != b"desc":
            continue
        content = profile[start : start + size]
        if content[:4] == b"mluc":
            length, offset = struct.unpack_from(">II", content, 20)
            name = content[offset : offset + length].decode("utf-16-be", "replace")
        else:
            (length,), offset = struct.unpack_from(">I", content, 8), 12
            name = content[offset : offset + length].decode("latin-1")
        if offset + length > len(content):
            raise ValueError("cut short")
        name = name.strip("\0 ")[:80]
        return None if "srgb" in name.lower() and "linear" not in name.lower() else name or None
    return None
