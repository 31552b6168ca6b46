# SPDX-License-Identifier: GPL-3.0-or-later
"""A real click in a real window: ``click.py --blender COMMAND``.

Installs the zip in a Blender with a screen, presses *Install Engine* (of tiny packages), opens an image beside the JoIN
tab, moves the mouse to *Decompose Image* and presses. Asserts that the layers appear, that a slider relights them and
an undo takes that back, that no tick of the add-on takes longer than 16 ms, that a killed engine and the Escape key
leave the button usable, and that the layers of the compositor's Viewer make what it shows. COMMAND is a Blender, or
``4.3`` or ``5.2``, or ``../shared/tools/real-blender 5.2``: that tool brings a Blender and a screen of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import arguments, outside
from light import grab, relight
from materials import clean_up, material, mix, paste, send
from portrait import face, suggested
from profiles import profile
from window import (
    PATIENCE,
    Window,
    drag,
    expect_picture_at,
    find_button,
    new_images,
    picture,
    picture_at,
    read_screen,
    run_test,
    screen_height,
    scroll,
    xdotool,
)

LARGEST_OWN = 0.016
"""Seconds of the main thread that a tick of the add-on may take."""
UNDIVIDED = ("a finished layer is written", "the step of undo is taken")
"""Ticks that may take longer: Blender does this in one piece."""


def _test(window: Window) -> None:
    if os.environ["JOIN_GUI_PICTURE"]:
        _install_by_hand(window)
    before = window.wait("the window", lambda state: state["phase"] == "ready", 120)["images"]
    if os.environ["JOIN_GUI_PICTURE"]:
        _look_at_preferences(window)
    _check_engine(window)
    if os.environ["JOIN_GUI_ONLY"]:
        ONLY[os.environ["JOIN_GUI_ONLY"]](window)
        return
    _install(window)
    place, layers = _decompose(window, before)
    _wipe(window)
    _readable(window)
    _steady(window)
    window.tell("input")
    _views(window)
    _undo_and_redo(window, layers)
    relight(window)
    grab(window)
    _end_early(window, place, "a killed engine", lambda: window.tell("kill"), 2.0, nothing_left=True)
    picture(window, "killed")
    xdotool("key", "Escape")  # the message about it covers the button
    window.tell("restart")
    window.wait("the layers after a restart", lambda now: now["words"][0].startswith("New layers"), 300)
    print("restart: the layers came", flush=True)
    window.tell("discard")
    _end_early(window, place, "Escape that discards", lambda: xdotool("key", "Escape"), 10.0, nothing_left=True)
    window.tell("keep")
    _end_early(window, place, "Escape that keeps", lambda: xdotool("key", "Escape"), 10.0, nothing_left=False)
    _maps(window)
    window.tell("crop")
    time.sleep(1)
    picture(window, "crop")
    window.tell("crop")
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("show")
        time.sleep(1)
        picture(window, "all", aside=True)
        window.tell("material")
        time.sleep(1.5)
        picture(window, "material", aside=True)
        xdotool("mousemove", "700", "600")  # the window comes up around the mouse, and Escape closes it there
        window.tell("export")
        time.sleep(1)
        picture(window, "export", "screen")
        xdotool("key", "Escape")
        time.sleep(2)
    _viewer(window)
    window.tell("save")
    window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    window.tell("report")
    state = window.state()
    assert state["reopened"] == state["saved"] and len(state["saved"]) >= len(layers), "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)
    _report(state)


def _decompose(window: Window, before: list[str]) -> tuple[tuple[int, int], list[str]]:
    """From the click to the layers, on a watch. Where the button is, and what the layers are called."""
    window.tell("draw")
    time.sleep(5)
    window.tell("rest")
    place, seen_at = find_button(window, "join.decompose("), picture_at(window)
    clicked = time.monotonic()
    window.press(*place)
    window.wait("the first visible layers", lambda state: len(new_images(state, before)) >= 2, 120)
    state = window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    print(f"click to first visible layer, {state['shown']}: below {time.monotonic() - clicked:.1f} s", flush=True)
    expect_picture_at(window, seen_at)
    if os.environ["JOIN_GUI_PICTURE"]:
        window.wait("progress", lambda state: state["phase"] == "working", 120)
        picture(window, "working", aside=True)
        seen_at = picture_at(window)
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = new_images(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", (
        f"no layers: {state['images']} {state['words']}\n{window.log()}"
    )
    seconds = time.monotonic() - clicked
    expect_picture_at(window, seen_at)  # the preview was smaller
    print(f"Blender {state['version']}: a click made {', '.join(layers)} in {seconds:.1f} s", flush=True)
    time.sleep(1)
    picture(window, "layers", aside=True)
    return place, layers


def _wipe(window: Window) -> None:
    """Press *Wipe*, drag the line, let Esc put it back, let Esc end it: on either side of it the screen shows what it
    does for that image alone."""
    known = window.state()["images"]
    alone = []
    for name in ("albedo", "input"):
        window.tell(name)
        alone.append(read_screen(window, name))
    window.press(*find_button(window, "join.wipe("))
    window.tell("wipe")
    left, right, middle = window.state()["wipe"]
    assert [left, right] == ["input", "albedo"], window.state()["wipe"]
    x, bottom, stop, top = window.state()["picture"]
    y = screen_height() - (bottom + top) // 2 + 60
    drag(middle, y, (stop - x) // 4)
    line = _line_at(window, middle + (stop - x) // 4)
    drag(line, y, -(stop - x) // 4, cancel=True)
    _line_at(window, line)
    picture(window, "wipe")
    xdotool("mousemove", "1000", "1000")
    both = read_screen(window, "wipe")
    step = 24
    for row in range(screen_height() - top + 4, screen_height() - bottom - 40 - step, step):
        for column in range(x + 4, stop - 4 - step, step // 2):
            if not -step - 12 < column - line < 12:
                expected, found = alone[column < line].mean(column, row, step), both.mean(column, row, step)
                assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 3, (
                    column,
                    line,
                    row,
                    found,
                    expected,
                )
    xdotool("mousemove", str(x + 20), str(y))
    time.sleep(0.3)
    xdotool("key", "Escape")
    time.sleep(0.5)
    window.tell("wipe")
    assert window.state()["wipe"] == [], "Esc did not end the wipe"
    assert window.state()["images"] == known, "the wipe left an image behind"
    print(
        f"a wipe between {left} and {right}: the line was dragged, put back and ended; the screen shows both",
        flush=True,
    )


def _steady(window: Window) -> None:
    """Zoom into the input with the wheel, look at other images of the set: what one sees stays where it is."""
    window.tell("input")
    left, bottom, right, top = picture_at(window)
    xdotool("mousemove", str(round(left) + 60), str(screen_height() - round((bottom + top) / 2)))
    for _ in range(3):
        xdotool("click", "4")
        time.sleep(0.3)
    seen_at = picture_at(window)
    assert seen_at[2] - seen_at[0] > 1.2 * (right - left), "the wheel did not zoom"
    for name in ("albedo", "shading", "recomposed", "input"):
        window.tell(name)
        known = Path(os.environ["JOIN_GUI_IMAGE"]).name if name == "input" else name
        window.wait(f"the {name}", lambda now, known=known: known in now["shown"], 20)
        expect_picture_at(window, seen_at)
    window.tell("fit")
    print("zoomed in: input, layers and views are seen at the same place", flush=True)


def _readable(window: Window) -> None:
    """Look at the shading: exposed and tone-mapped where *Readable Light* is on, as Blender shows it where it is not.
    That the layer's values are the same is seen when the file is saved."""
    window.tell("shading")
    window.wait("the shading", lambda state: "shading" in state["shown"], 20)
    xdotool("mousemove", "1000", "1000")
    window.tell("fit")
    for number, word in enumerate(("readable", "plain")):
        window.tell(word)
        screen = read_screen(window, word)
        picture(window, word, aside=True)
        window.tell("readable")
        window.tell("expect light")
        for x, y, size, *wanted, edge in window.state()["looks"]:
            found = screen.mean(x, screen_height() - y - size, size)
            off = max(abs(a - b) for a, b in zip(found, wanted[number], strict=True))
            assert off <= 4 + (edge if word == "plain" else 0), f"{word}: {found} at {x}, {y}, not {wanted[number]}"
    white = [sum(min(look[which]) > 250 for look in window.state()["looks"]) for which in (3, 4)]
    print(f"Readable Light: {white[0]} squares of 36 are white with it, {white[1]} without", flush=True)


