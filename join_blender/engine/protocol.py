# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's protocol: one UTF-8 JSON object per message, ended by a NUL byte.

A NUL never occurs inside JSON text, so a reader can cut the stream without understanding it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    # Escaped to ASCII: a path may hold bytes that UTF-8 cannot say.
    return json.dumps(message).encode("ascii") + b"\0"


class Decoder:
    """Turns the pieces that a pipe delivers into whole messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that ``piece`` completes.

        Raises:
            NotTheProtocol: when a message is no JSON object, or too long to be one.
        """
        if b"\0" not in piece:  # looking through all of a long message again with each piece would take for ever
            self._rest += piece
            whole = []
        else:
            first, *whole = piece.split(b"\0")
            whole.insert(0, bytes(self._rest + first))
            self._rest = bytearray(whole.pop())
        if len(self._rest) > _LONGEST:
            raise NotTheProtocol("a message without an end")
        return [_decode(bytes(text)) for text in whole]


def _decode(text: bytes) -> Message:
    try:
        message = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        raise NotTheProtocol(text[:80].decode("utf-8", "replace")) from error
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise NotTheProtocol(text[:80].decode("utf-8", "replace"))
    return message


AUTO = "auto"
"""In place of a bank's name: one that suits the picture."""


@dataclass(frozen=True)
class Options:
    """What a user chooses for a decomposition."""

    bank: str | None = None
    """A bank's name or path, or :data:`AUTO`; None for the engine's default."""
    preset: str = "standard"
    seed: int = 0
    steps: int | None = None
    """Overrides the preset's number of optimiser steps."""
    device: str = "auto"
    """What the engine shall compute on: auto, cpu or cuda."""


@dataclass(frozen=True)
class Pasting:
    """What of another material goes into a set, and how.

    Args:
        files: "mine.join", the set's stored decomposition; "patch.exr", the other's albedo; and by its component with
            the suffix .exr each of the set's layers in its original light.
        bank: that the set was made with, as :class:`Options` has it.
        scale: of the patch.
        feather: pixels over which its edge is soft.
    """

    files: Mapping[str, bytes]
    bank: str | None
    scale: float = 1.0
    feather: float = 4.0

    @property
    def layers(self) -> list[str]:
        """The components of the set."""
        return [name.removesuffix(".exr") for name in self.files if name.endswith(".exr") and name != "patch.exr"]


PREVIEW_EVERY = 5
"""Optimiser steps between two previews; the client leaves out those that come faster than it can show them."""
PREVIEW_SIZE = 128
"""Longest side of a preview: more than a bank of 64² can show, and little enough to be written in a millisecond."""


def decompose(
    image: Path,
    output: Path,
    options: Options,
    files: bool = False,
    skip_existing: bool = False,
    mask: Path | None = None,
    face: Message | None = None,
) -> Message:
    """The request that splits ``image`` (.npy, or with ``files`` any image file) into layers under ``output``.

    With ``files`` the engine writes EXR, PNG and a report, as its command line does, and sends no previews; with
    ``skip_existing``, too, it leaves out what has a whole result of the same image, bank and settings. Photos stay
    turned as they are stored, because Blender shows them so: a folder's layers fit the photo in Blender like the
    button's. What a ``mask`` (.npy) covers is left out and filled from around. ``face`` tells a bank of faces where the
    face is: its ``points`` or a ``box`` in pixels of the image, from its upper left corner.
    """
    return {
        "type": "decompose",
        "image": str(image),
        "output": str(output),
        "bank": options.bank,
        "preset": options.preset,
        "seed": options.seed,
        "steps": options.steps,
        "preview_every": 0 if files else PREVIEW_EVERY,
        "preview_size": PREVIEW_SIZE,
        "files": files,
        "skip_existing": skip_existing,
        "upright": False,
        "mask": None if mask is None else str(mask),
        "face": face,
    }


def paste(folder: Path, mask: Path, output: Path, pasting: Pasting) -> Message:
    """The request that lays another material's albedo into a set where ``mask`` (.npy) is.

    ``folder`` holds the files of ``pasting``.
    """
    return {
        "type": "paste",
        "decomposition": str(folder / "mine.join"),
        "layers": {name: str(folder / f"{name}.exr") for name in pasting.layers},
        "bank": pasting.bank,
        "patch": str(folder / "patch.exr"),
        "mask": str(mask),
        "scale": pasting.scale,
        "feather": pasting.feather,
        "output": str(output),
    }


def decompose_together(images: Sequence[Path], names: Sequence[str], output: Path, options: Options) -> Message:
    """The request that splits photos (.npy) of one thing under other light into layers with one albedo.

    ``names``: what the user calls them, for messages.
    """
    return {
        "type": "decompose_together",
        "images": [str(image) for image in images],
        "names": list(names),
        "output": str(output),
        "bank": options.bank,
        "preset": options.preset,
        "seed": options.seed,
        "steps": options.steps,
    }


def cancel(job_id: str, keep: bool) -> Message:
    """The request that ends a job; with ``keep`` the engine answers with the best so far."""
    return {"type": "cancel", "id": job_id, "keep": keep}
