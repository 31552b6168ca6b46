# SPDX-License-Identifier: GPL-3.0-or-later
"""The processors that Blender sees, and the memory that this process holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataset_tools.errors import UserError


@contextmanager
def one_processor() -> Iterator[None]:
    """Only one processor is seen inside the block; all of them again behind it. Does nothing where systems can't.

    A worker renders on one thread, but Blender's scheduler (TBB) makes one for every processor it finds when it starts,
    and in each render one of them spins while it waits: measured as much system time again as the rendering itself.
    What the scheduler finds is what this process may run on at that moment. A Blender program takes ``-t 1`` for the
    same.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def start_blender() -> Any:
    """The module bpy, imported on one processor. Raises UserError where there is none."""
    try:
        with one_processor():
            import bpy  # type: ignore[import]
    except ImportError as error:
        how = "run 'blender -b -P dataset_tools/render.py -- …' or install bpy"
        raise UserError(f"This Python has no bpy module ({error}): {how}.") from None
    return bpy


def resident_bytes() -> int | None:
    """Bytes in memory: now on Linux, the highest so far on macOS, None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(highest if sys.platform == "darwin" else highest * 1024)
