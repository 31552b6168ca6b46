# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the engine's environment lies, and in which state it is. Looking costs a few file reads and starts nothing.

Below the add-on's own folder in the user's files::

    env/           the finished environment; env/installed.json says what it is
    new/           one that is being made; it is renamed to env when it is complete, so a killed installation counts
                   for nothing
    wheels/        what has been downloaded; kept until the installation is complete, so the next try goes on from it
    install.log    what pip said
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from ..engine.failure import Failure

_LONGEST_INSIDE = 200
"""Letters of the longest path in an environment with torch, below the folder that holds it."""
_LONGEST_ON_WINDOWS = 259


class Condition(Enum):
    """Of the environment."""

    MISSING = "missing"
    UNFINISHED = "unfinished"
    BROKEN = "broken"
    OLD = "old"
    READY = "ready"


@dataclass(frozen=True)
class Installed:
    """The environment's condition, and what ``installed.json`` tells of it."""

    condition: Condition
    facts: dict[str, Any]
    why: str = ""
    """For a broken one: half a sentence."""

    @property
    def usable(self) -> bool:
        """Whether the engine can run with it."""
        return self.condition in (Condition.READY, Condition.OLD)


class Paths:
    """The paths below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "env"
        self.python = python_in(self.environment)
        self.marker = self.environment / "installed.json"
        self.unfinished = folder / "new"
        self.outgoing = folder / "old"
        self.wheels = folder / "wheels"
        self.scratch = folder / "temp"
        """For pip's temporary files: on the same disk as the rest, which the system's folder need not be."""
        self.log = folder / "install.log"
        self.lock = folder / "lock"

    def state(self, digest: str | None = None) -> Installed:
        """How things are. ``digest`` is that of the build which would be installed today, to notice an old one."""
        if not self.environment.is_dir():
            partial = self.unfinished.is_dir() or (self.wheels.is_dir() and any(self.wheels.iterdir()))
            return Installed(Condition.UNFINISHED if partial else Condition.MISSING, {})
        try:
            facts = json.loads(self.marker.read_text(encoding="utf-8"))
            digests = facts["digest"], facts["base"]
        except (OSError, ValueError, KeyError, TypeError):
            return Installed(Condition.BROKEN, {}, "its list of contents is damaged")
        if not self.python.is_file():  # follows the link to Blender's Python
            return Installed(Condition.BROKEN, facts, "the Blender that it was made with was moved, updated or removed")
        return Installed(Condition.OLD if digest not in (None, digests[0]) else Condition.READY, facts)


def python_in(environment: Path) -> Path:
    """The interpreter of a virtual environment."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def choose_folder(extension_folder: Path, windows: bool | None = None, local: str | None = None) -> Path:
    """Where the environment shall lie: in the extension's own folder of the user's files.

    Windows refuses paths of more than 259 letters, and torch has long ones: where the extension's folder would make
    them too long it is a short one in the user's local application data instead.
    """
    windows = sys.platform == "win32" if windows is None else windows
    local = os.environ.get("LOCALAPPDATA", "") if local is None else local
    if windows and local and len(str(extension_folder)) + _LONGEST_INSIDE > _LONGEST_ON_WINDOWS:
        return Path(local) / "JoIN"
    return extension_folder


def free_bytes(folder: Path) -> int:
    """Free space on the disk of ``folder``, which need not exist yet."""
    while not folder.exists() and folder.parent != folder:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def gigabytes(size: int) -> str:
    """``219 MB`` or ``1.2 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


def remove(paths: Paths) -> None:
    """Delete the environment and all that an installation left; never anything outside ``paths.folder``.

    Raises:
        Failure: ``in_use`` when a file cannot be deleted (on Windows: while the engine runs).
    """
    try:
        if paths.environment.exists():
            # All or nothing: a folder that is in use cannot be renamed, and then nothing is lost.
            _delete(paths.outgoing)
            paths.environment.rename(paths.outgoing)
        for path in (paths.outgoing, paths.unfinished, paths.wheels, paths.scratch):
            _delete(path)
        for path in (paths.log, paths.lock):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise Failure(
            "in_use",
            f"The engine's files in {paths.folder} cannot be deleted ({error.strerror or error}).",
            "Stop every decomposition, close other Blenders and try again.",
        ) from error


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
