# SPDX-License-Identifier: GPL-3.0-or-later
"""Temporary names that tell whose they are, so that what a killed process left is found and removed by the next one.

A name carries machine, number and start of its process: ``.join-3f9a01bc-4711-88123-5e6f.tmp``. The start tells a
process from a later one of the same number.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

STALE = 24 * 3600.0
"""Seconds after which what belongs to a process of another machine is taken for left behind, if nobody touched it."""

_LOCK = ".lock"
_OWNED = re.compile(r"([0-9a-f]{8})-([0-9]+)-([0-9]+)-")
_swept: set[Path] = set()


def owner() -> str:
    """This process, as part of a name."""
    return f"{_machine()}-{os.getpid()}-{_start_of(os.getpid())}"


def temporary_name(ending: str, what: str = "join") -> str:
    """A hidden name that no other process uses, for a file or folder beside its final place."""
    return f".{what}-{owner()}-{secrets.token_hex(4)}{ending}"


def is_left_behind(path: Path, stale: float | None = STALE) -> bool:
    """Whether the process that a name tells of is gone. ``stale``: seconds without a touch after which that is believed
    of another machine's; None for never."""
    match = _OWNED.search(path.name)
    if match is None:
        return False
    machine, number, start = match[1], int(match[2]), int(match[3])
    if machine == _machine():
        return not _is_alive(number) or _start_of(number) != start
    with suppress(OSError):
        return stale is not None and time.time() - path.stat().st_mtime > stale
    return False


def left_behind(folder: Path, pattern: str, stale: float | None = STALE) -> Iterator[Path]:
    """What processes that are gone left in a folder under names of that pattern; nothing of a folder without access."""
    with suppress(OSError):
        yield from [path for path in folder.glob(pattern) if is_left_behind(path, stale)]


def remove(path: Path) -> None:
    """Remove a file or a whole folder, as far as that can be done."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def sweep(folder: Path, ending: str = ".tmp") -> None:
    """Remove what killed processes left in a folder, once for each process and folder."""
    if (key := folder.absolute() / ending) in _swept:
        return
    _swept.add(key)
    for path in left_behind(folder, f".*{ending}"):
        remove(path)


class InUse(Exception):
    """Another process works in a folder; the text says which, and what to do if it does not any more."""


@contextmanager
def alone_in(folder: Path, name: str | None = None) -> Iterator[None]:
    """Work in a folder that no other process works in so: a file with this process's name in it says that it is taken.

    What processes of this machine that are gone left of such files is removed. Two that come at the same moment may
    refuse each other, but never go on both.

    Args:
        name: of one thing in the folder, which alone is taken then.

    Raises:
        InUse: another process is there already.
        OSError: the folder cannot be written to.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    what = "join" if name is None else _hash(name)
    own = folder / temporary_name(_LOCK, what)
    own.touch(exist_ok=False)
    try:
        for path in left_behind(folder, f".*{_LOCK}", stale=None):
            remove(path)
        for path in folder.glob(f".{what}-*{_LOCK}"):
            found = _OWNED.search(path.name)
            if found is None or f"{owner()}-" in path.name:
                continue
            here = found[1] == _machine()
            where = f"process {found[2]}" if here else "a process of another machine"
            raise InUse(where if here else f"{where} (if it has ended, remove '{path}')")
        yield
    finally:
        remove(own)
        if made:
            with suppress(OSError):
                folder.rmdir()  # nothing has come into it


@cache
def _machine() -> str:
    """The machine, or the container, whose processes have these numbers."""
    with suppress(OSError):
        return _hash(f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}")
    return _hash(platform.node())


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _start_of(process: int) -> int:
    """When a process began, in a unit of the system's; 0 where it does not say, -1 of one that has ended already."""
    with suppress(OSError, ValueError, IndexError):
        # Behind the program's name, which may hold anything, in brackets.
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
        told = stat[stat.rindex(")") + 2 :].split()
        return -1 if told[0] == "Z" else int(told[19])
    return 0


def _is_alive(process: int) -> bool:
    if sys.platform == "win32":
        return _is_alive_on_windows(process)
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _is_alive_on_windows(process: int) -> bool:
    # Not os.kill: there it would send a Ctrl-C.
    import ctypes

    limited_information, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]
    handle = kernel.OpenProcess(limited_information, False, process)
    if not handle:
        return False
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not known or code.value == still_active
