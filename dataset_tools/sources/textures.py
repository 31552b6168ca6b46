# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told of a texture's file before Blender reads it: its size, and whether its end is there.

Blender shows the rest of a cut JPEG in grey and that of a plain TIFF in black, without an error; whatever else it
cannot read comes out magenta or black. No bpy here.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from join_engine import exr_codec
from join_engine.names import is_hidden

# Pixels a side. Cycles keeps every texture of a scene in memory, each worker its own: three maps of 16384² took a
# worker 1.9 GiB instead of 0.3, and 4.4 s a sample instead of 0.1 (measured); no render of a dataset shows them.
LARGEST = 8192

_CUT = "is cut short"
# Behind a scan's first byte: a marker that neither is a stuffed zero nor restarts the scan.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_SIZES = {1: "B", 3: "H", 4: "I"}

Size = tuple[int, int]


def picture_files(paths: Iterable[Path], folder: Path, endings: Collection[str]) -> list[Path]:
    """Those of some paths below a folder that are called like pictures, in order.

    Neither hidden ones, such as the ``._Bricks_Color.png`` that a Mac leaves beside a file, nor folders, pipes and
    devices, which never end. A broken link is one, so that somebody is told.
    """
    named = (path for path in paths if path.suffix.lower() in endings and not is_hidden(path.relative_to(folder)))
    return sorted(path for path in named if path.is_file() or not path.exists())


def fault(path: Path) -> str | None:
    """What is wrong with a picture's file, as the rest of a sentence; None where nothing is to be seen from outside."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return f"cannot be opened ({error.strerror or error})"
    if not data:
        return "is empty"
    try:
        size = _size(data)
    except (struct.error, IndexError, ValueError, KeyError):
        return _CUT
    if size and max(size) > LARGEST:
        return f"has {size[0]} × {size[1]} pixels, and {LARGEST} a side are the most: scale it down"
    return None


def _size(data: bytes) -> Size | None:
    """Width and height of a whole file; None of a kind that is left to Blender. Raises struct.error, IndexError,
    ValueError or KeyError where the file ends too early."""
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", data, 16)
        return width, height
    if data.startswith(b"\x76\x2f\x31\x01"):
        start = next(start for name, start, _ in exr_codec.attributes(data) if name == "dataWindow")
        left, top, right, bottom = struct.unpack_from("<4i", data, start)
        return right - left + 1, bottom - top + 1
    if data[:4] in (b"II*\0", b"MM\0*"):
        return _tiff(data)
    return None


def _jpeg(data: bytes) -> Size:
    """Walks over the segments to the end of the image, which a thumbnail inside a segment has too."""
    position, size = 2, (0, 0)
    while (marker := data[position + 1]) != 0xD9:
        if data[position] != 0xFF:
            raise ValueError("no marker")
        if marker == 0xFF:  # filling
            position += 1
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, position + 5)
            size = (width, height)
        position += 2 + length
        if marker == 0xDA:
            found = _NEXT_MARKER.search(data, position)
            if found is None:
                raise ValueError("no end")
            position = found.start()
    return size


def _tiff(data: bytes) -> Size:
    """Of the first picture, whose strips or tiles must all lie inside the file."""
    order = "<" if data.startswith(b"II") else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    tags = {tag: values for n in range(count) for tag, values in _tag(data, order, start + 2 + 12 * n)}
    for offsets, lengths in ((273, 279), (324, 325)):
        ends = (offset + length for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=True))
        if max(ends, default=0) > len(data):
            raise ValueError("a strip lies behind the end")
    return tags[256][0], tags[257][0]


def _tag(data: bytes, order: str, position: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Number and values of one tag of whole numbers."""
    tag, kind, count = struct.unpack_from(f"{order}HHI", data, position)
    if kind in _TIFF_SIZES:
        form = f"{order}{count}{_TIFF_SIZES[kind]}"
        inside = struct.calcsize(form) <= 4
        at = position + 8 if inside else struct.unpack_from(f"{order}I", data, position + 8)[0]
        yield tag, struct.unpack_from(form, data, at)


def fingerprint(folder: Path, named: Mapping[str, str]) -> str:
    """A hash of files' names and contents, by the names: other files are another dataset."""
    digest = hashlib.sha256()
    for name, file in named.items():
        digest.update(f"{name}\n".encode())
        with (folder / file).open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
