# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of a bank's card that tools write, each between two markers; what stands around them stays."""

from __future__ import annotations

from pathlib import Path

from ..images import write_text


def put_part(card: Path, begin: str, end: str, text: str) -> None:
    """Put ``text``, which begins and ends with these markers, in the place of what lies between them, or at the end.

    Raises:
        JoinError: ``output_unwritable``.
    """
    old = card.read_text(encoding="utf-8") if card.is_file() else ""
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if found and closed:
        write_text(card, f"{before}{text}{after}")
    else:
        write_text(card, f"{old.rstrip()}\n\n{text}\n".lstrip())
