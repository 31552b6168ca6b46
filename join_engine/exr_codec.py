# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan-line OpenEXR to bytes and back with zlib and numpy alone: what add-on and renderer store, and what the renderer
asks Blender for.

Blender's Python has no OpenEXR package, and one installed beside it clashes with the OpenEXR that Blender itself is
linked to (a crash, measured). This is one corner of the format (openexr.com, "OpenEXR File Layout"): scan lines, half
or float channels, no compression or ZIP; written is one part, read are several, too. A user's files of all kinds are
read by :mod:`join_engine.images.exr`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .exr_layers import Layer, layers_of
from .untrusted import DEFLATE, inflate

_MAGIC = b"\x76\x2f\x31\x01"
# Tiles and deep data.
_UNSUPPORTED_FLAGS = 0x0200 | 0x0800
_SEVERAL_PARTS = 0x1000
_MOST_PARTS = 1000
# Compression's number in the file → scan lines a block: none, ZIPS, ZIP.
_BLOCK_LINES = {0: 1, 2: 1, 3: 16}
_PIXEL_TYPES: dict[int, np.dtype] = {1: np.dtype("<f2"), 2: np.dtype("<f4")}
_ZIP = 3
_SCAN_LINES = b"scanlineimage"
# Of samples at 256², zlib's level 6 saves another 1% and takes half as long again; level 1 costs 3% (measured).
_LEVEL = 4


def write_channels(channels: Mapping[str, np.ndarray], level: int = _LEVEL, threads: int = 1) -> bytes:
    """An EXR that keeps every bit of its channels. Equal channels give equal bytes, by any number of threads.

    Args:
        channels: ``[H, W]``, float16 or float32, top row first, by their full names.
        level: zlib's, 1 to 9.
        threads: which compress; zlib and numpy let other threads run meanwhile.
    """
    # The format wants them in order of their names, which are ours and short (31 bytes at most).
    ordered = sorted(channels.items())
    height, width = ordered[0][1].shape
    step = _BLOCK_LINES[_ZIP]

    def block(top: int) -> bytes:
        parts = [np.ascontiguousarray(each[top : top + step], each.dtype.newbyteorder("<")) for _, each in ordered]
        lines = np.concatenate([part.view(np.uint8) for part in parts], axis=1)  # [h, bytes of a line]
        return struct.pack("<i", top) + _block(lines, level)

    with ThreadPoolExecutor(threads) as pool:
        blocks = list((pool.map if threads > 1 else map)(block, range(0, height, step)))
    header = _header([(name, channel.dtype) for name, channel in ordered], width, height)
    offsets, position = [], len(header) + 8 * len(blocks)
    for data in blocks:
        offsets.append(position)
        position += len(data)
    # Bit by bit: joining hundreds of megabytes at once would keep all of Python, and so Blender, waiting.
    file = io.BytesIO()
    file.write(header + struct.pack(f"<{len(offsets)}Q", *offsets))
    for index, data in enumerate(blocks):
        file.write(data)
        blocks[index] = b""  # a large picture need not be in memory twice
    return file.getvalue()


def _header(layout: list[tuple[str, np.dtype]], width: int, height: int) -> bytes:
    """Magic number, version, and the attributes that every file must have; no dates, no names of hosts."""
    numbers = {kind: number for number, kind in _PIXEL_TYPES.items()}
    listed = b"".join(name.encode() + b"\0" + struct.pack("<iIii", numbers[kind], 0, 1, 1) for name, kind in layout)
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    required = (
        ("channels", "chlist", listed + b"\0"),
        ("compression", "compression", bytes([_ZIP])),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1.0)),
        ("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0)),
        ("screenWindowWidth", "float", struct.pack("<f", 1.0)),
    )
    written = [f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value for name, kind, value in required]
    return _MAGIC + struct.pack("<I", 2) + b"".join(written) + b"\0"


