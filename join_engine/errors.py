# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that the engine shows to people: a stable code, a sentence, and a hint what to do; and how work
ends that nobody waits for."""

from __future__ import annotations

import re

# Control characters, ends of lines, what turns the direction of writing, and bytes of a name that are no UTF-8.
_UNSEEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


def one_line(text: str) -> str:
    """Text for people that may hold names of files: what would end the line, command the terminal or could not be
    printed stands there as Python writes it."""
    return _UNSEEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking. torch has its own ways to say so: a subclass of RuntimeError on CUDA, a plain one on
    the CPU."""
    named = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or named


class Discarded(Exception):
    """Nobody wants the result any more."""


class JoinError(Exception):
    """A problem that the user can do something about.

    Args:
        code: stable identifier for programs (``image_missing``, ``bank_broken`` …); part of the protocol.
        message: one clear sentence that says what is wrong and names the file or value.
        hint: one sentence that says what to do about it; may be empty.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = one_line(message)
        self.hint = one_line(hint)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
