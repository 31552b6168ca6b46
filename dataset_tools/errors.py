# SPDX-License-Identifier: GPL-3.0-or-later
"""The exceptions whose text is meant for the person at the shell."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; its message is one sentence that says what to do."""


class SampleError(UserError):
    """One sample cannot be made: it is put into quarantine, and the others go on."""
