# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment pictures (equirectangular .hdr and .exr) to light scenes with: a folder of them, or Blender's own eight.

A picture belongs to one split. All of a folder's are looked through before anything is rendered. No bpy here.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from dataset_tools.description.seeds import SPLITS, parts
from dataset_tools.errors import UserError
from dataset_tools.sources.textures import fingerprint as _fingerprint
from dataset_tools.sources.textures import picture_files
from join_engine import exr_codec

# What every Blender brings in its folder of data files.
OWN_FOLDER = "studiolights/world"
_OWN = ("city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset")
_ENDINGS = (".hdr", ".exr")
_HDR_SIZE = re.compile(rb"^-Y (\d+) \+X (\d+)$")
# More is nobody's light for a picture of this size, and takes gigabytes in every worker.
_WIDEST = 8192
# Lines of an EXR's chunks by the number of its compression.
_EXR_LINES = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}


@dataclass(frozen=True)
class Environments:
    """Names of the pictures to draw from, relative to their folder."""

    files: tuple[str, ...] = tuple(f"{name}.exr" for name in _OWN)

    def of_split(self, split: str) -> Environments:
        """The pictures of one split."""
        return Environments(tuple(parts(self.files, 0.1)[split]))


def find_environments(folder: Path) -> Environments:
    """All pictures under ``folder``, each looked through. Raises UserError when one is broken or there are too few."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: name the one that holds the environment pictures.")
    files = picture_files(folder.rglob("*"), folder, _ENDINGS)
    if len(files) < len(SPLITS):
        raise UserError(
            f"{folder} holds {len(files)} environment pictures, and at least {len(SPLITS)} are needed, one for each "
            "split: add equirectangular .hdr or .exr files."
        )
    for path in files:
        _check(path)
    return Environments(tuple(path.relative_to(folder).as_posix() for path in files))


def fingerprint(folder: Path, environments: Environments) -> str:
    """A hash of all pictures' names and contents: other files are another dataset."""
    return _fingerprint(folder, {file: file for file in environments.files})


def _check(path: Path) -> None:
    try:
        data = path.read_bytes()
        width, height = _hdr_size(data) if path.suffix.lower() == ".hdr" else _exr_size(data)
    except (ValueError, IndexError, KeyError, struct.error, OSError) as error:
        reason = error if isinstance(error, ValueError | OSError) else "it is cut short"
        message = f"{path} is broken ({reason}): replace it by a whole picture or take it out of the folder."
        raise UserError(message) from None
    if width != 2 * height or width > _WIDEST:
        raise UserError(
            f"{path} has {width}×{height} pixels: an environment picture is equirectangular, twice as wide as high "
            f"and at most {_WIDEST} wide; bring it to that size or take it out of the folder."
        )


def _hdr_size(data: bytes) -> tuple[int, int]:
    """Width and height of a Radiance picture whose scan lines are all there. Raises ValueError."""
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise ValueError("it does not begin like a Radiance picture")
    head, blank, _ = data.partition(b"\n\n")
    begin = len(head) + len(blank)
    end = data.find(b"\n", begin)
    found = _HDR_SIZE.match(data[begin:end]) if blank and end > 0 else None
    if found is None:
        raise ValueError("it does not tell its size as '-Y height +X width'")
    height, width = (int(number) for number in found.groups())
    if not (0 < height <= 1 << 16 and 0 < width <= 1 << 16):
        raise ValueError("its size is impossible")
    at = end + 1
    for _ in range(height):
        at = _after_line(data, at, width)
    return width, height


def _after_line(data: bytes, at: int, width: int) -> int:
    """Where the scan line at ``at`` ends: run-length encoded, channel by channel, or four bytes a pixel."""
    if data[at] != 2 or data[at + 1] != 2 or data[at + 2] & 0x80:
        if at + 4 * width > len(data):
            raise ValueError("it is cut short")
        return at + 4 * width
    if (data[at + 2] << 8 | data[at + 3]) != width:
        raise ValueError("a line of it has another width")
    at += 4
    for _ in range(4):
        left = width
        while left > 0:
            count = data[at]
            run = count - 128 if count > 128 else count
            at += 2 if count > 128 else 1 + count
            left -= run
            if run == 0 or left < 0:
                raise ValueError("a line of it cannot be decoded")
    if at > len(data):
        raise ValueError("it is cut short")
    return at


def _exr_size(data: bytes) -> tuple[int, int]:
    """Width and height of an EXR's data window when all its chunks are there. Raises ValueError or struct.error."""
    magic, version = struct.unpack_from("<II", data)
    if magic != 20000630:
        raise ValueError("it does not begin like an EXR")
    header = {name: start for name, start, _ in exr_codec.attributes(data)}
    left, top, right, bottom = struct.unpack_from("<4i", data, header["dataWindow"])
    if version & 0x200 == 0:  # scan lines; of tiles, the header must do
        lines = _EXR_LINES.get(data[header["compression"]], 1)
        for offset in struct.unpack_from(f"<{-(-(bottom - top + 1) // lines)}Q", data, header[""]):
            _, size = struct.unpack_from("<ii", data, offset)
            if offset + 8 + size > len(data):
                raise ValueError("it is cut short")
    return right - left + 1, bottom - top + 1
