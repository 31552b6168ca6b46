# SPDX-License-Identifier: GPL-3.0-or-later
"""The one kind of error that the add-on shows to people."""

from __future__ import annotations

from .vocabulary import errors


class Failure(errors.JoinError):
    """A problem that the user can do something about; shown as one report.

    Args:
        code: stable identifier (the engine's own codes, or ``engine_…``, ``image_…`` of the add-on).
        message: one sentence that says what is wrong and names the file or image.
        hint: one sentence that says what to do about it; may be empty.
    """
