# SPDX-License-Identifier: GPL-3.0-or-later
"""A newcomer's first half hour, by mouse and keys: ``newcomer.py --blender 5.2 --image PHOTO --picture FILE.png``.

From the zip, dropped into a Blender as it comes, to a photo's layers: looked at, relit, made a material, wired into the
compositor, saved and opened again. Counts clicks and keys, and looks after each whether anything changes on the screen
beside the button itself; prints both. Not done by hand: the zip is handed over as if it had been dropped, and as the
engine's packages are tiny ones, a Python that has torch is chosen in their place once they are installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import arguments, outside
from light import is_lit
from window import (
    PATIENCE,
    Window,
    find_button,
    new_images,
    picture,
    picture_at,
    run_test,
    screen_height,
    scroll,
    xdotool,
)

SIZE = (1600, 1000)
SOON = 1.0
"""Seconds after a click within which something should be seen."""
_BAND = 18
"""Rows above and below the mouse in which a change may be nothing but the button's."""


class Newcomer:
    """The hands, and what they have done so far."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.clicks = self.keys = 0
        self.waits: list[tuple[float, str]] = []
        self._shot = window.folder / "shot.ppm"

    def click(self, what: str, x: int, y: int, field: bool = False) -> None:
        """Press the left button there; a field for words shows where they go."""
        xdotool("mousemove", str(x - 6), str(y))
        time.sleep(0.15)
        xdotool("mousemove", str(x), str(y))
        time.sleep(0.25)
        self.clicks += 1
        self._watch(what, lambda: xdotool("click", "1"), None if field else y)

    def press(self, what: str, name: str, column: float = 0.5) -> None:
        """Click a button of the sidebar, found by what it does."""
        self.window.tell("look around")
        self.click(what, *find_button(self.window, name, column=column))

    def key(self, what: str, keys: str) -> None:
        """Press a key, or several together."""
        self.keys += 1
        self._watch(what, lambda: xdotool("key", keys), None)

    def choose(self, path: Path) -> None:
        """By its name, in a file browser that has come up and shows the folder; whose button is then pressed."""
        time.sleep(2)
        self.window.tell("look around")
        left, top, width, height = self.window.state()["browser"]
        middle = screen_height() - top + height // 2
        self.click("the field of the name", left + round(0.3 * width), middle, field=True)
        xdotool("key", "ctrl+a")
        xdotool("type", path.name)
        time.sleep(0.5)
        picture(self.window, f"browser-{path.suffix[1:]}", "screen")
        xdotool("key", "Return")
        time.sleep(1)
        self.click("the button of the browser", left + round(0.92 * width), middle)

    def change_editor(self, what: str, kind: str, number: int) -> None:
        """By the menu at the upper left of the large area, of which that entry is wanted."""
        self.click("the menu of the editors", 27, _y(self.window, 40))
        time.sleep(0.5)
        picture(self.window, "editors")
        self.click(what, 90, _y(self.window, 95 + 23 * number))
        self.expect(what, lambda state: kind in state["editors"])
        time.sleep(0.5)

    def expect(self, what: str, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Look around until that is so."""
        deadline = time.monotonic() + 10 * PATIENCE
        self.window.tell("look around")
        while not condition(self.window.state()):
            if time.monotonic() > deadline:
                self.window.shoot(Path(tempfile.gettempdir()) / "join-gui-failed.png")
                raise AssertionError(f"not seen: {what}; {self.window.state()}")
            time.sleep(0.5)
            self.window.tell("look around")

    def report(self, until: str) -> None:
        """What it has cost so far."""
        late = [f"{what} ({seconds:.1f} s)" for seconds, what in self.waits if seconds > SOON]
        slowest = max(self.waits)
        print(
            f"{until}: {self.clicks} clicks and {self.keys} keys; nothing to be seen within {SOON:.0f} s after "
            f"{len(late)} of them: {', '.join(late) or 'none'}; slowest {slowest[0]:.1f} s ({slowest[1]})",
            flush=True,
        )

    def _watch(self, what: str, act: Callable[[], None], row: int | None) -> None:
        before = self._look()
        act()
        start = time.monotonic()
        while True:
            moment = time.monotonic() - start
            if _differ(before, self._look(), row) or moment > 5.0:
                break
        self.waits.append((moment, what))
        print(f"  {what}: something is seen {moment:.1f} s after it", flush=True)

    def _look(self) -> tuple[int, bytes]:
        subprocess.run(["import", "-window", "root", "-depth", "8", str(self._shot)], check=True)
        kind, size, _, pixels = self._shot.read_bytes().split(b"\n", 3)
        assert kind == b"P6", kind
        return int(size.split()[0]) * 3, pixels


