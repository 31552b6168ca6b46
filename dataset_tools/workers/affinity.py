# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep Blender's task scheduler to one thread.

A worker renders on one thread, but Blender's scheduler (TBB) makes one for every processor it finds when it starts, and
in each render one of them spins while it waits: measured as much system time again as the rendering itself. What the
scheduler finds is what this process may run on at that moment. A Blender program takes ``-t 1`` for the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_processor() -> Iterator[None]:
    """Only one processor is seen inside the block; all of them again behind it. Does nothing where systems can't."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
