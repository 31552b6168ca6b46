# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sets of layers of which one is mixed with the other: what the engine is sent, and what the set keeps of it."""

from __future__ import annotations

from typing import Any

from ..engine.failure import Failure
from ..engine.protocol import Message
from .images import set_properties
from .relight import stored_decomposition
from .sets import DECOMPOSITION, MIXED, label_of, layers_of, refuse_linked, run_of


def mix_request(key: str, other: str) -> tuple[dict[str, bytes], Message]:
    """Files and request for codes of the set ``key`` with a way to those of ``other``.

    Raises:
        Failure: ``mix_impossible``, and as :func:`.relight.stored_decomposition`.
    """
    if key == other:
        words = "A material cannot be mixed with itself."
        raise Failure("mix_impossible", words, "Choose another decomposed image.")
    refuse_linked(key)
    banks = {str(_first(each).get("join_bank_sha256", "")) for each in (key, other)}
    if len(banks) != 1:
        words = f"'{label_of(key)}' and '{label_of(other)}' were made with other banks."
        raise Failure("mix_impossible", words, "Decompose both with the same bank.")
    files = {"mine.join": stored_decomposition(key).decomposition, "other.join": _codes(other)}
    return files, {
        "type": "mix",
        "decomposition": "{folder}/mine.join",
        "other": "{folder}/other.join",
        "output": "{folder}/mixed.join",
    }


def keep_other(key: str, codes: bytes, other: str) -> None:
    """The set's layers hold these codes from now on, with the way to ``other``'s."""
    for layer in layers_of(key).values():
        set_properties(layer, {DECOMPOSITION: codes, MIXED: f"{other} {run_of(other)}"})


def mixed_with(key: str | None) -> str:
    """What the set is called that this one can be mixed with; empty where there is none, or none any more."""
    found = str(_first(key).get(MIXED, "")) if layers_of(key) else ""
    other = found.rpartition(" ")[0]
    return label_of(other) if other and layers_of(other) else other[:6]


def _first(key: str | None) -> Any:
    return next(iter(layers_of(key).values()))


def _codes(key: str) -> bytes:
    found = _first(key).get(DECOMPOSITION) if layers_of(key) else None
    if not found:
        words = "The other layers do not know how they were made."
        raise Failure("mix_impossible", words, "Decompose that image again.")
    return bytes(found)
