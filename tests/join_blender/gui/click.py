# SPDX-License-Identifier: GPL-3.0-or-later
"""A real click in a real window: ``click.py --blender COMMAND``.

Installs the zip in a Blender with a screen, presses *Install Engine* (of tiny packages), opens an image beside the JoIN
tab, moves the mouse to *Decompose Image* and presses. Asserts that the layers appear, that a slider relights them and
an undo takes that back, that no tick of the add-on takes longer than 16 ms, that a killed engine and the Escape key
leave the button usable, and that the layers of the compositor's Viewer make what it shows. COMMAND is a Blender, or
``4.3`` or ``5.2``, or ``../shared/tools/real-blender 5.2``: that tool brings a Blender and a screen of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
TOOL = ROOT.parent / "shared" / "tools" / "real-blender"
SIZE = (1280, 800)
"""Of the window. Software draws it, and must not be what the test measures."""
LARGEST_OWN = 0.016
"""Seconds of the main thread that a tick of the add-on may take."""
PATIENCE = float(os.environ.get("JOIN_GUI_PATIENCE") or 1)
"""By how much everything may take longer than on two idle cores."""
UNDIVIDED = ("a finished layer is written", "the step of undo is taken")
"""Ticks that may take longer: Blender does this in one piece."""


# --- outside: in the project's Python -----------------------------------------------------------------------------


def outside(
    blender: str, image: Path | None, photos: list[Path], bank: str, preset: str, picture: Path | None, only: str
) -> int:
    """Build what is needed and start the inner half beside that Blender, on its screen."""
    sys.path.insert(0, str(ROOT))
    from tests.join_blender.support import lit, make_bank, photo, write_png
    from tests.join_blender.tiny_index import Index, make_lock, make_wheels
    from tools.build_zip import build

    engine = os.environ.get("JOIN_ENGINE_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory(prefix="join-gui-") as name:
        folder = Path(name)
        photos = photos or [write_png(folder / f"{light}.png", lit(light)) for light in ("left", "above", "right")]
        if only == "together":
            image = image or photos[0]
        if not bank and not any((ROOT / "join_engine" / "banks").glob("*.safetensors")):
            print("no bank is shipped yet: a bank of random weights stands in", flush=True)
            bank = str(make_bank(folder / "random.safetensors", engine))
        environment = {
            **os.environ,
            "JOIN_GUI": str(folder),
            "JOIN_GUI_ZIP": str(build(folder)),
            "JOIN_GUI_IMAGE": str(image or write_png(folder / "photo.png", photo(256, 256))),
            "JOIN_GUI_PHOTOS": json.dumps([str(path) for path in photos]),
            "JOIN_GUI_BANK": bank,
            "JOIN_GUI_PRESET": preset.upper(),
            "JOIN_GUI_ENGINE": engine,
            "OMP_NUM_THREADS": "1",  # the test shares its machine
            "JOIN_GUI_PICTURE": str(picture or ""),
            "JOIN_GUI_ONLY": only,
        }
        wheels = make_wheels(folder / "wheels")
        for python in ("3.11", "3.12", "3.13", "3.14"):
            make_lock(folder / "locks", wheels, python=python)
        index = Index(wheels)
        environment |= {"PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
        try:
            return subprocess.run(_inner_command(blender), env=environment, check=False).returncode
        finally:
            index.close()


def _inner_command(blender: str) -> list[str]:
    words = shlex.split(blender)
    script = str(Path(__file__).resolve())
    if words in (["4.3"], ["5.2"]) and TOOL.exists():
        words = [str(TOOL), *words]
    if Path(words[0]).name == TOOL.name:
        return [*words, "--exec", "python3", script, "--inside", "--blender", "blender"]
    if shutil.which(words[0]) is None:
        raise SystemExit(f"There is no Blender '{words[0]}'. Name one: make test-gui BLENDER=/path/to/blender")
    inner = [sys.executable, script, "--inside", "--blender", blender]
    if os.environ.get("DISPLAY"):
        return inner
    if shutil.which("xvfb-run") is None:
        raise SystemExit("There is no screen, and no xvfb-run to make one.")
    return ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", *inner]


# --- inside: beside that Blender, with nothing but the standard library -------------------------------------------


class Window:
    """The Blender under test, its mouse and its state."""

    def __init__(self, blender: str) -> None:
        self.folder = Path(os.environ["JOIN_GUI"])
        if shutil.which("xdotool") is None:
            raise SystemExit("xdotool, which presses the button, is not installed.")
        arguments = ["--factory-startup", "-noaudio", "--window-geometry", *map(str, (0, 0, *SIZE))]
        environment = {**os.environ, "BLENDER_USER_RESOURCES": str(self.folder / "user")}
        (self.folder / "user").mkdir()
        command = [*shlex.split(blender), *arguments, "-P", str(HERE / "startup.py")]
        self._log = (self.folder / "blender.log").open("w")
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=subprocess.STDOUT)

    def state(self) -> dict[str, Any]:
        """What the startup script last wrote."""
        path = self.folder / "state.json"
        if self._process.poll() is not None:
            raise AssertionError(f"Blender ended by itself:\n{self.log()}")
        state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"phase": "starting"}
        if state["phase"] == "failed":
            raise AssertionError(state["error"])
        return state

    def wait(self, what: str, condition: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        """The state in which ``condition`` first holds."""
        deadline = time.monotonic() + seconds * PATIENCE
        while time.monotonic() < deadline:
            state = self.state()
            if condition(state):
                return state
            time.sleep(0.05)
        self.shoot(Path(tempfile.gettempdir()) / "join-gui-failed.png")
        raise AssertionError(f"waited {seconds} s for: {what}; {self.state()}\n{self.log()}")

    def log(self) -> str:
        """The end of what Blender printed."""
        return "\n".join((self.folder / "blender.log").read_text(errors="replace").splitlines()[-25:])

    def tell(self, word: str) -> None:
        """A command for the startup script; returns when it has been carried out."""
        before = self.state().get("obeyed", 0)
        partial = self.folder / "command.partial"
        partial.write_text(word, encoding="utf-8")
        partial.rename(self.folder / "command")
        self.wait(f"'{word}' to be obeyed", lambda state: state.get("obeyed", 0) > before, 20)

    def press(self, x: int, y: int) -> None:
        """Move the mouse there, as a hand would, and click."""
        xdotool("mousemove", str(x - 6), str(y))
        time.sleep(0.1)
        xdotool("mousemove", str(x), str(y))
        time.sleep(0.15)
        xdotool("click", "1")

    def shoot(self, path: Path, which: str = "window") -> None:
        """A picture of the window, or of the whole screen."""
        if shutil.which("import"):
            x, y, width, height = self.state().get(which, (0, 0, 1920, 1080))
            crop = f"{width}x{height}+{x}+{screen_height() - y - height}"
            subprocess.run(["import", "-window", "root", "-crop", crop, "+repage", str(path)], check=False)

    def close(self) -> None:
        """End it, whatever state it is in."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._log.close()


