# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception whose text is meant for the person at the shell."""

from __future__ import annotations


class UserError(Exception):
    """Something the user can put right; its message is one sentence that says what to do."""
