# SPDX-License-Identifier: GPL-3.0-or-later
"""Where short-lived files go: EXRs travel between Blender, the OpenEXR package and us as files only."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from join_engine import leftovers

VARIABLE = "JOIN_SCRATCH"
_PREFIX = "join-render-"
_STALE_SECONDS = 24 * 3600.0


def scratch_folder() -> str | None:
    """The folder named by JOIN_SCRATCH, memory where the system offers it, else None: the system's temporary folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None


def prefix() -> str:
    """What the names of this process's folders begin with."""
    return f"{_PREFIX}{leftovers.owner()}-"


def remove_stale() -> None:
    """Remove folders of killed runs: those of processes that are gone, or that nobody has touched for a day."""
    for path in Path(scratch_folder() or tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if leftovers.is_left_behind(path) or time.time() - path.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
