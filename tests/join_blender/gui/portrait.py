# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps on a photo of a face."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from light import relight
from window import Window, click, find_button, new_images, picture, screen_height, xdotool


def face(window: Window) -> None:
    """Point at eyes and mouth, look for the face again, drag a box; decompose, and move the key light. Give
    samples/photos/astronaut.jpg and a bank of faces."""
    before = window.state()["images"]
    window.tell("fit")
    time.sleep(1)
    kept = _faces_kept(window, "face_points", lambda at: [click(x, y) for x, y in at[:3]])
    wanted = [value for place in window.state()["face_wanted"][:3] for value in place]
    assert max(abs(a - b) for a, b in zip(kept, wanted, strict=True)) < 0.01, (kept, wanted)
    picture(window, "points")
    window.press(*find_button(window, "join.face_forget("))
    time.sleep(1)
    window.tell("face")
    assert window.state()["face"] == [], "the face was not forgotten"
    kept = _faces_kept(window, "face_box", lambda at: _drag_box(at[3], at[4]))
    (left, top), (right, bottom) = window.state()["face_wanted"][3:]
    assert max(abs(a - b) for a, b in zip(kept, (left, bottom, right, top), strict=True)) < 0.01, kept
    picture(window, "box")
    window.press(*find_button(window, "join.decompose("))
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = new_images(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    print(f"a portrait: {', '.join(layers)}", flush=True)
    picture(window, "layers", aside=True)
    relight(window, 14)


def suggested(window: Window) -> None:
    """Decompose without naming a bank, and press *Use Bank* of the one that is suggested. Give
    samples/photos/astronaut.jpg, and have a bank of faces in join_engine/banks."""
    before = window.state()["images"]
    window.press(*find_button(window, "join.decompose("))
    window.wait("the layers", lambda state: state["runs"] == 1, 300)
    picture(window, "suggested", aside=True)
    window.press(*find_button(window, "join.use_bank("))
    state = window.wait("the layers of the other bank", lambda state: state["runs"] == 2, 300)
    window.tell("face")
    chosen = window.state()["bank"]
    assert chosen and state["words"][1] == "", f"the bank was not taken: {chosen!r} {state['words']}"
    print(f"use bank: {chosen}, {', '.join(new_images(state, before))}", flush=True)
    window.wait("the editor to show a layer of that bank", lambda state: state.get("shown", "").endswith(".001"), 20)
    picture(window, "used", aside=True)


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
