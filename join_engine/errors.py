# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that the engine shows to people: a stable code, a sentence, and a hint what to do."""

from __future__ import annotations


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was lacking. torch has its own ways to say so: a subclass of RuntimeError on CUDA, a plain one on
    the CPU."""
    named = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or named


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
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
