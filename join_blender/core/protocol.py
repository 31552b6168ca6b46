# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's protocol: one UTF-8 JSON object per message, ended by a NUL byte.

A NUL never occurs inside JSON text, so a reader can cut the stream without understanding it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Message = dict[str, Any]

VERSION = 1
"""The protocol that this add-on speaks; the engine names its own in ``hello``."""

_LONGEST = 16 * 1024 * 1024
"""Pixels never travel in messages, so one this long comes from something that is no engine."""


class NotTheProtocol(ValueError):
    """What arrived is no message of this protocol."""


def encode(message: Message) -> bytes:
    """One message as it goes over the pipe."""
    return json.dumps(message, ensure_ascii=False).encode("utf-8") + b"\0"


class Decoder:
    """Turns the pieces that a pipe delivers into whole messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that ``piece`` completes.

        Raises:
            NotTheProtocol: when a message is no JSON object, or too long to be one.
        """
        self._rest += piece
        *whole, rest = self._rest.split(b"\0")
        self._rest = bytearray(rest)
        if len(self._rest) > _LONGEST:
            raise NotTheProtocol("a message without an end")
        return [_decode(bytes(text)) for text in whole]


def _decode(text: bytes) -> Message:
    try:
        message = json.loads(text.decode("utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise NotTheProtocol(text[:80].decode("utf-8", "replace")) from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise NotTheProtocol(text[:80].decode("utf-8", "replace"))
    return message


@dataclass(frozen=True)
class Options:
    """What a user chooses for a decomposition."""

    bank: str | None = None
    """A bank's name or path; None leaves the choice to the engine."""
    preset: str = "standard"
    seed: int = 0
    steps: int | None = None
    """Overrides the preset's number of optimiser steps."""


def decompose(job_id: str, image: Path, output: Path, options: Options) -> Message:
    """The request that splits ``image`` (.npy) into layers under ``output``."""
    return {
        "type": "decompose",
        "id": job_id,
        "image": str(image),
        "output": str(output),
        "bank": options.bank,
        "preset": options.preset,
        "seed": options.seed,
        "steps": options.steps,
        "preview_every": 0,
    }


def cancel(job_id: str, keep: bool) -> Message:
    """The request that ends a job; with ``keep`` the engine answers with the best so far."""
    return {"type": "cancel", "id": job_id, "keep": keep}
