# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that move the light: sliders, the handle, *Place Light*."""

from __future__ import annotations

import os
import time
from typing import Any

from window import Window, drag, find_button, picture, picture_at, read_screen, screen_height, scroll, xdotool


def relight(window: Window, turns: int = 5) -> None:
    """Drag a slider: the picture in the editor, which was the input, follows, and the layers do; undo and redo take the
    slider and the layers with them. ``turns`` of the wheel bring the sliders into the sidebar."""
    window.tell("relight")
    scroll(window, turns)
    window.wait("the sliders", lambda now: bool(now.get("lights") and now["lights"][0]["pictured"]), 60)
    time.sleep(1)
    x, y = find_button(window, ".amount")
    drag(x, y, 60)
    moved = window.wait("the relit layer", is_lit, 60)["lights"][0]
    print(f"a slider was dragged: {moved['wanted']}", flush=True)
    state = window.wait("the recomposed view alone", lambda now: "recomposed" in now["shown"] and not now["live"], 20)
    assert state["preview"] >= 128, f"what moved was {state['preview']} pixels large"
    xdotool("mousemove", "300", "300")
    window.tell("shading")
    looks = [_seen(window)]
    for back in (True, False) * 2:
        xdotool("mousemove", "300", "300")
        xdotool("key", "ctrl+z" if back else "ctrl+shift+z")
        if back:
            window.wait("the light before the drag", lambda now: is_dark(now), 20)
        else:
            window.wait("the light after the drag", lambda now: is_lit(now) and now["lights"][0] == moved, 20)
        looks.append(_seen(window))
    changed, redone, again = (_difference(looks[one], looks[other]) for one, other in ((0, 1), (0, 2), (1, 3)))
    assert changed > 10 and max(redone, again, _difference(looks[0], looks[4])) < 3, (changed, redone, again)
    print(f"  undo and redo are seen: they change the shading on the screen by {changed:.0f} of 255", flush=True)
    print("undo and redo: the slider and its layer went back and came again", flush=True)
    if os.environ["JOIN_GUI_PICTURE"]:
        window.tell("keyframes")
        time.sleep(1)
        window.wait("the animated light", is_lit, 60)
        picture(window, "relight", aside=True)
    scroll(window, -30)


def _seen(window: Window) -> list[float]:
    """The colours of squares of the picture, left of the sidebar."""
    screen = read_screen(window, "seen")
    left, bottom, _, top = map(round, picture_at(window))  # by now it is where it stays
    middle = screen_height() - (bottom + top) // 2
    places = [(max(left, 0) + column, middle + row) for column in (10, 70, 130) for row in (-60, 0)]
    return [value for x, y in places for value in screen.mean(x, y, 50)]


def _difference(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def grab(window: Window) -> None:
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
    moved = window.wait("the layers in that light", is_lit, 60)["lights"][0]
    x, y, ring = _handle_at(window)
    picture(window, "handle")
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
    window.wait("the layers in that light", is_lit, 60)
    time.sleep(1)
    picture(window, "placed")
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


def is_lit(state: dict[str, Any]) -> bool:
    """The layers show the values of the sliders, and these are not 0."""
    light = state["lights"][0]
    return bool(light["wanted"]) and light["shown"] == light["wanted"]


def is_dark(state: dict[str, Any]) -> bool:
    return all(light["shown"] == light["wanted"] == [] for light in state["lights"])