def _block(lines: np.ndarray, level: int) -> bytes:
    """Size and data of a block: low and high halves apart, differences between neighbours, deflated."""
    plain = lines.reshape(-1)
    parted = np.concatenate((plain[0::2], plain[1::2]))
    deltas = parted.copy()
    deltas[1:] -= parted[:-1]  # bytes wrap around on purpose
    deltas[1:] += 128
    data = zlib.compress(deltas.data, level)
    if len(data) >= plain.size:  # the format wants it as it is where ZIP gains nothing
        data = plain.tobytes()
    return struct.pack("<i", len(data)) + data


def attributes(exr: bytes | bytearray, position: int = 8) -> Iterator[tuple[str, int, int]]:
    """Name, first byte and size of the value of each attribute of a header; the last is ('', end of the header, 0).
    ``position``: where the header begins; the first one does after the magic number and the version."""
    while exr[position] != 0:
        name_end = exr.index(0, position)
        kind_end = exr.index(0, name_end + 1)
        (size,) = struct.unpack_from("<i", exr, kind_end + 1)
        start = kind_end + 5
        if not 0 <= size <= len(exr) - start:
            raise ValueError("its header is cut short")
        yield exr[position:name_end].decode("latin-1"), start, size
        position = start + size
    yield "", position + 1, 0


def channel_names(exr: bytes) -> list[str]:
    """The channels that the beginning of an EXR tells of its first part; empty for what is none."""
    if exr[:4] != _MAGIC:
        return []
    try:
        found = next((start, size) for name, start, size in attributes(exr) if name == "channels")
        return [name for name, *_ in channels_of(exr, *found)]
    except (IndexError, StopIteration, ValueError, struct.error):
        return []


def layers(exr: bytes) -> list[Layer]:
    """The layers of all parts, as the beginning of a file tells of them; empty for what is no EXR."""
    try:
        headers, _ = headers_of(exr)
        found = []
        for number, header in enumerate(headers):
            names = [name for name, *_ in channels_of(exr, *header["channels"])]
            start, size = header.get("name", (0, 0))
            title = exr[start : start + size].decode("utf-8", "replace") if len(headers) > 1 else ""
            found += layers_of(number, title, names)
        return found
    except (IndexError, KeyError, ValueError, struct.error):
        return []


