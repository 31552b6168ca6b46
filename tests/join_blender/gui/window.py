# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender under test as somebody sees it who sits before it: its window, mouse and keys, and what the screen shows.
With nothing but the standard library, as it runs beside that Blender."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SIZE = (1280, 800)
"""Of the window. Software draws it, and must not be what the test measures."""
PATIENCE = float(os.environ.get("JOIN_GUI_PATIENCE") or 1)
"""By how much everything may take longer than on two idle cores."""


class Window:
    """The Blender under test, its mouse and its state."""

    def __init__(self, blender: str, size: tuple[int, int] = SIZE) -> None:
        self.folder = Path(os.environ["JOIN_GUI"])
        if shutil.which("xdotool") is None:
            raise SystemExit("xdotool, which presses the button, is not installed.")
        arguments = ["--factory-startup", "-noaudio", "--window-geometry", *map(str, (0, 0, *size))]
        self.home = self.folder / "home"
        user = self.folder / "user"
        for made in (self.home, user):
            made.mkdir()
        environment = {**os.environ, "BLENDER_USER_RESOURCES": str(user), "HOME": str(self.home)}
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
        self.shoot(Path(tempfile.gettempdir()) / "join-gui-failed.png", "screen")
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
    for y in range(top + 30, top + min(900, height), 8):
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


def click(x: int, y: int) -> None:
    xdotool("mousemove", str(x - 5), str(y))
    time.sleep(0.3)
    xdotool("mousemove", str(x), str(y))
    time.sleep(0.3)
    xdotool("click", "1")
    time.sleep(0.5)


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


def read_screen(window: Window, name: str) -> Screen:
    time.sleep(1)
    window.tell("rest")
    path = window.folder / f"{name}.ppm"
    subprocess.run(["import", "-window", "root", "-depth", "8", str(path)], check=True)
    return Screen(path)


def picture(window: Window, step: str, which: str = "window", aside: bool = False) -> None:
    """``aside``: without a tooltip, and with the image as large as it fits."""
    if os.environ["JOIN_GUI_PICTURE"]:
        path = Path(os.environ["JOIN_GUI_PICTURE"])
        if aside:
            xdotool("mousemove", "1000", "1000")
            window.tell("fit")
            time.sleep(1)
        for _ in range(3):  # by then Blender has drawn whatever it had to
            window.tell("rest")
        window.shoot(path.with_name(f"{path.stem}-{step}{path.suffix}"), which)


def new_images(state: dict[str, Any], before: list[str]) -> list[str]:
    return sorted(set(state["images"]) - set(before) - {"Viewer Node", "Render Result"})


def picture_at(window: Window) -> list[float]:
    """Left, bottom, right and top edge of the picture on the screen."""
    window.tell("place")
    return list(window.state()["place"])


def expect_picture_at(window: Window, wanted: list[float]) -> None:
    deadline = time.monotonic() + 5 * PATIENCE
    while True:
        found = picture_at(window)
        if max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 2.0:
            return
        assert time.monotonic() < deadline, f"{window.state()['shown']} is at {found}, not at {wanted}"
        time.sleep(0.2)


def run_test(blender: str, test: Callable[[Window], None], size: tuple[int, int] = SIZE) -> int:
    """Start that Blender, with a window of that size, and test it; the exit status."""
    window = Window(blender, size)
    try:
        test(window)
    except AssertionError as error:
        print(f"FAILED: {error}", flush=True)
        return 1
    finally:
        window.close()
    return 0
