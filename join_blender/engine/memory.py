# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an image fits into this computer's memory, asked before the work begins and not after."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from pathlib import Path

from .failure import Failure

BYTES_PER_PIXEL = 200
"""What Blender and the engine hold at their worst for each pixel of an image; extrapolated from 2048²."""
_BASE = 1 << 30
"""What the engine needs for any image."""


def available() -> int | None:
    """Bytes of memory that programs can still get; None where the system does not say."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform.startswith("linux"):
            return _linux()
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def refuse_too_large(name: str, width: int, height: int, free: int | None) -> None:
    """Raise Failure ``image_too_large``, which names the size that fits, where ``free`` bytes are not enough."""
    if free is None or width * height * BYTES_PER_PIXEL + _BASE <= free:
        return
    fit = largest_that_fits(width, height, free)
    advice = f"It fits at {fit[0]} × {fit[1]}." if fit is not None else "Close other programs."
    raise Failure(
        "image_too_large",
        f"The image '{name}' is {width} × {height}, for which the memory is not enough.",
        f"{advice} Choose a Reduce of more, or crop it.",
    )


def smallest_shrink(width: int, height: int, free: int) -> int | None:
    """By how much an image has to be shrunk; None where nothing helps."""
    pixels = (free - _BASE) // BYTES_PER_PIXEL
    if pixels < 16 * 16:
        return None
    return max(1, math.ceil(math.sqrt(width * height / pixels)))


def largest_that_fits(width: int, height: int, free: int) -> tuple[int, int] | None:
    """The size after the least shrinking that helps."""
    factor = smallest_shrink(width, height, free)
    return None if factor is None else (width // factor, height // factor)


def _linux() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "b", "c", "d", "e", "f")),
        )

    status = Status()
    status.length = ctypes.sizeof(Status)
    ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined]
    return int(status.free)
