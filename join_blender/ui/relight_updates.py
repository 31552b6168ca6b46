# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves the light: the values of the scene on one side, the engine on the other, a timer and handlers between.

The values are properties of the scene, so that they can be animated. While a slider moves, the newest values become a
preview, as large as the picture is on the screen and drawn over it; when it rests, the layers. When the frame changes,
the values of that frame do, and while rendering (or in background mode) Blender waits for them. An engine of its own,
apart from the one that decomposes, answers at once.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from functools import partial
from typing import Any

import bpy
import bpy.utils.previews
from bpy.app.handlers import persistent

from ..engine.connection import Connection
from ..engine.failure import Failure
from ..engine.relight import Edits, Relight, Update
from ..host import images, relight_values, sets, undo
from ..host import relight as host
from ..overlay import light_handle, live
from . import compare, decompose, running

_TICK, _IDLE_TICK = 0.01, 1.0
"""Seconds between two looks at the engine, with and without work."""
_UNDO_AFTER = 0.3
"""Seconds after a slider's last move that its step of undo is taken, where Blender takes none by itself."""

connection = Connection()
lights: dict[str, Relight] = {}
"""By set: those whose engine has been asked for."""
_codes: dict[str, str] = {}
"""By set: the codes that its light is about, see :func:`join_blender.host.sets.codes_of`."""
_pictured: dict[str, Edits] = {}
"""By set: the values that the small picture shows."""
_previews: Any = None
_warmed: set[str] = set()
"""Sets whose engine was started before anything was asked of it."""
_unwritten: dict[str, Update] = {}
"""By set: the newest full layers, of which each tick writes one."""
_contents: dict[int, str] = {}
"""What the layers held before the undo that is under way."""
_lock = threading.RLock()
"""A render works in a thread of its own."""


# --- interactive --------------------------------------------------------------------------------------------------


def begin(set_id: str) -> Relight:
    """The light of a set, with an engine that is on its way.

    Raises:
        Failure: where there is no engine, or the layers do not know their codes.
    """
    with _lock:
        sets.refuse_linked(set_id)
        host.refuse_incomplete(set_id)
        _forget_outdated()
        light = lights.get(set_id)
        if light is None:
            launch = decompose.make_launch("auto")
            size = live.size_for(set_id)
            light = Relight(host.stored_decomposition(set_id), launch, bpy.app.tempdir or None, size)
            lights[set_id], _codes[set_id] = light, sets.codes_of(set_id)
            connection.start(launch)
        _wake()
        return light


def warm(set_id: str) -> None:
    """A set with sliders is on the screen: let its engine start, so that the first move need not wait for it. Once for
    each file; an engine that nobody asks for anything uses no processor, and ends after a while."""
    if set_id in _warmed or set_id in lights or bpy.app.background:
        return
    _warmed.add(set_id)
    bpy.app.timers.register(partial(_begin_quietly, set_id), first_interval=_TICK)


def _begin_quietly(set_id: str) -> float | None:
    if host.bring_to_hand(set_id):
        return _TICK
    with contextlib.suppress(Failure):  # whoever moves a slider hears why
        begin(set_id)
    return None


def _forget_outdated() -> None:
    """Lights of sets that are gone, undone, or have got new layers."""
    for set_id in list(lights):
        if sets.codes_of(set_id) != _codes[set_id]:
            lights.pop(set_id).close()
            for known in (_codes, _unwritten, _pictured):
                known.pop(set_id, None)
            _forget_pictures(set_id)
            live.forget(set_id)


def moved(item: Any) -> None:
    """A slider was moved."""
    if not relight_values.are_filled() and not bpy.app.background and not undo.blender_records_sliders(bpy.context):
        running.undo_soon("Move Light", _UNDO_AFTER)
    touch(item)


def touch(item: Any, again: bool = False) -> None:
    """A value has changed: ask for what it shows, now. ``again``: the layers have lost what was made for it."""
    if relight_values.are_filled() or not item.values or bpy.app.background:
        return  # a script says join.relight_apply when it has set them all
    try:
        light = begin(item.set_id)
    except Failure as failure:
        running.refuse(failure)
        return
    with _lock:
        light.want(relight_values.edits_of(item), rested=again, size=live.size_for(item.set_id))
        _step(write=False)


