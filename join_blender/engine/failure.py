# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that the add-on shows to people."""

from __future__ import annotations


class Failure(Exception):
    """A problem that the user can do something about; shown as one report.

    Args:
        code: stable identifier (the engine's own codes, or ``engine_…``, ``image_…`` of the add-on).
        message: one sentence that says what is wrong and names the file or image.
        hint: one sentence that says what to do about it; may be empty.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()