def _differ(one: tuple[int, bytes], other: tuple[int, bytes], row: int | None) -> bool:
    """Whether two screens do, beside the rows about the mouse."""
    stride = one[0]
    if row is None:
        return one[1] != other[1]
    above, below = max(row - _BAND, 0) * stride, (row + _BAND) * stride
    return one[1][:above] != other[1][:above] or one[1][below:] != other[1][below:]


def _test(window: Window) -> None:
    hands = Newcomer(window)
    image = window.home / Path(os.environ["JOIN_GUI_IMAGE"]).name
    shutil.copyfile(os.environ["JOIN_GUI_IMAGE"], image)
    _install(hands)
    _open(hands, image)
    _engine(hands)
    before = window.state()["images"]
    hands.press("Decompose Image", "join.decompose(")
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 120)
    picture(window, "working")
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = new_images(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    _move_away(hands)
    picture(window, "albedo")
    hands.report("from the zip to layers")
    _look(hands)
    _relight(hands)
    hands.report("with a look at them, in another light")
    _material(hands)
    _compositor(hands)
    _save_and_reopen(hands, window.home / "first.blend", layers)
    hands.report("all of it")


def _install(hands: Newcomer) -> None:
    """The zip has been dropped: *OK*."""
    window = hands.window
    window.wait("the question about the zip", lambda state: state["phase"] == "dropped", 120)
    time.sleep(1)
    picture(window, "zip")
    hands.key("OK", "Return")
    window.wait("the add-on", lambda state: state["phase"] == "ready", 60)
    time.sleep(1)
    picture(window, "added")


def _open(hands: Newcomer, image: Path) -> None:
    """An Image Editor in place of the 3D viewport, the photo, the sidebar, the tab."""
    window = hands.window
    hands.change_editor("an Image Editor", "IMAGE_EDITOR", 1)
    xdotool("mousemove", "600", str(_y(window, 400)))
    time.sleep(0.5)
    hands.key("Open Image", "alt+o")
    hands.choose(image)
    window.wait("the photo", lambda state: state["shown"] == image.name, 20)
    xdotool("mousemove", "600", str(_y(window, 400)))
    time.sleep(1)
    hands.key("the sidebar", "n")
    time.sleep(1)
    window.tell("look around")
    left, top, width, _ = window.state()["sidebar"]
    hands.click("the tab JoIN", left + width - 10, screen_height() - top + 234)
    hands.expect("the tab JoIN", lambda state: state["tab"] == "JoIN")
    time.sleep(0.5)
    picture(window, "tab")


def _engine(hands: Newcomer) -> None:
    """What the panel says is missing."""
    window = hands.window
    window.tell("watch engine")
    hands.press("Allow Online Access", "use_online_access")
    hands.press("Install Engine", "join.install_engine(")
    time.sleep(1)
    picture(window, "consent")
    hands.key("Install", "Return")
    window.wait("the installer to begin", lambda now: now["engine"][0], 10)
    picture(window, "installing")
    state = window.wait("the end of it", lambda now: not now["engine"][0], 120)
    assert state["engine"][1].startswith("Ready on CPU"), state["engine"]
    time.sleep(1)
    window.tell("engine again")
    window.wait("the test of the Python that was chosen instead", lambda now: "Tested:" in now["engine"][1], 60)
    picture(window, "ready")


def _look(hands: Newcomer) -> None:
    """The layers, and input and albedo over one another."""
    window = hands.window
    window.tell("look around")
    for name in ("specular", "shading"):
        hands.press(name.capitalize(), f"number={window.state()['numbers'][name]}")
        window.wait(name, lambda state, name=name: name in state["shown"], 20)
        _move_away(hands)
        picture(window, name)
    hands.press("Split", "kind='SPLIT'")
    window.wait("the split view", lambda state: "split" in state["shown"], 20)
    _move_away(hands)
    picture(window, "split")
    hands.press("Wipe", "join.wipe(")
    _move_away(hands)
    picture(window, "wipe")
    hands.press("Wipe, off", "join.wipe(")


def _relight(hands: Newcomer) -> None:
    """The sliders, then the light where one clicks."""
    window = hands.window
    hands.press("Relight", "join.relight(")
    window.wait("the sliders", lambda now: bool(now.get("lights") and now["lights"][0]["pictured"]), 60)
    time.sleep(1)
    scroll(window, 30)
    scroll(window, -5)
    picture(window, "sliders")
    hands.press("Place Light", "join.place_light(", column=0.3)
    left, bottom, right, top = picture_at(window)
    at = round(left + 0.2 * (right - left)), screen_height() - round(bottom + 0.6 * (top - bottom))
    hands.click("in the picture", *at)
    window.wait("the layers in that light", is_lit, 60)
    window.wait("the recomposed view alone", lambda now: "recomposed" in now["shown"] and not now["live"], 20)
    _move_away(hands)
    picture(window, "relit")


def _material(hands: Newcomer) -> None:
    """Of the cube that a new file has."""
    window = hands.window
    scroll(window, 60)
    hands.press("Material from Layers", "join.make_material(")
    time.sleep(1)
    picture(window, "material")
    hands.change_editor("the Shader Editor", "ShaderNodeTree", 5 if window.state()["version"] >= "5" else 6)
    xdotool("mousemove", "400", str(_y(window, 300)))
    time.sleep(0.5)
    hands.key("all of its nodes", "Home")
    time.sleep(1)
    picture(window, "nodes")
    hands.change_editor("the Image Editor again", "IMAGE_EDITOR", 1)


def _compositor(hands: Newcomer) -> None:
    """Into the compositor, and there."""
    window = hands.window
    scroll(window, 60)
    hands.press("Add to Compositor", "join.add_nodes(", column=0.3)
    time.sleep(1)
    hands.click("the tab Compositing", 908, _y(window, 14))
    time.sleep(2)
    hands.expect("the compositor", lambda state: "CompositorNodeTree" in state["editors"])
    left, top, width, height = window.state()["compositor"]
    xdotool("mousemove", str(left + width // 2), str(screen_height() - top + height // 2))
    time.sleep(0.5)
    hands.key("all of its nodes", "Home")
    hands.expect("what the Viewer shows", lambda state: any(state["viewer"]))
    time.sleep(2)
    picture(window, "compositor")


def _save_and_reopen(hands: Newcomer, path: Path, layers: list[str]) -> None:
    """Ctrl S, Ctrl O, and the light is still where it was put."""
    window = hands.window
    hands.key("Save", "ctrl+s")
    hands.choose(path)
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, "the file was not saved"
        time.sleep(0.2)
    time.sleep(2)
    light = window.state()["lights"]
    hands.key("Open", "ctrl+o")
    hands.choose(path)
    state = window.wait("the file to be open again", lambda now: now.get("opened") == str(path), 30)
    assert set(layers) <= set(state["images"]), state["images"]
    assert state["lights"][0]["wanted"] == light[0]["wanted"], (state["lights"], light)
    time.sleep(2)
    hands.click("the tab Layout", 300, _y(window, 14))
    hands.expect("the Image Editor", lambda now: "IMAGE_EDITOR" in now["editors"])
    _move_away(hands)
    picture(window, "reopened")
    print(f"saved and opened again: {', '.join(layers)} are there, in the light of before", flush=True)


def _move_away(hands: Newcomer) -> None:
    xdotool("mousemove", "1850", "1050")
    time.sleep(1)


def _y(window: Window, below: int) -> int:
    """A row of the screen, counted from the window's top."""
    _, bottom, _, height = window.state().get("window", (0, 0, *SIZE))
    return int(screen_height() - bottom - height + below)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.set_defaults(only="newcomer", preset="standard")
    given = parser.parse_args()
    sys.exit(run_test(given.blender, _test, SIZE) if given.inside else outside(Path(__file__), given))
