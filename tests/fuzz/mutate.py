# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to spoil bytes and JSON, each drawn from a random stream, and to make containers look sound again after it."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Callable, Sequence
from typing import Any

Repair = Callable[[bytes], bytes]

_WHOLES = (0, 1, 2, 7, 16, 127, 128, 255, 256, 4096, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -1e308, 1e308, 2**31, 2**63 - 1,
    "", "\0", "\ud800", "grün – 緑", "..", "/dev/null", "x" * 300, "x" * 5000, [], {}, [[]], [None], {"a": {}},
)  # fmt: skip
# No reader of JSON lets these in; one of them is enough to be refused.
_NO_NUMBERS: tuple[Any, ...] = (2**63, 10**400, float("nan"), float("inf"))


def spoiled(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """``data`` after one to five changes; ``others`` lend it pieces."""
    text = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        if not text:
            break
        # Headers stand in front, and there most is decided.
        length = len(text) if rng.random() < 0.4 else min(len(text), rng.choice((64, 512, 4096)))
        place = rng.randrange(length)
        change = rng.randrange(9)
        if change == 0:
            text[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            text[place] = rng.randrange(256)
        elif change in (2, 3):
            layout = rng.choice(("<I", ">I", "<H", ">H", "<Q", ">Q", "<i"))
            size = struct.calcsize(layout)
            value = rng.choice(_WHOLES) % 2 ** (8 * size - (layout == "<i"))
            text[place : place + size] = struct.pack(layout, value)
        elif change == 4:
            del text[place:]
        elif change == 5:
            del text[place : place + rng.choice((1, 2, 4, 16, 1000))]
        elif change == 6:
            text[place:place] = rng.randbytes(rng.choice((1, 4, 64)))
        elif change == 7:
            piece = text[place : place + rng.choice((1, 8, 64, 512))]
            text[place:place] = piece * rng.choice((1, 2, 50))
        else:
            other = rng.choice(others)
            start = rng.randrange(len(other))
            text[place : place + 200] = other[start : start + rng.choice((4, 32, 200))]
    return bytes(text)


def spoiled_json(rng: random.Random, values: Any) -> Any:
    """The same values after a few changes somewhere within them."""
    values = json.loads(json.dumps(values))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        places = list(_places(values))
        if not places:
            break
        parent, key = rng.choice(places)
        kind = rng.random()
        if kind < 0.15:
            del parent[key]
        elif kind < 0.3 and isinstance(parent[key], int | float) and not isinstance(parent[key], bool):
            parent[key] = parent[key] * rng.choice((-1, 0, 2, 1000, 2**20)) + rng.choice((-1, 0, 1))
        elif kind < 0.4:
            other, name = rng.choice(places)
            parent[key] = json.loads(json.dumps(other[name])) if name in _keys(other) else None
        elif kind < 0.45:
            deep: Any = 1
            for _ in range(rng.choice((5, 50))):
                deep = [deep] if rng.random() < 0.5 else {"a": deep}
            parent[key] = deep
        elif kind < 0.5 and isinstance(parent, dict):
            parent[str(rng.choice(_ODD))[:500]] = copy.deepcopy(parent[key])
        else:
            # A copy: a later change may be within it, and the next case shall find it as it is here.
            parent[key] = copy.deepcopy(rng.choice(_ODD if rng.random() < 0.95 else _NO_NUMBERS))
    return values


def _places(values: Any) -> list[tuple[Any, Any]]:
    found = []
    for key in _keys(values):
        found.append((values, key))
        found += _places(values[key])
    return found


def _keys(values: Any) -> list[Any]:
    return list(values) if isinstance(values, dict) else list(range(len(values))) if isinstance(values, list) else []


def spoiled_safetensors(rng: random.Random, data: bytes, key: str) -> bytes:
    """A safetensors file whose own header, or the JSON that it has under ``key``, is changed; its length is right."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    if rng.random() < 0.75:
        own = spoiled_json(rng, json.loads(header["__metadata__"][key]))
        own.pop(rng.choice(("weights_sha256", "sha256", "")), None) if isinstance(own, dict) else None
        text = json.dumps(own)
        if rng.random() < 0.05:
            text = rng.choice(
                ("[" * 100_000, '{"a":' * 50_000, text[: len(text) // 2], text.replace(":", ":1e999,", 1))
            )
        header["__metadata__"][key] = text
    else:
        header = spoiled_json(rng, header)
    written = json.dumps(header).encode()
    return struct.pack("<Q", len(written)) + written + data[8 + length :]


def sound_png(data: bytes) -> bytes:
    """With the checksums that belong to its chunks."""
    text, place = bytearray(data), 8
    while place + 12 <= len(text):
        (length,) = struct.unpack(">I", text[place : place + 4])
        end = place + 8 + length
        if end + 4 > len(text):
            break
        text[end : end + 4] = struct.pack(">I", zlib.crc32(text[place + 4 : end]))
        place = end + 4
    return bytes(text)


def sound_tar(data: bytes) -> bytes:
    """With the checksum that belongs to each header."""
    text, place = bytearray(data), 0
    while place + 512 <= len(text) and any(text[place : place + 512]):
        text[place + 148 : place + 156] = b" " * 8
        text[place + 148 : place + 156] = b"%06o\0 " % sum(text[place : place + 512])
        digits = bytes(byte for byte in text[place + 124 : place + 136] if byte in b"01234567")
        size = int(digits or b"0", 8)
        place += 512 + -(-size // 512) * 512
    return bytes(text)
