# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory programs can still get, asked before work begins: for engine and add-on."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from pathlib import Path

BASE = 1000 << 20
"""Bytes that the engine takes for any image: torch, a bank, a search, a strip of layers."""
BYTES_PER_PIXEL = 26
"""What the engine holds at its worst for each pixel of an image (measured: docs/results.md)."""
BYTES_PER_PIXEL_WITH_ALPHA = 40
"""The same of one with alpha, which is filled in a copy."""
WHOLE_BYTES_PER_PIXEL = 160
"""The same with a bank that has no split network: its layers are made in one piece."""


def available() -> int | None:
    """Bytes of memory that this process can still get; None where the system does not say."""
    try:
        if sys.platform == "win32":
            return _windows()
        if sys.platform.startswith("linux"):
            return min(_linux(), _left_of_group(), _left_of_limit())
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        return None


def fits(width: int, height: int, free: int | None, per_pixel: int = BYTES_PER_PIXEL) -> bool:
    """Whether an image can be worked on in so many bytes; True where they are not known."""
    return free is None or width * height * per_pixel + BASE <= free


def largest_that_fits(width: int, height: int, free: int, per_pixel: int = BYTES_PER_PIXEL) -> tuple[int, int] | None:
    """Width and height after the least shrinking, by a whole number, that helps; None where nothing does."""
    factor = smallest_shrink(width, height, free, per_pixel)
    return None if factor is None else (width // factor, height // factor)


def smallest_shrink(width: int, height: int, free: int, per_pixel: int = BYTES_PER_PIXEL) -> int | None:
    """By how much an image has to be shrunk; None where nothing helps."""
    pixels = (free - BASE) // per_pixel
    if pixels < 16 * 16:
        return None
    return max(1, math.ceil(math.sqrt(width * height / pixels)))


def _linux() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _left_of_group() -> int:
    """What a container or a service leaves (cgroup v2); what its file cache holds can be had back."""
    group = Path("/sys/fs/cgroup")
    try:
        most = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        words = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
        cached = int(words.get("inactive_file", 0)) + int(words.get("active_file", 0))
        return sys.maxsize if most == "max" else int(most) - used + cached
    except (OSError, ValueError):
        return sys.maxsize


def _left_of_limit() -> int:
    """What ``ulimit -v`` leaves. It counts addresses, of which a process takes far more than it uses."""
    import resource

    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    if most == resource.RLIM_INFINITY:
        return sys.maxsize
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return most - pages * resource.getpagesize()


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
