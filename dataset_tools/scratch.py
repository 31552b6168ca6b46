# SPDX-License-Identifier: GPL-3.0-or-later
"""Where short-lived files go: EXRs travel between Blender, the OpenEXR package and us as files only."""

from __future__ import annotations

import os
from pathlib import Path


def scratch_folder() -> str | None:
    """Memory where the system offers it; None for the system's temporary folder."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and os.access(memory, os.W_OK) else None
