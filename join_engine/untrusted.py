# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON, tars and deflated bytes that come from outside: read with limits. Needs neither torch nor numpy.

What a file announces is compared with its size before any memory is taken for it. All functions raise ValueError (tars
also tarfile.TarError, OSError and EOFError), which readers turn into their sentence.
"""

from __future__ import annotations

import json
import math
import os
import tarfile
import zlib
from pathlib import Path
from typing import Any

LONGEST = 16 * 2**20
"""Bytes. What is ours is far shorter: the longest headers are banks', of some ten thousand."""
_LARGEST_WHOLE = 2**63 - 1
# Memory that any file may ask for. Of a larger one the file itself must be of some size: deflate (RFC 1951) makes at
# most 1,032 bytes of one.
_GRANTED = 2**30
DEFLATE = 1032


def read_json(text: str | bytes, longest: int = LONGEST) -> dict[str, Any]:
    """One JSON object whose numbers are finite and fit into 64 bits.

    Raises:
        ValueError: it is longer than ``longest``, no UTF-8, no JSON, nested too deeply, or no object.
    """
    if len(text) > longest:
        raise ValueError(f"it is longer than {longest // 2**20} MiB")
    try:
        values = json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text) > 20 or abs(value := int(text)) > _LARGEST_WHOLE:
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def read_small(path: Path, longest: int = LONGEST) -> bytes:
    """A file that ought to be short. Raises OSError; ValueError for a longer one, and for a pipe or a device, which
    might keep one waiting."""
    if not path.is_file():
        raise ValueError("it is no file")
    with path.open("rb") as file:
        data = file.read(longest + 1)
    if len(data) > longest:
        raise ValueError(f"it is longer than {longest // 2**20} MiB")
    return data


def check_memory(wanted: int, size: int) -> None:
    """See that ``wanted`` bytes of memory are in proportion to a file of ``size`` bytes."""
    if wanted > max(_GRANTED, DEFLATE * size):
        raise ValueError(f"it announces {wanted / 2**30:.1f} GiB of pixels in {size / 2**20:.1f} MiB")


def inflate(data: bytes, size: int) -> bytes:
    """Exactly ``size`` bytes of a zlib stream, whatever follows them."""
    if size > DEFLATE * len(data):
        raise ValueError("truncated")
    try:
        found = zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise ValueError(f"damaged: {error}") from error
    if len(found) < size:
        raise ValueError("truncated")
    return found


class _Member(tarfile.TarInfo):
    """Of a tar of ours: a plain file. Sparse ones would announce any size, links lead elsewhere."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        member = super().frombuf(buf, encoding, errors)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE) or member.size < 0:
            raise tarfile.ReadError(f"'{member.name[:80]}' in it is no plain file")
        return member


def open_tar(path: str | os.PathLike[str]) -> tarfile.TarFile:
    """A tar of plain files, not compressed, to be read."""
    return tarfile.open(path, "r:", tarinfo=_Member)


def tar_content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The bytes of a file in a tar."""
    size = Path(str(archive.name)).stat().st_size
    file = archive.extractfile(member)
    if file is None or not 0 <= member.size <= size - member.offset_data:
        raise ValueError(f"'{member.name[:80]}' in it is cut short, or no file")
    return file.read()
