# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as Blender's interface knows it: where it lies, its state, and the one task about it that may run.

Drawing asks :func:`status` and :func:`current`; nothing here ever waits, and nothing is started but by an operator.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ..engine import problem
from ..engine.failure import Failure
from ..install import builds, status, task
from ..install.locate import EnginePython, find_python
from ..install.paths import Installed, Paths, choose_folder
from ..install.status import Status, Trial

ADDON = __package__.rsplit(".", 2)[0]
"""The add-on's own name: ``bl_ext.<repository>.join_intrinsics``."""

_TICK = 0.2
_FRESH = 1.0
"""Seconds for which a look at the disk counts: panels ask at every redraw."""

_paths: Paths | None = None
_current: task.Task | None = None
_done: Callable[[task.Task], None] | None = None
"""Called when the current task has an answer."""
_failure: Failure | None = None
_trials: dict[str, Trial] = {}
_shown = ""
_seen: tuple[float, str, Status] | None = None


def paths() -> Paths:
    """Where the engine's own environment lies, whether it is there or not."""
    global _paths
    if _paths is None:
        _paths = Paths(choose_folder(own_folder() / "engine"))
    return _paths


def own_folder() -> Path:
    """The add-on's own in the user's files, whether it is there or not."""
    if ADDON.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(ADDON, create=False))
    # A checkout that a script loads is no extension, and Blender refuses it a folder.
    return Path(bpy.utils.user_resource("DATAFILES", path=ADDON, create=False))


def preference() -> str:
    """The path of the user's own Python, or nothing."""
    manager: Any = bpy.context.preferences
    addon = manager.addons.get(ADDON)
    chosen = addon.preferences.engine_python if addon is not None and addon.preferences is not None else ""
    return bpy.path.abspath(chosen) if chosen else ""


def chosen_python(now: Installed | None = None) -> EnginePython:
    """The Python that will run the engine.

    Args:
        now: the condition of the engine's own environment, where that is known.

    Raises:
        Failure: when there is none, or it is not there any more.
    """
    usable = (now or paths().state()).usable
    return find_python(preference(), installed=paths().python if usable else None)


def installed() -> Installed:
    """The condition of the engine's own environment."""
    return paths().state(_digest())


def status_now() -> Status:
    """The engine's state; a look at the disk at most once a second."""
    global _seen
    key = preference()
    if _seen is None or time.monotonic() - _seen[0] > _FRESH or _seen[1] != key:
        _seen = time.monotonic(), key, _look()
    return _seen[2]


def engine_found() -> bool:
    """Whether there is a Python to run the engine with."""
    return status_now().level in (status.Level.READY, status.Level.UNTRIED)


def current() -> task.Task | None:
    """The task that runs."""
    return _current


def last_failure() -> Failure | None:
    """Why the last task came to nothing, until the next one begins."""
    return _failure


def begin(new: Callable[[], task.Task], done: Callable[[task.Task], None] | None = None) -> task.Task:
    """Start a task. ``done`` is called when it has an answer; in background mode this waits for it.

    Raises:
        Failure: when another one runs, or it cannot be started; in background mode also when it fails.
    """
    global _current, _failure, _done
    if _current is not None:
        raise Failure("busy", f"{_current.what} is not finished yet.", "Wait for it, or cancel it first.")
    _failure = None
    started = new()
    if bpy.app.background:  # timers do not run there
        started.wait()
        _finish(started, done)
        if started.failure is not None:
            raise started.failure
        return started
    _current, _done = started, done
    bpy.app.timers.register(_tick, first_interval=_TICK, persistent=True)
    redraw()
    return started


def remember(python: Path, trial: Trial | None) -> None:
    """What came of testing that interpreter; None to forget it."""
    _trials.pop(str(python), None)
    if trial is not None:
        _trials[str(python)] = trial
    look_again()


def look_again() -> None:
    """Something has changed."""
    global _seen
    _seen = None
    redraw()


def forget_failure() -> None:
    """The user has begun something else."""
    global _failure
    _failure = None


def abandon() -> None:
    """End whatever runs: the add-on is going away."""
    global _current, _failure, _paths, _seen
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _current is not None:
        _current.abandon()
    _current = _failure = _paths = _seen = None
    _trials.clear()


def redraw() -> None:
    """Let every place that shows the engine's state show the new one."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows if manager is not None else ():
        for area in window.screen.areas:
            if area.type in ("PREFERENCES", "IMAGE_EDITOR"):
                area.tag_redraw()


def _tick() -> float | None:
    global _current, _shown
    running = _current
    if running is None:
        return None
    if not running.step():
        words = f"{running.progress.text}{running.progress.fraction:.3f}"
        if words != _shown:
            _shown = words
            redraw()
        return _TICK
    _current = None
    _finish(running, _done)
    return None


def _finish(finished: task.Task, done: Callable[[task.Task], None] | None) -> None:
    global _failure
    _failure = finished.failure
    if _failure is not None:
        problem.note(_failure)
    look_again()
    if done is not None and not finished.cancelled:
        done(finished)


def _look() -> Status:
    now = installed()
    try:
        python = chosen_python(now)
    except Failure as failure:
        return status.describe(None, failure, now, None)
    return status.describe(python, None, now, _trials.get(str(python.path)))


def _digest() -> str | None:
    """Of the build which would be installed today in the place of the one that is."""
    kind = str(paths().state().facts.get("kind", ""))
    try:
        return builds.choose_build(kind).digest
    except Failure:
        return None
