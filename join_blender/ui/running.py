# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs: the queue, the datablocks that it fills, and the timer that moves both on, in Blender's main thread.

A timer and not a modal operator: Blender saves no backup while one of those runs, and one would end with its window.
Each tick looks at the engine, or writes one layer. Nothing here waits but :func:`wait`, for background mode.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..engine import problem
from ..engine.background import Future
from ..engine.decomposition import Decomposition
from ..engine.failure import Failure
from ..engine.job import State
from ..engine.queue import Queue
from ..engine.vocabulary import leftovers
from ..host import editors, sets, undo
from ..host.layers import LayerSet, LayersTogether
from ..overlay import steady_view
from . import status_text

_TICK, _IDLE_TICK = 0.05, 1.0
"""Seconds between two looks at the engine, with and without work."""
_PIECE_TICK = 0.005
"""Seconds between two pieces of :func:`in_pieces`: long enough for a redraw and for what the user does."""
_PATIENCE = 10.0
"""Seconds for which finished layers wait for the user to end a stroke or a drag."""

when_done: list[Callable[[str], None]] = []
"""What else wants to know that a set has new layers."""

queue = Queue()
refusal: Failure | None = None
"""Why the last start was refused, for the panel; the failures of jobs are in the queue."""
last_message = ""
"""How the last job ended well."""
last_job: dict[str, Any] = {}
"""Facts about the last one that ended, see :func:`.problem.facts_of`."""
_undo_due: tuple[str, float] | None = None
"""The name of the step of undo that is to be taken, and the time from which on; it costs a tick of its own."""
_sets: dict[str, LayerSet | LayersTogether] = {}
looked_at = "albedo"
"""The component of the layer that the user has last chosen to see."""
_follow: dict[str, tuple[Any, int | None]] = {}
"""By job: the editor in which it was started, which shows its layers as soon as there are any, and what it showed."""
_taken: list[tuple[contextlib.ExitStack, Sequence[Decomposition]]] = []
"""Folders that jobs write files into, and which no other process fills meanwhile."""
_later: list[tuple[Future[Any], Callable[[Any], None], Callable[[Failure], None]]] = []
_Pieces = Generator[Future[Any] | None, Any, Any]
_in_pieces: list[tuple[_Pieces, Future[Any] | None, Callable[[Any], None], Callable[[Failure], None]]] = []
"""What is done piece by piece, and the thread for which the next one waits."""
_shown = ""
_ticking = False


def current() -> Decomposition | None:
    """What is at work or waits to be, if anything."""
    return queue.jobs[0] if queue.jobs else None


def dismiss() -> None:
    """Forget the last failure, and go on with what waits."""
    if queue.failed is not None:
        _sets.pop(queue.failed.id, None)
    queue.dismiss()
    refuse(None)
    wake()


def restart() -> None:
    """A fresh engine, and with it another try of what failed."""
    queue.restart()
    refuse(None)
    wake()


def add(job: Decomposition, layers: LayerSet | LayersTogether | None) -> None:
    """Queue a decomposition, and the datablocks that it shall fill."""
    global refusal, last_message
    refusal, last_message = None, ""
    queue.add(job)
    if layers is not None:
        _sets[job.id] = layers
    wake()


def add_folder(jobs: Sequence[Decomposition], folder: Path) -> None:
    """Queue decompositions into files, and take the folder for them until all have ended, as the shell does.

    Raises:
        Failure: ``folder_in_use``, ``disk``.
    """
    taken = contextlib.ExitStack()
    try:
        taken.enter_context(leftovers.alone_in(folder))
    except leftovers.InUse as error:
        text = f"In '{folder}' {error} is at work already."
        raise Failure("folder_in_use", text, "Wait for its end, or choose another folder.") from error
    except OSError as error:
        text = f"The folder '{folder}' cannot be written to ({error.strerror or error})."
        raise Failure("disk", text, "Choose another folder.") from error
    _taken.append((taken, jobs))
    for job in jobs:
        add(job, None)


def follow(job: Decomposition, area: Any) -> None:
    """Let an Image Editor show the job's layers as they come, unless the user lets it show something else meanwhile."""
    if area is not None:
        shown = getattr(area.spaces.active, "image", None)
        _follow[job.id] = area, None if shown is None else shown.session_uid


def set_at_work(image: Any) -> str | None:
    """The key of the set that is being made of an image, once there is something of it to see."""
    for job in queue.jobs:
        for one in _sets[job.id].sets if job.id in _sets else []:
            if image is not None and one.source == image.session_uid and sets.layers_of(one.id):
                return one.id
    return None


def remember_look(component: str) -> None:
    """The user wants to see this layer; the next decomposition shows it, too."""
    global looked_at
    looked_at = component


def later(
    work: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[Failure], None] | None = None
) -> None:
    """Do ``work`` in a thread, and ``then`` with what comes of it in a tick; or ``failed``, instead of telling the
    user."""
    _later.append((Future(work), then, failed or refuse))
    wake()