def read_channels(exr: bytes, part: int = 0, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Channels of one part by their full names, each float32 [H, W], linear.

    Args:
        part: its number.
        wanted: those alone; None for all.

    Raises:
        ValueError: it is another kind of file, or a damaged one.
    """
    try:
        return _read(exr, part, wanted)
    except (IndexError, KeyError, struct.error) as error:
        raise ValueError(f"its header is damaged: {error}") from None


def headers_of(exr: bytes) -> tuple[list[dict[str, tuple[int, int]]], int]:
    """First byte and size of each attribute, by name, of each part; and where the tables of blocks begin."""
    if exr[:4] != _MAGIC:
        raise ValueError("no EXR")
    several = bool(struct.unpack_from("<I", exr, 4)[0] & _SEVERAL_PARTS)
    found: list[dict[str, tuple[int, int]]] = []
    position = 8
    while not found or (several and exr[position] != 0):
        found.append({name: (start, size) for name, start, size in attributes(exr, position)})
        position = found[-1][""][0]
        if len(found) > _MOST_PARTS:
            raise ValueError(f"it has more than {_MOST_PARTS} parts")
    return found, position + several


def size_in(exr: bytes) -> tuple[int, int]:
    """Width and height of the first part, from its header alone.

    Raises:
        ValueError: it is another kind of file, or a damaged one.
    """
    try:
        _, width, height, _ = _size(exr, headers_of(exr)[0][0])
    except (IndexError, KeyError, struct.error) as error:
        raise ValueError(f"its header is damaged: {error}") from None
    return width, height


def _size(exr: bytes, header: Mapping[str, tuple[int, int]]) -> tuple[int, int, int, int]:
    """First line, width, height, and number of blocks of a part."""
    left, top, right, bottom = struct.unpack_from("<4i", exr, header["dataWindow"][0])
    compression = exr[header["compression"][0]]
    if compression not in _BLOCK_LINES:
        raise ValueError("compressed in another way than ZIP")
    height = bottom - top + 1
    if height < 1:
        raise ValueError("its data window is empty")
    return top, right - left + 1, height, -(-height // _BLOCK_LINES[compression])


def _read(exr: bytes, part: int, wanted: Collection[str] | None) -> dict[str, np.ndarray]:
    headers, table = headers_of(exr)
    header = headers[part]
    kind, size = header.get("type", (0, 0))
    if struct.unpack_from("<I", exr, 4)[0] & _UNSUPPORTED_FLAGS or exr[kind : kind + size] not in (b"", _SCAN_LINES):
        raise ValueError("no scan-line EXR")
    several = len(headers) > 1 or bool(struct.unpack_from("<I", exr, 4)[0] & _SEVERAL_PARTS)
    table += 8 * sum(_size(exr, other)[3] for other in headers[:part])
    top, width, height, blocks = _size(exr, header)
    block_lines = _BLOCK_LINES[exr[header["compression"][0]]]
    channels = list(channels_of(exr, *header["channels"]))
    if any(steps != (1, 1) for _, _, steps in channels):
        raise ValueError("subsampled channels")
    layout = [(name, _PIXEL_TYPES[kind]) for name, kind, _ in channels]
    line_bytes = width * sum(kind.itemsize for _, kind in layout)
    if width < 1 or height < 1 or line_bytes * height > DEFLATE * len(exr):
        raise ValueError(f"its header says {width} × {height}, and the file holds less")
    pixels = np.empty((height, line_bytes), np.uint8)
    for offset in struct.unpack_from(f"<{blocks}Q", exr, table):
        if offset > len(exr) - 12:  # struct itself raises OverflowError far beyond
            raise ValueError("a block outside of the file")
        offset += 4 * several  # behind the number of its part
        line, size = struct.unpack_from("<ii", exr, offset)
        if not top <= line < top + height:
            raise ValueError("a block outside of the picture")
        rows = pixels[line - top : line - top + block_lines]
        rows[:] = _decode(exr[offset + 8 : offset + 8 + size], rows.size).reshape(rows.shape)
    return _split(pixels, layout, width, wanted)


def channels_of(exr: bytes, start: int, size: int) -> Iterator[tuple[str, int, tuple[int, int]]]:
    """Name, number of the pixel type and steps of each channel, in the order in which a scan line stores them."""
    end = start + size - 1
    while start < end:
        name_end = exr.index(0, start)
        kind, _, x_step, y_step = struct.unpack_from("<iIii", exr, name_end + 1)
        yield exr[start:name_end].decode("utf-8"), kind, (x_step, y_step)
        start = name_end + 17


def _decode(data: bytes, size: int) -> np.ndarray:
    """A block's bytes: inflate, undo the differences between neighbours, join low and high halves again."""
    if len(data) == size:  # stored as it is where ZIP would gain nothing
        return np.frombuffer(data, np.uint8)
    deltas = np.frombuffer(inflate(data, size), np.uint8).copy()
    deltas[1:] -= 128  # bytes wrap around on purpose, here and in the sum
    plain = np.cumsum(deltas, dtype=np.uint8)
    joined = np.empty(size, np.uint8)
    half = (size + 1) // 2
    joined[0::2], joined[1::2] = plain[:half], plain[half:]
    return joined


def _split(
    pixels: np.ndarray, layout: list[tuple[str, np.dtype]], width: int, wanted: Collection[str] | None
) -> dict[str, np.ndarray]:
    """Scan lines of bytes [H, line] → the wanted channels by name."""
    channels = {}
    start = 0
    for name, kind in layout:
        end = start + width * kind.itemsize
        if wanted is None or name in wanted:
            channels[name] = np.ascontiguousarray(pixels[:, start:end]).view(kind).astype(np.float32)
        start = end
    return channels