def apply(item: Any, edits: Edits) -> None:
    """Let the layers and what is made of them show ``edits``; blocks until they do.

    Raises:
        Failure: why they do not.
    """
    names = relight_values.components_of(item)
    if names and host.shown_edits(item.set_id, names) != edits:
        with _lock:
            light = begin(item.set_id)
            light.wait_for_directions(connection)
            update = light.wait(connection, edits)
        _write_all(item.set_id, update)
    if names and item.set_id in lights and _pictured.get(item.set_id) != edits:
        with _lock:
            _show(item.set_id, lights[item.set_id].wait_for_preview(connection, edits))
    compare.refresh()


def _write_all(set_id: str, update: Update) -> None:
    _unwritten.pop(set_id, None)
    while _write_next(set_id, update):
        pass


def _step(write: bool = True) -> bool:
    """One look at the engine, and with ``write`` at most one image written; whether there is more to come."""
    if not _lock.acquire(blocking=False):
        return True  # a render waits for the engine
    try:
        connection.step()
        _forget_outdated()
        for set_id, light in list(lights.items()):
            for update in light.step(connection):
                _show(set_id, update)
            if light.failure is not None and light.failure is not running.refusal:
                running.refuse(light.failure)
                live.forget(set_id)
        connection.step()  # what they ask for is on its way at once
        if write and _unwritten:
            set_id, update = next(iter(_unwritten.items()))
            if not _write_next(set_id, update):
                del _unwritten[set_id]
                compare.refresh()
                compare.show_recomposed(set_id)
                _settle()
        return bool(_unwritten) or any(light.busy for light in lights.values())
    finally:
        _lock.release()


def _settle() -> None:
    """What was drawn over the pictures goes as soon as they themselves, and the views of them, are of that light, and
    the editors know it: whoever is the last of them calls this."""
    if compare.is_busy() or images.is_behind():
        return
    for set_id, light in lights.items():
        if not light.behind and set_id not in _unwritten:
            live.forget(set_id)
    running.redraw()


def _show(set_id: str, update: Update) -> None:
    if update.preview:
        _set_preview(set_id, update)
        _pictured[set_id] = update.edits
        if lights[set_id].behind:
            live.show(set_id, update.preview)
            running.redraw()
    if update.full:
        _unwritten[set_id] = update
    else:
        running.redraw_sidebars()


def _write_next(set_id: str, update: Update) -> bool:
    """Write one image of the full layers; False when all are written."""
    if any(host.keep_original(set_id, name) for name in update.full):
        return True
    name = host.next_to_write(set_id, update.full, update.edits)
    if name is not None:
        host.write_layer(set_id, name, update.full[name], update.edits)
        running.redraw()
    return name is not None


def _on_timer() -> float | None:
    busy = _step()
    if busy:
        return _TICK
    return _IDLE_TICK if connection.engine is not None else None


def _wake() -> None:
    if bpy.app.background:
        return
    if bpy.app.timers.is_registered(_on_timer):  # it may be dozing
        bpy.app.timers.unregister(_on_timer)
    bpy.app.timers.register(_on_timer, first_interval=_TICK, persistent=True)


# --- the small picture --------------------------------------------------------------------------------------------


def icon_of(set_id: str, what: str) -> int:
    """The number of the picture that shows the newest values, 0 where there is none yet."""
    if set_id not in _pictured:
        return 0
    picture = _previews.get(f"{set_id} {what}") if _previews is not None else None
    return int(picture.icon_id) if picture is not None else 0


def _set_preview(set_id: str, update: Update) -> None:
    if _previews is None:
        return
    for what, square in update.squares.items():
        key = f"{set_id} {what}"
        images.fill_preview(_previews.get(key) or _previews.new(key), square)


def _forget_pictures(set_id: str) -> None:
    if _previews is not None:
        for key in [key for key in _previews if key.startswith(set_id)]:
            del _previews[key]


# --- handlers -----------------------------------------------------------------------------------------------------


@persistent
def on_frame(scene: Any, _depsgraph: Any = None) -> None:
    """The values of the new frame; a render waits for them, an interactive window does not."""
    is_job_running: Any = bpy.app.is_job_running
    for item in relight_values.items_of(scene):
        if bpy.app.background or is_job_running("RENDER"):
            _apply_or_say(item)
        elif item.set_id in lights or not _is_shown(item):
            touch(item)


