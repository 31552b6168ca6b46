# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers were filled with, kept beside Blender. To take it out of Blender again copies it twice and into memory
that is new, while the window waits: 14 ms for 600 × 400 pixels (docs/results.md)."""

from __future__ import annotations

from .memory import available

MOST = 1 << 30
"""Bytes: a set of 4K with its relit layers, and the half of another."""
_SHARE = 4
"""One part in so many of the memory that is left."""

_kept: dict[str, bytes] = {}
"""By the mark of :data:`join_blender.host.images.CONTENT`, the latest used last."""


def room() -> int:
    """How many bytes are kept at most, as long as memory is not short."""
    left = available()
    return MOST if left is None else min(MOST, left // _SHARE)


def keep(mark: str, data: bytes) -> None:
    """Have it at hand, instead of what was used the longest ago."""
    _kept.pop(mark, None)
    _kept[mark] = data
    most = room()
    while sum(map(len, _kept.values())) > most:
        del _kept[next(iter(_kept))]


def recall(mark: str, size: int) -> bytes | None:
    """What was kept under that mark, if it is of ``size`` bytes: what Blender has packed itself since is of another."""
    data = _kept.get(mark)
    if data is None or len(data) != size:
        return None
    _kept[mark] = _kept.pop(mark)
    return data


def forget_all() -> None:
    """Another file is about to be loaded, or the add-on is going away."""
    _kept.clear()
