# SPDX-License-Identifier: GPL-3.0-or-later
"""The step on photos whose files speak of other colours than sRGB's."""

from __future__ import annotations

import time

from window import Window, find_button, new_images, picture, xdotool

_TOLERANCE = 5e-4
"""Of linear light: Blender's Display P3 is given to so many digits."""


def profile(window: Window) -> None:
    """Press *Use Display P3* on a phone's photo, and *Convert from Adobe RGB* on another, which is then decomposed;
    undo and redo each. Both are made by launch.py."""
    place = find_button(window, "join.use_file_colors(")
    assert _colors(window)[0] == "sRGB"
    picture(window, "phone", aside=True)
    window.press(*place)
    _expect(window, "Display P3")
    picture(window, "phone-used", aside=True)
    _over_the_image("ctrl+z")
    _expect(window, "sRGB")
    _over_the_image("ctrl+shift+z")
    _expect(window, "Display P3")
    window.tell("other photo")
    before = window.wait("the other photo", lambda state: state["shown"] == "camera.jpg", 20)["images"]
    place = find_button(window, "join.convert_colors(")
    picture(window, "camera", aside=True)
    window.press(*place)
    window.wait("the converted photo", lambda state: state["shown"] == "camera linear", 60)
    _expect(window, "Linear Rec.709")
    picture(window, "camera-converted", aside=True)
    _over_the_image("ctrl+z")
    window.wait("the undo", lambda state: not new_images(state, before) and state["shown"] == "camera.jpg", 20)
    _over_the_image("ctrl+shift+z")
    window.wait("the redo", lambda state: new_images(state, before) == ["camera linear"], 20)
    window.tell("converted")
    window.press(*find_button(window, "join.decompose("))
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    assert state["words"][1] == "", state["words"]
    window.tell("compare converted")
    missed = window.state()["missed"]
    assert missed < _TOLERANCE, f"the layers do not make what the file says: {missed}"
    picture(window, "camera-layers", aside=True)
    print(f"Use Display P3 and Convert from Adobe RGB were clicked, undone and redone; {missed:.1e} missed", flush=True)


def _over_the_image(keys: str) -> None:
    xdotool("mousemove", "300", "300")
    xdotool("key", keys)


def _expect(window: Window, space: str) -> None:
    """That the image that is shown comes to be in that space: in any but sRGB it then is what its file means."""
    deadline = time.monotonic() + 20
    while (found := _colors(window))[0] != space:
        assert time.monotonic() < deadline, f"{found}, not {space}"
        time.sleep(0.2)
    assert (found[1] < _TOLERANCE) == (space != "sRGB"), found


def _colors(window: Window) -> tuple[str, float]:
    """The space of the image that is shown, and by how much its pixels differ from those that its file means."""
    window.tell("colors")
    space, off = window.state()["colors"]
    return str(space), float(off)