@persistent
def on_render(scene: Any, _depsgraph: Any = None) -> None:
    """Before each image that is rendered. A compositor without render layers gets no change of frame while an animation
    renders, but the values are those of the frame here."""
    for item in relight_values.items_of(scene):
        _apply_or_say(item)


@persistent
def before_undo(*_: Any) -> None:
    """What the layers hold, to know what has changed."""
    _contents.clear()
    _contents.update(images.contents())


@persistent
def on_undo(scene: Any, _depsgraph: Any = None) -> None:
    """Values, layers and what is made of them may be of different times now: the values say what is right. What was
    made lately is at hand and written at once."""
    images.decode_again(_contents)
    live.forget_all()
    _forget_outdated()
    _put_originals_back(scene)
    for item in relight_values.items_of(scene):
        edits = relight_values.edits_of(item)
        light = lights.get(item.set_id)
        at_hand = light.recall(edits) if light is not None else None
        if not _is_shown(item) and at_hand is not None:
            _write_all(item.set_id, at_hand)
        if bpy.app.background:
            _apply_or_say(item)
        elif not _is_shown(item):
            touch(item, again=True)
        elif light is not None and _pictured.get(item.set_id) != edits:
            light.settle(edits)
            _wake()
    compare.refresh()
    running.redraw()


def _put_originals_back(scene: Any) -> None:
    """Where an undo has taken the values away and left the layers as these were, since Blender keeps what is the same
    in the steps before and after."""
    for set_id, light in lights.items():
        item = relight_values.find(scene, set_id)
        if item is not None and item.values:
            continue
        at_hand = light.recall(())
        if at_hand is not None:
            _write_all(set_id, at_hand)


@persistent
def on_save(*_: Any) -> None:
    """What is at hand of the values gets into the file."""
    for item in relight_values.items_of(bpy.context.scene):
        light = lights.get(item.set_id)
        at_hand = light.recall(relight_values.edits_of(item)) if light is not None else None
        if at_hand is not None and not _is_shown(item):
            _write_all(item.set_id, at_hand)


@persistent
def on_load(*_: Any) -> None:
    """A file that was saved while its layers were behind the values."""
    for item in relight_values.items_of(bpy.context.scene):
        if not bpy.app.background and not _is_shown(item):
            touch(item)
    compare.refresh()


@persistent
def forget_file(*_: Any) -> None:
    """Another file is about to be loaded."""
    with _lock:
        for set_id, light in lights.items():
            light.close()
            _forget_pictures(set_id)
        for known in (lights, _codes, _unwritten, _pictured):
            known.clear()
        _warmed.clear()
        live.forget_all()


def on_done(set_id: str) -> None:
    """A set has new layers."""
    _forget_outdated()
    compare.refresh()


def _is_shown(item: Any) -> bool:
    """Whether the layers show the values."""
    return host.shown_edits(item.set_id, relight_values.components_of(item)) == relight_values.edits_of(item)


def _apply_or_say(item: Any) -> None:
    try:
        apply(item, relight_values.edits_of(item))
    except Failure as failure:
        print(f"JoIN Intrinsics: {item.name} was not relit. {failure}", file=sys.stderr, flush=True)


def _let_go() -> None:
    running.undo_soon("Move Light")


_HOOKS: tuple[tuple[list[Any], Any], ...] = (
    (running.when_done, on_done),
    (compare.when_current, _settle),
    (images.when_shown, _settle),
    (light_handle.when_moved, touch),
    (light_handle.when_released, _let_go),
)
_HANDLERS = (
    ("frame_change_post", on_frame),
    ("render_pre", on_render),
    ("undo_pre", before_undo),
    ("redo_pre", before_undo),
    ("undo_post", on_undo),
    ("redo_post", on_undo),
    ("load_pre", forget_file),
    ("save_pre", on_save),
    ("load_post", on_load),
)


def register() -> None:
    """Handlers and pictures."""
    global _previews
    _previews = bpy.utils.previews.new()
    for hook, function in _HOOKS:
        hook.append(function)
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).append(function)


def unregister() -> None:
    """Take them away; the engine ends."""
    global _previews
    for hook, function in _HOOKS:
        hook.remove(function)
    for name, function in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(function)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    forget_file()
    connection.end()
    bpy.utils.previews.remove(_previews)
    _previews = None