def in_pieces(pieces: _Pieces, then: Callable[[Any], None], failed: Callable[[Failure], None] | None = None) -> None:
    """The same for what only the main thread may do: a piece each tick. Where one hands out a thread, the next gets
    what comes of it."""
    _in_pieces.append((pieces, None, then, failed or refuse))
    wake()


def undo_soon(message: str, seconds: float = 0.0) -> None:
    """Take a step of undo, so many seconds after the last of these calls; an earlier one's name stays. A script takes
    its own."""
    global _undo_due
    if bpy.app.background:
        return
    _undo_due = _undo_due[0] if _undo_due is not None else message, time.monotonic() + seconds
    wake()


def say(words: str) -> None:
    """Something has ended well, for the panel."""
    global last_message
    last_message = words
    redraw()


def refuse(failure: Failure | None) -> None:
    """Remember why something could not be started; None forgets it."""
    global refusal
    refusal = failure
    if failure is not None:
        problem.note(failure)
    redraw()


def wait(job: Decomposition) -> None:
    """Block until a job has ended: for scripts and background mode.

    Raises:
        Failure: why it did not end well.
    """
    while job in queue.jobs:
        step()
        time.sleep(0.005)
    job.wait_until_closed()
    if job.failure is not None:
        failure = job.failure
        if queue.failed is job:
            dismiss()
        raise failure


def wait_for_all() -> list[Failure]:
    """Block until nothing is queued any more; what went wrong on the way. An engine that does not work ends it."""
    jobs = list(queue.jobs)
    while queue.jobs and not queue.halted:
        step()
        time.sleep(0.01)
    _let_go(of_all=True)
    return [job.failure for job in jobs if job.failure is not None]


def step() -> float | None:
    """What Blender's timer calls: a look at the engine, then at most one write into Blender's data. Seconds until the
    next call; None ends the calls."""
    global _ticking
    _ticking = True
    try:
        if _undo_due is not None and time.monotonic() >= _undo_due[1] and not _user_is_busy(_undo_due[1]):
            _push_undo()
            return _TICK
        for ended in queue.step():
            _on_end(ended)
        _let_go()
        job, layers = queue.current, _sets.get(queue.current.id) if queue.current is not None else None
        if job is not None and layers is not None and not (job.state is State.READING and _user_is_busy(job.read_at)):
            try:
                if layers.step():
                    _show_in_editor(job, layers)
                    redraw()
            except Failure as failure:
                job.fail(failure)
        if not _do_a_piece():
            _finish_later()
    finally:
        _ticking = False
    _show()
    if _in_pieces or any(task.done for task, *_ in _later):
        return _PIECE_TICK
    if (queue.jobs and not queue.halted) or _later or _undo_due is not None:
        return _TICK
    return _IDLE_TICK if queue.connection.engine is not None else None


def wake() -> None:
    """See that the timer runs, now."""
    if bpy.app.background or _ticking:
        return
    if bpy.app.timers.is_registered(step):  # it may be dozing
        bpy.app.timers.unregister(step)
    bpy.app.timers.register(step, first_interval=0.0, persistent=True)
    redraw()


def abandon() -> None:
    """End whatever runs: the add-on is going away."""
    if bpy.app.timers.is_registered(step):
        bpy.app.timers.unregister(step)
    for one in _all_sets():
        one.discard()
    _sets.clear()
    _follow.clear()
    _later.clear()
    _in_pieces.clear()
    queue.close()
    _let_go(of_all=True)


@persistent
def forget_file(*_: Any) -> None:
    """Another file is about to be loaded: jobs end, and nothing of theirs gets into the new one."""
    global refusal, last_message, _undo_due
    _undo_due = None
    _sets.clear()
    _follow.clear()
    _later.clear()
    _in_pieces.clear()
    queue.stop_all()
    refusal, last_message = None, ""


@persistent
def before_save(*_: Any) -> None:
    """Layers of jobs that are not done do not get into the file."""
    sets.remove_strays(_at_work())
    sets.keep_paint()
    for one in _all_sets():
        one.hide()


@persistent
def after_save(*_: Any) -> None:
    """They come back."""
    for one in _all_sets():
        one.show_again()


@persistent
def after_load(*_: Any) -> None:
    """A backup, which Blender writes without asking, may hold layers of jobs that ended with their Blender."""
    sets.remove_strays(())


@persistent
def before_undo(*_: Any) -> None:
    """Also before a redo."""
    editors.remember_inputs(sets.made_of)


@persistent
def after_undo(*_: Any) -> None:
    """Layers come back as they were, but for those of jobs that are over; editors that lose theirs show the input."""
    sets.remove_strays(_at_work())
    editors.show_inputs()


HANDLERS = (
    ("load_pre", forget_file),
    ("load_post", after_load),
    ("save_pre", before_save),
    ("save_post", after_save),
    ("save_post_fail", after_save),
    ("undo_pre", before_undo),
    ("redo_pre", before_undo),
    ("undo_post", after_undo),
    ("redo_post", after_undo),
)


