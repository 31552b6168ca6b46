# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PNG, JPEG, TIFF or WebP says of its colours, where that is something else than sRGB: Blender does not look."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Order of bytes, and whether it is a BigTIFF.
_TIFF = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
_TIFF_SIZES = {3: 2, 4: 4, 13: 4, 16: 8}  # bytes of a number, by its kind; others have one
_ICC_TAG, _EXIF_DIRECTORY, _INTEROPERABILITY, _INDEX = 34675, 0x8769, 0xA005, 0x0001
_COLOUR_CHUNKS = b"cICP", b"iCCP", b"sRGB", b"gAMA"
_LARGEST_PROFILE = 4 << 20  # bytes
_MOST_PARTS = 4096
_SRGB_GAMMA = 45455
# Primaries and curve of cICP (ITU-T H.273) as people call them.
_CICP = {(12, 13): "Display P3", (9, 16): "Rec.2100-PQ", (9, 18): "Rec.2100-HLG", (9, 1): "Rec.2020"}


def profile_in(file: BinaryIO) -> str | None:
    """The colours that a file speaks of, as people call them ("Display P3", "Adobe RGB (1998)").

    Args:
        file: can be sought in; what lies between the places that matter is not read.

    Returns:
        None where they are sRGB's, where it says nothing, and where that cannot be read.
    """
    try:
        start = file.read(38)
        if start.startswith(_PNG):
            return _of_png(file)
        if start.startswith(_JPEG):
            return _of_jpeg(file)
        if start[:4] in _TIFF:
            return _name_of(_tag(_directory(file, 0), _ICC_TAG) or b"")
        if start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X":
            (length,) = struct.unpack_from("<I", start, 34)
            return _name_of(_part(file, 38, length)) if start[30:34] == b"ICCP" else None  # it comes before all pixels
    except (struct.error, IndexError, ValueError, OverflowError, OSError, zlib.error):
        return None
    return None


def _part(file: BinaryIO, place: int, length: int) -> bytes:
    """Bytes from a place on, no more than a profile may have."""
    file.seek(place)
    return file.read(min(length, _LARGEST_PROFILE))


def _of_png(file: BinaryIO) -> str | None:
    """By what counts first: cICP, iCCP, sRGB, gAMA."""
    chunks = dict(_chunks(file))
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


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of those in front of the pixels that speak of colours."""
    place = len(_PNG)
    for _ in range(_MOST_PARTS):
        head = _part(file, place, 8)
        if len(head) < 8 or head[4:] == b"IDAT":
            return
        (length,) = struct.unpack_from(">I", head)
        if head[4:] in _COLOUR_CHUNKS:
            yield head[4:], _part(file, place + 8, length)
        place += 12 + length


def _of_jpeg(file: BinaryIO) -> str | None:
    """By its profile, which may be in several parts; without one, by what a camera says of its file's name (Exif)."""
    profile, exif = b"", 0
    for place, length in _segments(file):
        label = _part(file, place, 14)
        if label.startswith(b"ICC_PROFILE\0") and len(profile) < _LARGEST_PROFILE:
            profile += _part(file, place + 14, length - 14)
        elif label.startswith(b"Exif\0\0") and not exif:
            exif = place + 6
    if profile:
        return _name_of(profile)
    if not exif or _part(file, exif, 4) not in _TIFF:
        return None
    beside = _directory(file, exif)
    for tag in (_EXIF_DIRECTORY, _INTEROPERABILITY):
        place = struct.unpack(f"{beside.order}I", _tag(beside, tag) or b"")[0]
        beside = _directory(file, exif, place)
    return "Adobe RGB (1998)" if (_tag(beside, _INDEX) or b"").startswith(b"R03") else None


def _segments(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Place and length of what stands in front of the pixels, by which applications mark their own."""
    place = 2
    for _ in range(_MOST_PARTS):
        head = _part(file, place, 4)
        if len(head) < 4 or head[0] != 0xFF or head[1] in (0xDA, 0xD9):
            return
        if head[1] == 0xFF:  # any number of these may stand before a mark
            place += 1
            continue
        (length,) = struct.unpack_from(">H", head, 2)
        if 0xE1 <= head[1] <= 0xE2:
            yield place + 4, length - 2
        place += 2 + length


@dataclass(frozen=True)
class _Directory:
    """Tags of a TIFF, or of what a JPEG says of itself in the same way: the bytes of each one's value."""

    file: BinaryIO
    start: int  # what places in it count from
    order: str  # of bytes, as struct writes it
    big: bool
    tags: dict[int, tuple[int, int, bytes]]  # kind, count, and the value or its place


def _directory(file: BinaryIO, start: int, place: int | None = None) -> _Directory:
    """The first directory, wherever in the file it lies, or the one at a place."""
    head = _part(file, start, 16)
    order, big = _TIFF[head[:4]]
    if place is None:
        (place,) = struct.unpack_from(f"{order}Q", head, 8) if big else struct.unpack_from(f"{order}I", head, 4)
    count_form, form, size = ("Q", "HHQ8s", 20) if big else ("H", "HHI4s", 12)
    count_size = struct.calcsize(f"{order}{count_form}")
    (count,) = struct.unpack(f"{order}{count_form}", _part(file, start + place, count_size))
    entries = _part(file, start + place + count_size, size * min(count, _MOST_PARTS))
    found = struct.iter_unpack(f"{order}{form}", entries[: len(entries) // size * size])
    return _Directory(file, start, order, big, {tag: (kind, length, value) for tag, kind, length, value in found})


def _tag(directory: _Directory, tag: int) -> bytes | None:
    """The value's bytes; None where there is no such tag."""
    if tag not in directory.tags:
        return None
    kind, count, value = directory.tags[tag]
    length = count * _TIFF_SIZES.get(kind, 1)
    if length <= len(value):
        return value[:length]
    (place,) = struct.unpack(f"{directory.order}{'Q' if directory.big else 'I'}", value)
    return _part(directory.file, directory.start + place, length)


def _name_of(profile: bytes) -> str | None:
    """An ICC profile's own description; None of sRGB, and of no profile."""
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
