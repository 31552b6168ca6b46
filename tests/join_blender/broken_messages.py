# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that nobody should send: cut, twisted, of the wrong types, too deep, or no messages at all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

_ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "\0",
    "\ud800",
    "grün – 緑",
    "/dev/null",
    [],
    {},
    [[]],
    {"a": {}},
    "x" * 5000,
)


def broken(seed: int, count: int, templates: list[dict[str, Any]]) -> Iterator[bytes]:
    """``count`` messages, each with its NUL, most of which start as one of the templates."""
    rng = random.Random(seed)
    for _ in range(count):
        message = dict(rng.choice(templates))
        kind = rng.random()
        if kind < 0.6:
            yield _encode(_with_odd_values(rng, message)) + b"\0"
        elif kind < 0.75:
            text = bytearray(_encode(message))
            for _ in range(rng.randint(1, 4)):
                text[rng.randrange(len(text))] = rng.randrange(256)
            yield bytes(text) + b"\0"
        elif kind < 0.85:
            text = _encode(message)
            yield text[: rng.randrange(len(text))] + b"\0"
        elif kind < 0.9:
            depth = rng.choice((10, 500, 5000))
            yield b"[" * depth + b"]" * depth + b"\0"
        elif kind < 0.95:
            yield rng.randbytes(rng.randrange(200)) + b"\0"
        else:
            yield json.dumps(rng.choice(_ODD)).encode() + b"\0"


def _with_odd_values(rng: random.Random, message: dict[str, Any]) -> dict[str, Any]:
    for key in rng.sample(sorted(message), k=rng.randint(1, len(message))):
        if key == "type" and rng.random() < 0.8:
            continue  # most should get past the first look
        if rng.random() < 0.3:
            del message[key]
        else:
            message[key] = rng.choice(_ODD)
    return message


def _encode(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()