def _views(window: Window) -> None:
    """*Split* and *Error*."""
    for kind in ("split", "error"):
        window.tell(kind)
        window.wait(f"the {kind} view", lambda now, kind=kind: any(kind in name for name in now["images"]), 20)
        time.sleep(1)
        picture(window, kind, aside=True)
    window.tell("input")


def _maps(window: Window) -> None:
    """Press *Material with Maps*, with *Relief*: the maps come, an undo takes them, a redo brings them back."""
    before = window.state()["images"]
    window.tell("relief")
    scroll(window, 40)  # to the end, however many sliders are before
    window.press(*find_button(window, "join.make_maps(", column=0.4))
    wanted = ("roughness", "normal", "height")
    made = window.wait("the maps", lambda now: len(new_images(now, before)) == 3, 60)
    maps = new_images(made, before)
    assert [name.split()[-1] for name in maps] == sorted(wanted), maps
    window.tell("nodes")
    assert window.state()["material"] == ["Base Color", "Normal", "Roughness"], window.state()["material"]
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda now: not set(maps) & set(now["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda now: set(maps) <= set(now["images"]), 20)
    print(
        f"Material with Maps was clicked: {', '.join(maps)}; undo and redo took them and brought them back", flush=True
    )
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("show normal")
        time.sleep(1.5)
        picture(window, "maps", aside=True)
        window.tell("compositor")
    scroll(window, -60)


def _maps_alone(window: Window) -> None:
    """Readable Light and the maps of one decomposition."""
    _decompose(window, window.state()["images"])
    _readable(window)
    _steady(window)
    _views(window)
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("show")
        time.sleep(1)
        picture(window, "all", aside=True)
    window.tell("input")
    _maps(window)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"] and state["saved"], "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


def _line_at(window: Window, wanted: int) -> int:
    """Where the line is, as soon as it is about there; a busy Blender follows the mouse late."""
    deadline = time.monotonic() + 5 * PATIENCE
    while True:
        time.sleep(0.5)
        window.tell("wipe")
        line = int(window.state()["wipe"][2])
        if abs(line - wanted) < 6:
            return line
        assert time.monotonic() < deadline, f"the line is at {line}, not at {wanted}"


def _times(window: Window) -> None:
    """The wipe, and how long one waits for layers and a slider; also with presets that end too soon for the rest."""
    _decompose(window, window.state()["images"])
    _wipe(window)
    _readable(window)
    window.tell("input")
    relight(window)
    window.tell("save")
    window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    window.wait("the engine of the sliders on show", lambda now: now["lights"][0]["warm"], 30)
    print("saved and reopened: the engine of the sliders on show has started by itself", flush=True)
    window.tell("report")
    _report(window.state())


def _together(window: Window) -> None:
    """Several photos of one thing: listed, decomposed by a click, switched, undone, relit, cancelled, saved."""
    before = window.state()["images"]
    window.tell("photos")
    count = len(json.loads(os.environ["JOIN_GUI_PHOTOS"]))
    picture(window, "before", aside=True)
    place = find_button(window, "join.decompose_together(")
    clicked = time.monotonic()
    window.press(*place)
    window.wait("the work to begin", lambda state: state["phase"] == "working", 120)
    picture(window, "working", aside=True)
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = [name for name in new_images(state, before) if name.split()[-1] in ("albedo", "shading", "specular")]
    assert len(layers) in (2 * count, 3 * count) and state["words"][1] == "", f"{layers} {state['words']}"
    print(f"Blender {state['version']}: {count} photos together in {time.monotonic() - clicked:.1f} s", flush=True)
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    picture(window, "albedo", aside=True)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    print("undo and redo: the layers of all photos went and came back at once", flush=True)
    window.tell("shading")
    first = window.wait("the shading", lambda state: "shading" in state["shown"], 20)["shown"]
    picture(window, "first", aside=True)
    window.press(*find_button(window, "-001"))
    second = window.wait("the same layer of another photo", lambda state: state["shown"] != first, 20)["shown"]
    assert "shading" in second, second
    print(f"a click switched from '{first}' to '{second}'", flush=True)
    picture(window, "second", aside=True)
    window.tell("compare photos")
    differences = window.state()["differences"]
    assert len(differences) > 1 and max(differences.values()) < 1e-5, f"not their photos: {differences}"
    window.tell("input")
    relight(window, 15)  # the list and the buttons of the photos take the room of the sliders
    place = find_button(window, "join.decompose_together(")
    window.tell("discard")
    _end_early(window, place, "Escape that discards", lambda: xdotool("key", "Escape"), 10.0, nothing_left=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"] and len(state["saved"]) == len(layers), "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)
    window.tell("report")
    _report(window.state())


def _confidence(window: Window) -> None:
    """Decompose, press *Albedo* and *Specular* under *How sure it is*, look."""
    window.press(*find_button(window, "join.decompose("))
    window.wait("the layers", lambda state: state["runs"] == 1, 300)
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    time.sleep(1)
    for name in ("SPECULAR", "SHADING", "ALBEDO"):
        window.press(*find_button(window, f"CONFIDENCE_{name}", column={"ALBEDO": 0.2, "SHADING": 0.5}.get(name, 0.8)))
        view = f"confidence {name.lower()}"
        window.wait(f"the view {view}", lambda now, view=view: view in now["shown"], 60)
        time.sleep(1)
        picture(window, name.lower(), aside=True)
        print(f"a click shows {window.state()['shown']}", flush=True)
    window.tell("no sidebar")
    time.sleep(1)
    picture(window, "legend", aside=True)


def _sequence(window: Window) -> None:
    """Press *Decompose All Frames*, cancel it after the first frame, press again: it goes on, and the editor shows the
    sequence of the albedo. Of a movie, too, whose frames are written first."""
    movie = os.environ["JOIN_GUI_ONLY"] == "movie"
    if not movie:
        window.tell("sequence")
    frames = Path(os.environ["JOIN_GUI_IMAGE"]).parent
    _wait_for_task(window, "the test of the engine to end", lambda task: not task[0])
    window.press(*find_button(window, "join.decompose_sequence("))
    if movie:
        _wait_for_task(window, "a frame of the movie", lambda task: "Writing frame" in str(task[0]))
        picture(window, "movie", aside=True)
    began = lambda task: task[0] and task[0][0].startswith("Decomposing") and task[0][1] > 0.0  # noqa: E731
    _wait_for_task(window, "the first frame", began)
    picture(window, "working", aside=True)
    window.press(*find_button(window, "join.cancel_engine_task(", column=0.83))
    _wait_for_task(window, "the end of it", lambda task: not task[0])
    first = frames / ("shot layers" if movie else "layers") / "albedo" / "shot.0001.exr"
    written = first.stat().st_mtime_ns
    assert len(list(first.parent.glob("*.exr"))) < 40, "it had ended before it was cancelled"
    window.press(*find_button(window, "join.decompose_sequence("))
    _wait_for_task(window, "the albedo", lambda task: not task[0] and task[1].endswith(" albedo sequence"))
    assert window.state()["task"][2:4] == ["SEQUENCE", 40], window.state()["task"]
    assert first.stat().st_mtime_ns == written and len(list(first.parent.glob("*.exr"))) == 40
    picture(window, "albedo", aside=True)
    print("Decompose All Frames was clicked, cancelled and clicked again: it went on, and the editor shows the albedo")


def _wait_for_task(window: Window, what: str, condition: Callable[[list[Any]], bool]) -> None:
    """Until that is so. It may take as long as it likes, as long as it gets on."""
    seen: list[Any] = []
    while True:
        window.tell("task")
        task = window.state()["task"]
        if condition(task):
            return
        if (step := [task[0][:2], *task[1:]]) != seen:  # the rest of its words count the seconds
            seen, deadline = step, time.monotonic() + 60 * PATIENCE
        if task[-1] or time.monotonic() > deadline:
            window.shoot(Path(tempfile.gettempdir()) / "join-gui-failed.png")
            raise AssertionError(f"waited for {what}: {task}\n{window.log()}")
        time.sleep(0.2)


def _report(state: dict[str, Any]) -> None:
    _report_moves(state["moves"])
    for who, size in state["memory"].items():
        print(f"  memory of {who}: at most {size} MiB")
    for label, calls in sorted(state["called"].items()):
        print(f"  {label}: {_figures([call[1] for call in calls])} of the thread", flush=True)
    _report_ticks(state["own"], state["loop"])


def _install_by_hand(window: Window) -> None:
    """What one sees who drags the zip into the window."""
    window.wait("the question about the zip", lambda state: state["phase"] == "dropped", 120)
    picture(window, "install")
    xdotool("key", "Escape")
    window.tell("install")


def _look_at_preferences(window: Window) -> None:
    xdotool("mousemove", "700", "600")  # the window comes up around the mouse
    window.tell("preferences")
    xdotool("mousemove", "1900", "100")
    time.sleep(3)  # for the window, and for the test of the engine that ends with the words "not installed"
    picture(window, "preferences", "screen")
    window.tell("preferences closed")
    time.sleep(2)
    picture(window, "engine", aside=True)
    window.tell("engine again")
    time.sleep(2)
    xdotool("mousemove", "150", "300")
    window.tell("menu")
    picture(window, "menu")
    xdotool("key", "Escape")


def _check_engine(window: Window) -> None:
    """What one does after installing: Preferences, *Test Engine*."""
    xdotool("mousemove", "700", "600")  # the window comes up around the mouse
    window.tell("check")
    tested = lambda now: not now["engine"][0] and "Tested:" in now["engine"][1]  # noqa: E731
    window.wait("the preferences", lambda now: "engine" in now and tested(now), 60)  # a new Python is tested at once
    window.press(*find_button(window, "join.test_engine(", "preferences"))
    window.wait("the test to begin", lambda now: now["engine"][0], 5)
    state = window.wait("the engine's answer", tested, 60)
    print(f"Test Engine was clicked: {state['engine'][1].splitlines()[-1]}", flush=True)
    window.tell("preferences away")
    time.sleep(1)


def _install(window: Window) -> None:
    """*Install Engine* in the preferences, with packages that are tiny and an index on this machine."""
    xdotool("mousemove", "700", "600")
    window.tell("no engine")
    window.wait("the preferences", lambda now: "engine" in now and not now["engine"][0], 60)
    assert "Not installed" in window.state()["engine"][1], window.state()["engine"]
    window.press(*find_button(window, "use_online_access", "preferences"))
    place = find_button(window, "join.install_engine(", "preferences", 0.3)
    window.press(*place)
    time.sleep(1)
    picture(window, "consent", "screen")
    xdotool("key", "Return")  # *Install* is the button that is lit; its place depends on the length of a path
    window.wait("the installer to begin", lambda now: now["engine"][0], 10)
    window.wait("progress", lambda now: now["engine"][2], 20)
    picture(window, "installing", "screen")
    state = window.wait("the end of it", lambda now: not now["engine"][0], 120)
    time.sleep(1)
    picture(window, "installed", "screen")
    assert state["engine"][1].startswith("Ready on CPU: torch 9.1"), state["engine"]
    print(f"Install Engine was clicked: {state['engine'][1]}", flush=True)
    window.tell("preferences away")
    window.wait("the test of the Python that was chosen instead", lambda now: "Tested:" in now["engine"][1], 60)


def _ways_in(window: Window) -> None:
    """The bank list with its pictures; the question mark in a header, which opens the manual; *Report a Problem*."""
    window.tell("watch browser")
    xdotool("mousemove", "1000", "1000")
    picture(window, "bank")
    x, y = find_button(window, ".chosen_bank")
    window.press(x - 40, y + 40)
    time.sleep(1.5)
    picture(window, "banks", "screen")
    xdotool("key", "Escape")
    time.sleep(1)
    x, y = find_button(window, ".preset", column=0.78)
    window.press(x, y - 24)  # in the header above it
    opened = window.wait("the manual", lambda now: now["browser"], 10)["browser"][0]
    assert opened.startswith("file://") and opened.endswith("manual.html#3-decompose"), opened
    xdotool("mousemove", "700", "600")
    window.tell("preferences")
    time.sleep(1.5)
    window.press(*find_button(window, "join.report_problem(", "preferences", 0.8))
    time.sleep(1.5)
    picture(window, "report", "screen")
    xdotool("key", "Return")
    time.sleep(1.5)
    picture(window, "report-open", "screen")
    print(f"the manual was opened at {opened.rpartition('/')[2]}", flush=True)


def _undo_and_redo(window: Window, layers: list[str]) -> None:
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    print("undo and redo: the layers went and came back", flush=True)


def _handle(window: Window) -> None:
    """The light's handle, after a slider."""
    _decompose(window, window.state()["images"])
    relight(window)
    grab(window)


def _viewer(window: Window) -> None:
    """The compositor's Viewer, with the backdrop on, as compositing goes."""
    before = window.state()["images"]
    window.tell("viewer")
    refused = window.state()["refused"]
    assert "has not computed the Viewer yet" in refused, refused
    window.tell("backdrop")
    window.wait("the Viewer to be computed", lambda now: "viewer" in now, 60)
    runs = window.state()["runs"]
    window.press(*find_button(window, "join.decompose("))
    state = window.wait("the Viewer's layers", lambda now: now["runs"] == runs + 1, 120)
    assert len(new_images(state, before)) >= 2, state["words"]
    window.tell("compare viewer")
    differences = window.state()["differences"]
    assert max(differences.values()) < 1e-5, f"the layers are not those of the Viewer: {differences}"
    print("the Viewer, with the backdrop on, was decomposed; its layers make what it shows", flush=True)
    time.sleep(1)
    picture(window, "viewer")


def _end_early(
    window: Window, place: tuple[int, int], what: str, end: Callable[[], None], seconds: float, nothing_left: bool
) -> None:
    """Start again, end it in the middle: the button works again, and nothing appears that should not."""
    state = window.state()
    window.press(*place)
    window.wait(f"the button to work again (before {what})", lambda now: now["phase"] == "working", 120)
    time.sleep(0.5)
    end()
    ended = time.monotonic()
    after = window.wait(f"the end by {what}", lambda now: now["runs"] == state["runs"] + 1, seconds + 5)
    took = time.monotonic() - ended
    assert took < seconds * PATIENCE, f"{what} took {took:.1f} s"
    if nothing_left:
        assert after["images"] == state["images"], f"{what} left something behind: {after['images']}"
    else:
        assert len(after["images"]) > len(state["images"]), f"{what} kept nothing: {after['words']}"
    print(f"{what}: ended cleanly after {took:.1f} s; {' '.join(after['words'])}", flush=True)
    time.sleep(0.5)


def _report_moves(moves: list[list[float]]) -> None:
    """From a slider's move to the new picture; on a busy machine most of it is waiting for a processor."""
    for label, times in zip(
        ("the engine's answer", "the preview", "the picture drawn"), zip(*moves, strict=True), strict=True
    ):
        median = sorted(times)[len(times) // 2]
        figures = f"first {1000 * times[0]:.0f} ms, median {1000 * median:.0f} ms, largest {1000 * max(times):.0f} ms"
        print(f"  a slider's move to {label}: {figures}")


def _report_ticks(own: dict[str, list[Any]], loop: dict[str, list[list[float]]]) -> None:
    """The thread's own time is what is asserted: the wall's also has what other programs did meanwhile."""
    for label, ticks in sorted(own.items()):
        print(f"  the add-on's ticks, {label}: {_figures([tick[1] for tick in ticks])} of the thread;", end=" ")
        print(f"{_figures([tick[0] for tick in ticks])} by the wall", flush=True)
        for wall, thread, *parts in sorted(ticks, key=lambda tick: -tick[0])[:2]:
            print(f"      {1000 * wall:.1f} ms, of the thread {1000 * thread:.1f}: {parts}")
    for label, turns in sorted(loop.items()):
        print(f"  Blender's main loop, {label}: {_figures([turn[0] for turn in turns])};", end=" ")
        print(f"of the slowest {1000 * max(turns)[1]:.1f} ms were the add-on's", flush=True)
    long = {label: max(tick[1] for tick in ticks) for label, ticks in own.items() if label not in UNDIVIDED}
    wanted = {"waiting", "relighting"} | ({"working"} if _searches() else set())
    assert wanted <= set(long), f"nothing was measured but {list(long)}"
    assert max(long.values()) < LARGEST_OWN, f"the add-on kept Blender waiting: {long}"


def _searches() -> bool:
    """Whether the preset has steps to report while the engine works: the encoders alone have none."""
    return os.environ["JOIN_GUI_PRESET"] != "DRAFT"


def _figures(seconds: list[float]) -> str:
    return f"{len(seconds)}, largest {1000 * max(seconds):.1f} ms, 99% below {1000 * _percentile(seconds):.1f} ms"


def _percentile(seconds: list[float]) -> float:
    return sorted(seconds)[int(0.99 * (len(seconds) - 1))]


ONLY = {
    "viewer": _viewer,
    "install": _install,
    "times": _times,
    "together": _together,
    "clean-up": clean_up,
    "mix": mix,
    "maps": _maps_alone,
    "handle": _handle,
    "confidence": _confidence,
    "paste": paste,
    "face": face,
    "suggested": suggested,
    "material": material,
    "send": send,
    "profile": profile,
    "sequence": _sequence,
    "movie": _sequence,
    "ways-in": _ways_in,
}
"""Steps by themselves."""

if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="of one thing, for --only together")
    parser.add_argument("--only", choices=tuple(ONLY), default="", help="one step by itself")
    given = parser.parse_args()
    sys.exit(run_test(given.blender, _test) if given.inside else outside(Path(__file__), given))