def xdotool(*arguments: str) -> None:
    subprocess.run(["xdotool", *arguments], check=True)


def screen_height() -> int:
    geometry = subprocess.run(["xdotool", "getdisplaygeometry"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(geometry.split()[1])


def find_button(window: Window, name: str, where: str = "sidebar", column: float = 0.5) -> tuple[int, int]:
    """Where in the sidebar or the preferences a property or an operator is: move over it from the top down, as a hand
    would, at that part of the width.

    The exact place depends on Blender's version, theme and resolution.
    """
    left, top, width, height = window.state()[where]
    x, top = left + round(width * column), screen_height() - top
    seen = []
    for y in range(top + 30, top + min(700, height), 8):
        seen.append(_hover(window, where, x, y, 0.1))
        # Once more: a Blender that is busy tells what was under the mouse before.
        if name in seen[-1] and name in _hover(window, where, x, y + 4, 0.4):
            return x, y + 4
    window.shoot(Path(tempfile.gettempdir()) / "join-gui-failed.png", "screen")
    raise AssertionError(f"there is no '{name}' in the {where}, only {[name for name in seen if name]}\n{window.log()}")


def _hover(window: Window, where: str, x: int, y: int, seconds: float) -> str:
    """What Blender says is there."""
    xdotool("mousemove", str(x), str(y))
    time.sleep(seconds)
    window.tell(f"hover {where}")
    return str(window.state()["hovered"])


def inside(blender: str) -> int:
    """The test."""
    window = Window(blender)
    try:
        _test(window)
    except AssertionError as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    finally:
        window.close()
    return 0


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
    _relight(window)
    _grab(window)
    _end_early(window, place, "a killed engine", lambda: window.tell("kill"), 2.0, nothing_left=True)
    _picture(window, "killed")
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
    _picture(window, "crop")
    window.tell("crop")
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("show")
        time.sleep(1)
        _picture(window, "all", aside=True)
        window.tell("material")
        time.sleep(1.5)
        _picture(window, "material", aside=True)
        xdotool("mousemove", "700", "600")  # the window comes up around the mouse, and Escape closes it there
        window.tell("export")
        time.sleep(1)
        _picture(window, "export", "screen")
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
    place, seen_at = find_button(window, "join.decompose("), _picture_at(window)
    clicked = time.monotonic()
    window.press(*place)
    window.wait("the first visible layers", lambda state: len(_new(state, before)) >= 2, 120)
    state = window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    print(f"click to first visible layer, {state['shown']}: below {time.monotonic() - clicked:.1f} s", flush=True)
    _expect_picture_at(window, seen_at)
    if os.environ["JOIN_GUI_PICTURE"]:
        window.wait("progress", lambda state: state["phase"] == "working", 120)
        _picture(window, "working", aside=True)
        seen_at = _picture_at(window)
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = _new(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", (
        f"no layers: {state['images']} {state['words']}\n{window.log()}"
    )
    seconds = time.monotonic() - clicked
    _expect_picture_at(window, seen_at)  # the preview was smaller
    print(f"Blender {state['version']}: a click made {', '.join(layers)} in {seconds:.1f} s", flush=True)
    time.sleep(1)
    _picture(window, "layers", aside=True)
    return place, layers


def _wipe(window: Window) -> None:
    """Press *Wipe*, drag the line, let Esc put it back, let Esc end it: on either side of it the screen shows what it
    does for that image alone."""
    known = window.state()["images"]
    alone = []
    for name in ("albedo", "input"):
        window.tell(name)
        alone.append(_screen(window, name))
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
    _picture(window, "wipe")
    xdotool("mousemove", "1000", "1000")
    both = _screen(window, "wipe")
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
    left, bottom, right, top = _picture_at(window)
    xdotool("mousemove", str(round(left) + 60), str(screen_height() - round((bottom + top) / 2)))
    for _ in range(3):
        xdotool("click", "4")
        time.sleep(0.3)
    seen_at = _picture_at(window)
    assert seen_at[2] - seen_at[0] > 1.2 * (right - left), "the wheel did not zoom"
    for name in ("albedo", "shading", "recomposed", "input"):
        window.tell(name)
        window.wait(f"the {name}", lambda now, name=name: (name if name != "input" else ".png") in now["shown"], 20)
        _expect_picture_at(window, seen_at)
    window.tell("fit")
    print("zoomed in: input, layers and views are seen at the same place", flush=True)


def _picture_at(window: Window) -> list[float]:
    """Left, bottom, right and top edge of the picture on the screen."""
    window.tell("place")
    return list(window.state()["place"])


def _expect_picture_at(window: Window, wanted: list[float]) -> None:
    deadline = time.monotonic() + 5 * PATIENCE
    while True:
        found = _picture_at(window)
        if max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2.0:
            return
        assert time.monotonic() < deadline, f"{window.state()['shown']} is at {found}, not at {wanted}"
        time.sleep(0.2)


def _readable(window: Window) -> None:
    """Look at the shading: exposed and tone-mapped where *Readable Light* is on, as Blender shows it where it is not.
    That the layer's values are the same is seen when the file is saved."""
    window.tell("shading")
    window.wait("the shading", lambda state: "shading" in state["shown"], 20)
    xdotool("mousemove", "1000", "1000")
    window.tell("fit")
    for number, word in enumerate(("readable", "plain")):
        window.tell(word)
        screen = _screen(window, word)
        _picture(window, word, aside=True)
        window.tell("readable")
        window.tell("expect light")
        for x, y, size, *wanted in window.state()["looks"]:
            found = screen.mean(x, screen_height() - y - size, size)
            off = max(abs(a - b) for a, b in zip(found, wanted[number], strict=True))
            assert off <= 6, f"{word}: {found} at {x}, {y}, not {wanted[number]}"
    white = [sum(min(look[which]) > 250 for look in window.state()["looks"]) for which in (3, 4)]
    print(f"Readable Light: {white[0]} squares of 36 are white with it, {white[1]} without", flush=True)


def _views(window: Window) -> None:
    """*Split* and *Error*."""
    for kind in ("split", "error"):
        window.tell(kind)
        window.wait(f"the {kind} view", lambda now, kind=kind: any(kind in name for name in now["images"]), 20)
        time.sleep(1)
        _picture(window, kind, aside=True)
    window.tell("input")


def _maps(window: Window) -> None:
    """Press *Material with Maps*, with *Relief*: the maps come, an undo takes them, a redo brings them back."""
    before = window.state()["images"]
    window.tell("relief")
    scroll(window, 40)  # to the end, however many sliders are before
    window.press(*find_button(window, "join.make_maps(", column=0.4))
    wanted = ("roughness", "normal", "height")
    made = window.wait("the maps", lambda now: len(_new(now, before)) == 3, 60)
    maps = _new(made, before)
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
        _picture(window, "maps", aside=True)
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
        _picture(window, "all", aside=True)
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


class Screen:
    """What is on the screen."""

    def __init__(self, path: Path) -> None:
        kind, size, _, self._pixels = path.read_bytes().split(b"\n", 3)
        assert kind == b"P6", kind
        self._width = int(size.split()[0])

    def mean(self, x: int, y: int, size: int) -> list[float]:
        """Red, green, blue of a square, on average; its corner is counted from the top left."""
        rows = [self._pixels[3 * (row * self._width + x) :][: 3 * size] for row in range(y, y + size)]
        return [sum(sum(row[channel::3]) for row in rows) / size**2 for channel in range(3)]


def _screen(window: Window, name: str) -> Screen:
    time.sleep(1)
    window.tell("rest")
    path = window.folder / f"{name}.ppm"
    subprocess.run(["import", "-window", "root", "-depth", "8", str(path)], check=True)
    return Screen(path)


def _times(window: Window) -> None:
    """The wipe, and how long one waits for layers and a slider; also with presets that end too soon for the rest."""
    _decompose(window, window.state()["images"])
    _wipe(window)
    _readable(window)
    window.tell("input")
    _relight(window)
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
    _picture(window, "before", aside=True)
    place = find_button(window, "join.decompose_together(")
    clicked = time.monotonic()
    window.press(*place)
    window.wait("the work to begin", lambda state: state["phase"] == "working", 120)
    _picture(window, "working", aside=True)
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = [name for name in _new(state, before) if name.split()[-1] in ("albedo", "shading", "specular")]
    assert len(layers) in (2 * count, 3 * count) and state["words"][1] == "", f"{layers} {state['words']}"
    print(f"Blender {state['version']}: {count} photos together in {time.monotonic() - clicked:.1f} s", flush=True)
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    _picture(window, "albedo", aside=True)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    print("undo and redo: the layers of all photos went and came back at once", flush=True)
    window.tell("shading")
    first = window.wait("the shading", lambda state: "shading" in state["shown"], 20)["shown"]
    _picture(window, "first", aside=True)
    window.press(*find_button(window, "-001"))
    second = window.wait("the same layer of another photo", lambda state: state["shown"] != first, 20)["shown"]
    assert "shading" in second, second
    print(f"a click switched from '{first}' to '{second}'", flush=True)
    _picture(window, "second", aside=True)
    window.tell("compare photos")
    differences = window.state()["differences"]
    assert len(differences) > 1 and max(differences.values()) < 1e-5, f"not their photos: {differences}"
    window.tell("input")
    _relight(window, 15)  # the list and the buttons of the photos take the room of the sliders
    place = find_button(window, "join.decompose_together(")
    window.tell("discard")
    _end_early(window, place, "Escape that discards", lambda: xdotool("key", "Escape"), 10.0, nothing_left=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"] and len(state["saved"]) == len(layers), "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)
    window.tell("report")
    _report(window.state())


def _clean_up(window: Window) -> None:
    """Draw a Mask around the middle of the image by clicks, press *Clean Up*, look at the layers, undo and reopen."""
    before = window.state()["images"]
    window.tell("mask mode")
    _picture(window, "before", aside=True)
    _draw_mask(window)
    window.tell("sidebar")
    time.sleep(2)
    _picture(window, "mask", aside=True)
    window.press(*find_button(window, "join.clean_up("))
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = _new(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("view mode")
    _picture(window, "albedo", aside=True)
    window.tell("compare cleaned")
    told = window.state()["cleaned"]
    assert told["around"] < 1e-5 < told["inside"], f"only what the mask covers may change: {told}"
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    window.tell("recomposed")
    window.wait("the picture without it", lambda now: any("recomposed" in name for name in now["images"]), 20)
    time.sleep(1)
    _picture(window, "after", aside=True)
    print(f"Clean Up was clicked: {told['share']:.0%} filled; undo and redo took it and brought it back", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"] and len(state["saved"]) == len(layers), "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


def _mix(window: Window) -> None:
    """Decompose two pictures, press *Mix*, type an amount of *Colour*, look, undo and redo, save and reopen."""
    window.tell("two materials")
    window.wait("both sets", lambda now: sum("albedo" in name for name in now["images"]) == 2, 600)
    state = window.wait("the end of both", lambda now: now["phase"] == "idle", 600)
    assert state["words"][1] == "", state["words"]
    window.tell("other material")
    time.sleep(2)
    scroll(window, 30)
    _picture(window, "chosen", aside=True)
    window.press(*find_button(window, "join.mix("))
    window.wait("the sliders", lambda now: any(light["shares"] for light in now.get("lights", [])), 120)
    scroll(window, 30)
    time.sleep(1)
    _picture(window, "before", aside=True)
    window.press(*find_button(window, ".share"))
    time.sleep(2)
    xdotool("key", "ctrl+a")
    xdotool("type", "0.8")
    xdotool("key", "Return")
    mixed = window.wait("the mixed albedo", lambda now: _is_lit(now), 120)["lights"][0]
    assert mixed["shares"] == {"Colour": 0.8, "Pattern": 0.0, "Layout": 0.0}, mixed
    assert not any(mixed["amounts"].values()), mixed
    print(f"an amount was typed: {mixed['wanted']}", flush=True)
    window.wait("the recomposed view", lambda now: "recomposed" in now["shown"] and not now["live"], 60)
    time.sleep(1)
    _picture(window, "after", aside=True)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the albedo before", _is_dark, 60)
    xdotool("key", "ctrl+shift+z")
    window.wait("the mixed albedo again", lambda now: _is_lit(now) and now["lights"][0] == mixed, 60)
    print("undo and redo: the slider and the albedo went back and came again", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 60)
    assert state["reopened"] == state["saved"] and len(state["saved"]) >= 4, "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


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
        _picture(window, name.lower(), aside=True)
        print(f"a click shows {window.state()['shown']}", flush=True)
    window.tell("no sidebar")
    time.sleep(1)
    _picture(window, "legend", aside=True)


def _paste(window: Window) -> None:
    """Decompose two pictures, draw a Mask by clicks, press *Paste Material*, look, undo and redo, save and reopen."""
    window.tell("two materials")
    window.wait("both sets", lambda now: sum("albedo" in name for name in now["images"]) == 2, 600)
    state = window.wait("the end of both", lambda now: now["phase"] == "idle", 600)
    assert state["words"][1] == "", state["words"]
    window.tell("other material")
    window.tell("mask mode")
    _draw_mask(window)
    window.tell("sidebar")
    time.sleep(2)
    scroll(window, 30)
    _picture(window, "before", aside=True)
    before, runs = window.state()["images"], window.state()["runs"]
    window.press(*find_button(window, "join.paste("))
    state = window.wait("the layers", lambda now: now["runs"] == runs + 1, 300)
    layers = _new(state, before)
    assert len(layers) == 3 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("view mode")
    _picture(window, "albedo", aside=True)
    window.tell("compare pasted")
    told = window.state()["pasted"]
    assert told["light"] == told["around"] == 0.0 < told["inside"], f"only the paint under the mask may change: {told}"
    window.tell("recomposed")
    window.wait("the picture with it", lambda now: "recomposed" in now["shown"], 60)
    time.sleep(1)
    window.tell("no sidebar")
    _picture(window, "after", aside=True)
    window.tell("sidebar")
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    print(f"Paste Material was clicked: {', '.join(layers)}; undo and redo took them and brought them back", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 60)
    assert state["reopened"] == state["saved"] and len(state["saved"]) >= 9, "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


def _material(window: Window) -> None:
    """Decompose, get the sliders of the material, type an amount of the first, look, undo and redo, save and reopen."""
    window.press(*find_button(window, "join.decompose("))
    window.wait("the layers", lambda state: state["runs"] == 1, 300)
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("relight")
    window.wait("the sliders", lambda now: bool(now.get("lights") and now["lights"][0]["restyles"]), 120)
    window.tell("input")
    scroll(window, 30)
    time.sleep(2)
    _picture(window, "before", aside=True)
    window.press(*find_button(window, ".share"))
    time.sleep(2)
    xdotool("key", "ctrl+a")
    xdotool("type", "1")
    xdotool("key", "Return")
    moved = window.wait("the changed layers", lambda now: _is_lit(now), 120)["lights"][0]
    assert sorted(moved["restyles"].values())[-1] == 1.0 and not any(moved["amounts"].values()), moved
    print(f"an amount was typed: {moved['wanted']}", flush=True)
    window.wait("the recomposed view", lambda now: "recomposed" in now["shown"] and not now["live"], 60)
    time.sleep(1)
    _picture(window, "after", aside=True)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the layers before", _is_dark, 60)
    xdotool("key", "ctrl+shift+z")
    window.wait("the changed layers again", lambda now: _is_lit(now) and now["lights"][0] == moved, 60)
    print("undo and redo: the slider and the layers went back and came again", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 60)
    assert state["reopened"] == state["saved"] and len(state["saved"]) >= 2, "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


def _draw_mask(window: Window) -> None:
    """Around the middle of the image, by clicks."""
    window.tell("corners")
    corners = window.state()["corners"]
    for number, (x, y) in enumerate(corners, 1):
        xdotool("mousemove", str(x - 4), str(screen_height() - y))
        time.sleep(0.2)
        xdotool("mousemove", str(x), str(screen_height() - y))
        time.sleep(0.5)
        xdotool("keydown", "ctrl")
        time.sleep(0.2)
        xdotool("click", "1")
        time.sleep(0.5)
        xdotool("keyup", "ctrl")
        window.wait(f"point {number} of the mask", lambda state, number=number: state.get("points", 0) >= number, 10)
    print(f"a Mask was drawn by {len(corners)} clicks", flush=True)


def _report(state: dict[str, Any]) -> None:
    _report_moves(state["moves"])
    for who, size in state["memory"].items():
        print(f"  memory of {who}: at most {size} MiB")
    _report_ticks(state["own"], state["loop"])


def _new(state: dict[str, Any], before: list[str]) -> list[str]:
    return sorted(set(state["images"]) - set(before) - {"Viewer Node", "Render Result"})


def _install_by_hand(window: Window) -> None:
    """What one sees who drags the zip into the window."""
    window.wait("the question about the zip", lambda state: state["phase"] == "dropped", 120)
    _picture(window, "install")
    xdotool("key", "Escape")
    window.tell("install")


def _look_at_preferences(window: Window) -> None:
    xdotool("mousemove", "700", "600")  # the window comes up around the mouse
    window.tell("preferences")
    xdotool("mousemove", "1900", "100")
    time.sleep(3)  # for the window, and for the test of the engine that ends with the words "not installed"
    _picture(window, "preferences", "screen")
    window.tell("preferences closed")
    time.sleep(2)
    _picture(window, "engine", aside=True)
    window.tell("engine again")
    time.sleep(2)
    xdotool("mousemove", "150", "300")
    window.tell("menu")
    _picture(window, "menu")
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
    _picture(window, "consent", "screen")
    xdotool("key", "Return")  # *Install* is the button that is lit; its place depends on the length of a path
    window.wait("the installer to begin", lambda now: now["engine"][0], 10)
    window.wait("progress", lambda now: now["engine"][2], 20)
    _picture(window, "installing", "screen")
    state = window.wait("the end of it", lambda now: not now["engine"][0], 120)
    time.sleep(1)
    _picture(window, "installed", "screen")
    assert state["engine"][1].startswith("Ready on CPU: torch 9.1"), state["engine"]
    print(f"Install Engine was clicked: {state['engine'][1]}", flush=True)
    window.tell("preferences away")
    window.wait("the test of the Python that was chosen instead", lambda now: "Tested:" in now["engine"][1], 60)


def _picture(window: Window, step: str, which: str = "window", aside: bool = False) -> None:
    """``aside``: without a tooltip, and with the image as large as it fits."""
    if picture := os.environ["JOIN_GUI_PICTURE"]:
        path = Path(picture)
        if aside:
            xdotool("mousemove", "1000", "1000")
            window.tell("fit")
            time.sleep(1)
        for _ in range(3):  # by then Blender has drawn whatever it had to
            window.tell("rest")
        window.shoot(path.with_name(f"{path.stem}-{step}{path.suffix}"), which)


def _undo_and_redo(window: Window, layers: list[str]) -> None:
    xdotool("key", "ctrl+z")
    window.wait("the undo", lambda state: not set(layers) & set(state["images"]), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the redo", lambda state: set(layers) <= set(state["images"]), 20)
    print("undo and redo: the layers went and came back", flush=True)


def _relight(window: Window, turns: int = 5) -> None:
    """Drag a slider: the picture in the editor, which was the input, follows, and the layers do; undo and redo take the
    slider and the layers with them. ``turns`` of the wheel bring the sliders into the sidebar."""
    window.tell("relight")
    scroll(window, turns)
    window.wait("the sliders", lambda now: bool(now.get("lights") and now["lights"][0]["pictured"]), 60)
    time.sleep(1)
    x, y = find_button(window, ".amount")
    drag(x, y, 60)
    moved = window.wait("the relit layer", _is_lit, 60)["lights"][0]
    print(f"a slider was dragged: {moved['wanted']}", flush=True)
    state = window.wait("the recomposed view alone", lambda now: "recomposed" in now["shown"] and not now["live"], 20)
    assert state["preview"] >= 128, f"what moved was {state['preview']} pixels large"
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the light before the drag", lambda now: _is_dark(now), 20)
    xdotool("key", "ctrl+shift+z")
    window.wait("the light after the drag", lambda now: _is_lit(now) and now["lights"][0] == moved, 20)
    print("undo and redo: the slider and its layer went back and came again", flush=True)
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("keyframes")
        time.sleep(1)
        window.wait("the animated light", _is_lit, 60)
        _picture(window, "relight", aside=True)
    scroll(window, -30)


def _grab(window: Window) -> None:
    """Drag the light's disk over the picture, then its ring; undo and redo; press *Place Light* and click."""
    window.tell("input")
    window.tell("reset light")
    window.wait("the light of the photo", lambda now: not _not_zero(now["lights"][0]), 20)
    x, y, ring = _handle_at(window)
    before = window.state()["lights"][0]
    drag(x, y, -70)
    moved = window.wait("the light to be where it was dragged", lambda now: _went(now, before, "Left / Right"), 60)
    left = before["amounts"]["Left / Right"] - moved["lights"][0]["amounts"]["Left / Right"]
    assert left > 0.2, f"dragged to the left, the light went {-left} to the right"
    moved = window.wait("the layers in that light", _is_lit, 60)["lights"][0]
    x, y, ring = _handle_at(window)
    _picture(window, "handle")
    drag(x - ring, y, -25)
    far = window.wait("the light to be farther", lambda now: _went(now, moved, "Distance"), 60)["lights"][0]
    assert far["amounts"]["Distance"] > moved["amounts"]["Distance"], far
    time.sleep(1)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the distance of before", lambda now: now["lights"][0]["amounts"] == moved["amounts"], 30)
    xdotool("key", "ctrl+z")
    window.wait("the light of before", lambda now: now["lights"][0]["amounts"] == before["amounts"], 30)
    xdotool("key", "ctrl+shift+z")
    window.wait("the light again", lambda now: now["lights"][0]["amounts"] == moved["amounts"], 30)
    drag(x, y, -40, cancel=True)
    window.wait("Esc to put it back", lambda now: now["lights"][0]["amounts"] == moved["amounts"], 30)
    print(
        f"the light was dragged: {moved['amounts']}, its ring to {far['amounts']['Distance']}; undo, redo and Esc work"
    )
    scroll(window, 5)
    window.press(*find_button(window, "join.place_light(", column=0.3))
    left, bottom, right, top = window.state()["picture"]
    place = left + (right - left) // 4, screen_height() - (bottom + (top - bottom) * 3 // 4)
    xdotool("mousemove", *map(str, place))
    time.sleep(0.3)
    xdotool("mousedown", "1")
    time.sleep(0.3)
    xdotool("mouseup", "1")
    window.wait("the light to be where it was clicked", lambda now: _went(now, moved, "Up / Down"), 60)
    at = _handle_at(window)
    off = max(abs(a - b) for a, b in zip(at, place, strict=False))
    amounts = window.state()["lights"][0]["amounts"]
    most = max(abs(amounts[name]) for name in ("Left / Right", "Up / Down"))
    assert off <= 3 or most == 3.0, f"clicked at {place}, the light is at {at}: {amounts}"
    window.wait("the layers in that light", _is_lit, 60)
    time.sleep(1)
    _picture(window, "placed")
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the light before the click", lambda now: now["lights"][0]["amounts"] == moved["amounts"], 30)
    placed = _not_zero({"amounts": amounts})
    print(f"Place Light was clicked: {placed}, {off} pixels from the click; an undo took it back", flush=True)
    scroll(window, -30)


def _not_zero(light: dict[str, Any]) -> dict[str, float]:
    return {name: amount for name, amount in light["amounts"].items() if amount}


def _handle_at(window: Window) -> tuple[int, int, int]:
    """Where the disk is on the screen, and the radius of its ring."""
    window.tell("handle")
    x, y, ring = window.state()["handle"]
    return x, screen_height() - y, ring


def _went(state: dict[str, Any], before: dict[str, Any], name: str) -> bool:
    return abs(state["lights"][0]["amounts"][name] - before["amounts"][name]) > 0.05


def _handle(window: Window) -> None:
    """The light's handle, after a slider."""
    _decompose(window, window.state()["images"])
    _relight(window)
    _grab(window)


def _is_lit(state: dict[str, Any]) -> bool:
    """The layers show the values of the sliders, and these are not 0."""
    light = state["lights"][0]
    return bool(light["wanted"]) and light["shown"] == light["wanted"]


def _is_dark(state: dict[str, Any]) -> bool:
    return all(light["shown"] == light["wanted"] == [] for light in state["lights"])


def scroll(window: Window, turns: int) -> None:
    """Turn the wheel over the sidebar, down for a positive number."""
    left, top, width, height = window.state()["sidebar"]
    xdotool("mousemove", str(left + width // 2), str(screen_height() - top + height // 2))
    time.sleep(0.2)
    for _ in range(abs(turns)):
        xdotool("click", "5" if turns > 0 else "4")
        time.sleep(0.05)
    time.sleep(0.5)


def drag(x: int, y: int, distance: int, cancel: bool = False) -> None:
    """Press there, move as a hand would, let go; or press Esc before."""
    xdotool("mousemove", str(x), str(y))
    time.sleep(0.2)
    xdotool("mousedown", "1")
    for step in range(1, 11):
        time.sleep(0.08)
        xdotool("mousemove", str(x + distance * step // 10), str(y))
    time.sleep(0.1)
    if cancel:
        xdotool("key", "Escape")
        time.sleep(0.2)
    xdotool("mouseup", "1")


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
    assert len(_new(state, before)) >= 2, state["words"]
    window.tell("compare viewer")
    differences = window.state()["differences"]
    assert max(differences.values()) < 1e-5, f"the layers are not those of the Viewer: {differences}"
    print("the Viewer, with the backdrop on, was decomposed; its layers make what it shows", flush=True)
    time.sleep(1)
    _picture(window, "viewer")


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


def _face(window: Window) -> None:
    """Point at eyes and mouth, look for the face again, drag a box; decompose, and move the key light. Give
    samples/photos/astronaut.jpg and a bank of faces."""
    before = window.state()["images"]
    window.tell("fit")
    time.sleep(1)
    kept = _faces_kept(window, "face_points", lambda at: [_click(x, y) for x, y in at[:3]])
    wanted = [value for place in window.state()["face_wanted"][:3] for value in place]
    assert max(abs(a - b) for a, b in zip(kept, wanted, strict=True)) < 0.01, (kept, wanted)
    _picture(window, "points")
    window.press(*find_button(window, "join.face_forget("))
    time.sleep(1)
    window.tell("face")
    assert window.state()["face"] == [], "the face was not forgotten"
    kept = _faces_kept(window, "face_box", lambda at: _drag_box(at[3], at[4]))
    (left, top), (right, bottom) = window.state()["face_wanted"][3:]
    assert max(abs(a - b) for a, b in zip(kept, (left, bottom, right, top), strict=True)) < 0.01, kept
    _picture(window, "box")
    window.press(*find_button(window, "join.decompose("))
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = _new(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    print(f"a portrait: {', '.join(layers)}", flush=True)
    _picture(window, "layers", aside=True)
    _relight(window, 14)


def _faces_kept(window: Window, button: str, point: Callable[[list[list[int]]], Any]) -> list[float]:
    """Press a button, point, and what is kept of the face then."""
    window.tell("face")
    window.press(*find_button(window, f"join.{button}("))
    time.sleep(1)
    point([[x, screen_height() - y] for x, y in window.state()["face_at"]])
    time.sleep(1)
    window.tell("face")
    kept = window.state()["face"]
    assert kept, f"{button} kept nothing\n{window.log()}"
    print(f"{button}: kept {kept}", flush=True)
    return list(kept)


def _click(x: int, y: int) -> None:
    xdotool("mousemove", str(x - 5), str(y))
    time.sleep(0.3)
    xdotool("mousemove", str(x), str(y))
    time.sleep(0.3)
    xdotool("click", "1")
    time.sleep(0.5)


def _drag_box(start: list[int], end: list[int]) -> None:
    xdotool("mousemove", *map(str, start))
    time.sleep(0.3)
    xdotool("mousedown", "1")
    for step in range(1, 6):
        time.sleep(0.15)
        x, y = (a + (b - a) * step // 5 for a, b in zip(start, end, strict=True))
        xdotool("mousemove", str(x), str(y))
    time.sleep(0.4)
    xdotool("mouseup", "1")


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
    "clean-up": _clean_up,
    "mix": _mix,
    "maps": _maps_alone,
    "handle": _handle,
    "confidence": _confidence,
    "paste": _paste,
    "face": _face,
    "material": _material,
}
"""Steps by themselves."""

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", default="blender", help="a Blender, 4.3, 5.2, or a command that starts one")
    parser.add_argument("--image", type=Path, help="what to decompose; a small made-up one if not given")
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="of one thing, for --only together")
    parser.add_argument("--bank", default="", help="name or file of a bank; the default one if not given")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--picture", type=Path, help="where to save pictures of the window, with the step in the name")
    parser.add_argument("--only", choices=tuple(ONLY), default="", help="one step by itself")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        sys.exit(inside(given.blender))
    sys.exit(
        outside(
            given.blender,
            given.image and given.image.resolve(),
            [path.resolve() for path in given.photos],
            given.bank,
            given.preset,
            given.picture and given.picture.resolve(),
            given.only,
        )
    )
