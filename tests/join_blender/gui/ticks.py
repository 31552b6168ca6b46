# SPDX-License-Identifier: GPL-3.0-or-later
"""How long Blender's main thread is held while the add-on works: runs in the Blender that ``click.py`` clicks in.

Two clocks for each of the add-on's own ticks: the wall's, which on a busy machine also counts the time of everybody
else, and that of the thread itself. What took the time of a long tick is noted with it.
"""

from __future__ import annotations

import gc
import importlib
import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import bpy

WRITING, UNDO = "a finished layer is written", "the step of undo is taken"
"""What a tick may be spent on that no add-on can do in pieces."""
_NOTEWORTHY = 0.008
"""Seconds from which on the parts of a tick are kept."""

_TICKS = (
    ("ui.running", "step"),
    ("ui.relight_updates", "_on_timer"),
    ("ui.relight_updates", "touch"),
    ("ui.relight_updates", "_begin_quietly"),
    ("ui.engine_state", "_tick"),
    ("host.images", "_tell"),
    ("overlay.steady_view", "_put_back"),
)
_PARTS = {
    "ui.running": ("_push_undo", "_show", "_on_end", "_do_a_piece", "_finish_later", "redraw", "redraw_sidebars"),
    "ui.relight_updates": ("_show", "_set_preview", "_forget_outdated", "_settle", "_write_next", "begin"),
    "ui.compare": ("refresh", "show_recomposed"),
    "overlay.live": ("show", "size_for"),
    "ui.engine_state": ("status_now",),
    "engine.queue.Queue": ("step",),
    "engine.connection.Connection": ("step", "add", "start", "end"),
    "engine.background.Future": ("__init__",),
    "engine.process.EngineProcess": ("__init__", "poll", "send"),
    "engine.relight.Relight": ("__init__", "_collect", "_ask", "_submit"),
    "engine.decomposition.Decomposition": ("take_preview", "take_layer", "compact", "close"),
    "host.compositor": ("follow",),
    "host.images": ("new_layer", "fill_layer", "packed_exr", "read_source"),
    "host.relight": ("keep_original", "write_layer", "stored_decomposition"),
    "host.layers.LayerSet": ("_show_preview", "write", "settle", "discard"),
}


_DRAWN = (
    "overlay.live",
    "overlay.readable",
    "overlay.wipe",
    "overlay.light_handle",
    "overlay.legend",
    "overlay.steady_view",
    "ui.faces",
)
"""What draws over the picture; of *readable* and *wipe* most is Blender's, which uploads an image."""
_HANDLERS = ("ui.running", "HANDLERS"), ("ui.relight_updates", "_HANDLERS")


class Meter:
    """Wraps the add-on's functions; ``situation`` says what is going on."""

    def __init__(self, package: str, situation: Callable[[], str]) -> None:
        self.own: dict[str, list[list[Any]]] = {}
        """What went on → [seconds by the wall, seconds of the thread, parts of it] of each tick of the add-on."""
        self.loop: dict[str, list[list[float]]] = {}
        """What went on → [seconds, of them the add-on's] from one look at Blender's main loop to the next."""
        self.called: dict[str, list[list[float]]] = {}
        """What Blender calls by itself → [seconds by the wall, seconds of the thread] of each call."""
        self.own_total = 0.0
        self._situation = situation
        self._parts: dict[str, float] | None = None
        self._collecting = 0.0
        gc.callbacks.append(self._on_collection)
        for name, functions in _PARTS.items():
            for function in functions:
                self._wrap(
                    _find(package, name), function, lambda work, label=f"{name}.{function}": self._part(label, work)
                )
        for name, function in _TICKS:
            self._wrap(_find(package, name), function, self._tick)
        self._watch_drawing(package)
        for name, table in _HANDLERS:
            self._watch_handlers(_find(package, name), table)

    def _watch_drawing(self, package: str) -> None:
        interface = _find(package, "ui")
        interface._out_of_editors()
        for name in _DRAWN:
            self._wrap(_find(package, name), "draw", lambda work, label=f"{name} draws": self._timed(label, work))
        interface._into_editors()
        for panel in interface.CLASSES:
            if issubclass(panel, bpy.types.Panel):
                self._watch_panel(panel)

    def _watch_panel(self, panel: Any) -> None:
        draw, poll = self._timed("panels", panel.draw), self._timed("panels' polls", getattr(panel, "poll", None))

        # Blender counts the arguments of what it calls.
        def drawn(self: Any, context: Any) -> None:
            draw(self, context)

        def polled(_cls: Any, context: Any) -> Any:
            return poll(context)

        panel.draw = drawn
        if hasattr(panel, "poll"):
            panel.poll = classmethod(polled)

    def _watch_handlers(self, module: Any, table: str) -> None:
        watched = []
        for name, handler in getattr(module, table):
            handlers = getattr(bpy.app.handlers, name)
            watched.append((name, self._timed(f"handlers of {name}", handler)))
            handlers[handlers.index(handler)] = watched[-1][1]
        setattr(module, table, tuple(watched))

    def _timed(self, label: str, work: Any) -> Callable[..., Any]:
        """What Blender calls by itself, beside the ticks."""

        @wraps(work)
        def run(*arguments: Any, **named: Any) -> Any:
            wall, thread = time.perf_counter(), time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                wall, thread = time.perf_counter() - wall, time.thread_time() - thread
                self.called.setdefault(label, []).append([round(wall, 5), round(thread, 5)])

        return run

    def looked(self, seconds: float, own: float, label: str) -> None:
        """Blender's main loop came round, of which the add-on took ``own``."""
        self.loop.setdefault(label, []).append([round(seconds, 5), round(own, 5)])

    @staticmethod
    def _wrap(owner: Any, name: str, wrapper: Callable[[Any], Any]) -> None:
        setattr(owner, name, wrapper(getattr(owner, name)))

    def _tick(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            label, self._parts = self._situation(), {}
            wall, thread = time.perf_counter(), time.thread_time()
            try:
                return work(*arguments, **named)
            finally:
                wall, thread = time.perf_counter() - wall, time.thread_time() - thread
                parts, self._parts = self._parts, None
                self.own_total += wall
                if "host.images.fill_layer" in parts and "host.layers.LayerSet._show_preview" not in parts:
                    label = WRITING
                elif parts.get("ui.running._push_undo"):
                    label = UNDO
                kept = {name: round(spent, 4) for name, spent in parts.items() if spent > 0.001}
                note = [kept] if wall > _NOTEWORTHY else []
                self.own.setdefault(label, []).append([round(wall, 5), round(thread, 5), *note])

        return run

    def _part(self, label: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*arguments, **named)
            finally:
                if self._parts is not None and threading.current_thread() is threading.main_thread():
                    self._parts[label] = self._parts.get(label, 0.0) + time.perf_counter() - start

        return run

    def _on_collection(self, phase: str, _info: dict[str, int]) -> None:
        """Python's garbage collector, which stops every thread, whoever set it off."""
        if phase == "start":
            self._collecting = time.perf_counter()
        elif self._parts is not None:
            spent = time.perf_counter() - self._collecting
            self._parts["garbage collection"] = self._parts.get("garbage collection", 0.0) + spent


def _find(package: str, name: str) -> Any:
    """A module, or a class in one."""
    *path, last = name.split(".")
    if last[0].isupper():
        return getattr(importlib.import_module(f"{package}.{'.'.join(path)}"), last)
    return importlib.import_module(f"{package}.{name}")