def redraw() -> None:
    """Let all Image Editors, and whatever else may show a layer, show the new state."""
    for area, _ in editors.on_screen():
        area.tag_redraw()


def _all_sets() -> list[LayerSet]:
    return [one for layers in _sets.values() for one in layers.sets]


def _at_work() -> list[str]:
    """The ids of the sets of the jobs that are not over."""
    return [set_id for job in queue.jobs if not job.ended for set_id in job.set_ids]


def _show_in_editor(job: Decomposition, layers: LayerSet | LayersTogether) -> None:
    """The editor in which the job was started shows what there is to see of it, as soon as there is something."""
    if job.id not in _follow:
        return
    area, before = _follow[job.id]
    is_open = any(area == one for one, _ in editors.on_screen())
    shown = area.spaces.active.image if is_open else None
    own = [one for one in layers.sets if shown is not None and shown.session_uid == one.source]
    image = (own or layers.sets)[0].preview_of(looked_at)
    if image is None:
        return
    del _follow[job.id]
    still = shown is None or shown.session_uid == before or own or job.is_together
    still = still or sets.key_of(shown) == layers.update
    if still and is_open:
        steady_view.show(area, image)


def _on_end(job: Decomposition) -> None:
    """A job is over: what it left half-done goes, and the user hears how it ended."""
    global last_message, last_job
    last_job = problem.facts_of(job)
    layers = _sets.get(job.id)
    _follow.pop(job.id, None)
    if job.state is State.DONE:
        if layers is not None:
            for done in when_done:
                for one in layers.sets:
                    done(one.key)
            undo_soon(f"Decompose {job.name}")
    else:
        for one in layers.sets if layers is not None else ():
            one.discard()
    if job.failure is None:
        _sets.pop(job.id, None)
        last_message = status_text.describe_end(job, layers.names if layers is not None else [])
        problem.note(last_message)
    else:
        problem.note(f"{job.name}: {job.failure}")
        if not bpy.app.background:
            _pop_up(job.name, job.failure)
    redraw()


def _let_go(of_all: bool = False) -> None:
    """Others may fill the folders whose jobs have ended; one that failed may be tried again, and keeps its own."""
    for one in list(_taken):
        taken, jobs = one
        if of_all or not any(job in queue.jobs or job is queue.failed for job in jobs):
            taken.close()
            _taken.remove(one)


def _user_is_busy(since: float) -> bool:
    """Whether the user is in the middle of a stroke or a drag, which a step of undo would tear apart; for so long since
    then it waits."""
    window = _window()
    modal = getattr(window, "modal_operators", ()) if window is not None else ()
    return len(modal) > 0 and time.monotonic() - since < _PATIENCE


def _push_undo() -> None:
    global _undo_due
    due, _undo_due = _undo_due, None
    window = _window()
    if window is None or due is None:
        return
    with bpy.context.temp_override(window=window), contextlib.suppress(RuntimeError):  # there may be no undo right now
        undo.push(due[0])


def _pop_up(name: str, failure: Failure) -> None:
    """The failure where the user looks; the panel keeps it, with a button that helps."""
    window = _window()
    if window is None:
        return

    def draw(self: Any, _context: Any) -> None:
        for line in (failure.message, failure.hint, "The JoIN tab of the Image Editor has the ways out."):
            if line:
                self.layout.label(text=line)

    with bpy.context.temp_override(window=window):
        bpy.context.window_manager.popup_menu(draw, title=f"{name} was not decomposed", icon="ERROR")


def _window() -> Any:
    manager: Any = bpy.context.window_manager
    return bpy.context.window or (manager.windows[0] if manager is not None and len(manager.windows) else None)


def _do_a_piece() -> bool:
    """The next piece of the first that need not wait; whether there was one."""
    ready = next((item for item in _in_pieces if item[1] is None or item[1].done), None)
    if ready is None:
        return False
    place = _in_pieces.index(ready)
    pieces, task, then, failed = _in_pieces.pop(place)
    try:
        task = pieces.send(task.result() if task is not None else None)
        _in_pieces.insert(place, (pieces, task, then, failed))
    except StopIteration as end:
        then(end.value)
    except Failure as failure:
        failed(failure)
    return True


def _finish_later() -> None:
    """One at a time: what comes of it may be an image to be written."""
    for item in [item for item in _later if item[0].done][:1]:
        _later.remove(item)
        task, then, failed = item
        try:
            then(task.result())
        except Failure as failure:
            failed(failure)


def redraw_sidebars() -> None:
    """Let the sidebars show the new state, where the images are what they were: drawing those takes time."""
    for area, _ in editors.on_screen():
        for region in area.regions:
            if region.type == "UI":
                region.tag_redraw()


def _show() -> None:
    """Redraw the sidebars, but only where they would read differently: drawing a window is not free."""
    global _shown
    words = "|".join(status_text.describe(job) + status_text.time_left(job) for job in queue.jobs)
    if words != _shown:
        _shown = words
        redraw_sidebars()
