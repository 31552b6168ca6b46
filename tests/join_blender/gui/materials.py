# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps that change what the photo is of: *Clean Up*, *Mix*, *Paste Material*, *Material*."""

from __future__ import annotations

import time
from typing import Any

from light import is_dark, is_lit
from window import (
    Window,
    drag,
    find_button,
    new_images,
    picture,
    picture_at,
    read_screen,
    screen_height,
    scroll,
    xdotool,
)


def clean_up(window: Window) -> None:
    """Draw a Mask around the middle of the image by clicks, press *Clean Up*, look at the layers, undo and reopen."""
    before = window.state()["images"]
    window.tell("mask mode")
    picture(window, "before", aside=True)
    _draw_mask(window)
    window.tell("sidebar")
    time.sleep(2)
    picture(window, "mask", aside=True)
    window.press(*find_button(window, "join.clean_up("))
    state = window.wait("the layers", lambda state: state["runs"] == 1, 300)
    layers = new_images(state, before)
    assert len(layers) >= 2 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("view mode")
    picture(window, "albedo", aside=True)
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
    picture(window, "after", aside=True)
    print(f"Clean Up was clicked: {told['share']:.0%} filled; undo and redo took it and brought it back", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"] and len(state["saved"]) == len(layers), "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)


def send(window: Window) -> None:
    """*Send to Texture Paint*, a stroke on the picture, *Mark as Asset*; saved and opened again with the stroke."""
    window.tell("view")
    window.press(*find_button(window, "join.decompose("))
    window.wait("the layers", lambda state: state["runs"] == 1, 300)
    time.sleep(1)
    scroll(window, 40)
    window.press(*find_button(window, "join.paint("))
    time.sleep(2)
    window.tell("view")
    assert window.state()["mode"][0] == "TEXTURE_PAINT" and "PAINT" in window.state()["mode"], window.state()["mode"]
    window.tell("fit")
    left, bottom, _, top = picture_at(window)
    x, y = round(left) + 40, screen_height() - round((bottom + top) / 2)
    xdotool("mousemove", "1000", "1000")
    before = read_screen(window, "unpainted").mean(x + 50, y - 10, 20)
    drag(x, y, 120)
    xdotool("mousemove", "1000", "1000")
    after = read_screen(window, "painted").mean(x + 50, y - 10, 20)
    picture(window, "paint")
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) > 20, f"no stroke is seen: {before}, {after}"
    window.press(*find_button(window, "join.mark_asset("))
    time.sleep(1)
    window.tell("assets")
    time.sleep(3)
    picture(window, "assets")
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 30)
    assert state["reopened"] == state["saved"], "saving lost what was painted"
    print("Send to Texture Paint and Mark as Asset were clicked; a stroke was painted and saved", flush=True)


def mix(window: Window) -> None:
    """Decompose two pictures, press *Mix*, type an amount of *Colour*, look, undo and redo, save and reopen."""
    window.tell("two materials")
    window.wait("both sets", lambda now: sum("albedo" in name for name in now["images"]) == 2, 600)
    state = window.wait("the end of both", lambda now: now["phase"] == "idle", 600)
    assert state["words"][1] == "", state["words"]
    window.tell("other material")
    time.sleep(2)
    scroll(window, 30)
    picture(window, "chosen", aside=True)
    window.press(*find_button(window, "join.mix("))
    window.wait("the sliders", lambda now: any(light["shares"] for light in now.get("lights", [])), 120)
    mixed = _type_share(window, "0.8", layers=4)
    assert mixed["shares"] == {"Colour": 0.8, "Pattern": 0.0, "Layout": 0.0}, mixed


def paste(window: Window) -> None:
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
    picture(window, "before", aside=True)
    before, runs = window.state()["images"], window.state()["runs"]
    window.press(*find_button(window, "join.paste("))
    state = window.wait("the layers", lambda now: now["runs"] == runs + 1, 300)
    layers = new_images(state, before)
    assert len(layers) == 3 and state["words"][1] == "", f"no layers: {state['images']} {state['words']}"
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("view mode")
    picture(window, "albedo", aside=True)
    window.tell("compare pasted")
    told = window.state()["pasted"]
    assert told["light"] == told["around"] == 0.0 < told["inside"], f"only the paint under the mask may change: {told}"
    window.tell("recomposed")
    window.wait("the picture with it", lambda now: "recomposed" in now["shown"], 60)
    time.sleep(1)
    window.tell("no sidebar")
    picture(window, "after", aside=True)
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


def material(window: Window) -> None:
    """Decompose, get the sliders of the material, type an amount of the first, look, undo and redo, save and reopen."""
    window.press(*find_button(window, "join.decompose("))
    window.wait("the layers", lambda state: state["runs"] == 1, 300)
    window.wait("the editor to show a layer by itself", lambda state: "albedo" in state.get("shown", ""), 20)
    window.tell("relight")
    window.wait("the sliders", lambda now: bool(now.get("lights") and now["lights"][0]["restyles"]), 120)
    window.tell("input")
    changed = _type_share(window, "1", layers=2)
    assert sorted(changed["restyles"].values())[-1] == 1.0, changed


def _type_share(window: Window, amount: str, layers: int) -> dict[str, Any]:
    """Type that amount of the first share, look, undo and redo, save and reopen; the values with it. The file has at
    least so many ``layers``."""
    scroll(window, 30)
    time.sleep(2)
    picture(window, "before", aside=True)
    window.press(*find_button(window, ".share"))
    time.sleep(2)
    xdotool("key", "ctrl+a")
    xdotool("type", amount)
    xdotool("key", "Return")
    typed: dict[str, Any] = window.wait("the changed layers", is_lit, 120)["lights"][0]
    assert not any(typed["amounts"].values()), typed
    print(f"an amount was typed: {typed['wanted']}", flush=True)
    window.wait("the recomposed view", lambda now: "recomposed" in now["shown"] and not now["live"], 60)
    time.sleep(1)
    picture(window, "after", aside=True)
    xdotool("mousemove", "300", "300")
    xdotool("key", "ctrl+z")
    window.wait("the layers before", is_dark, 60)
    xdotool("key", "ctrl+shift+z")
    window.wait("the changed layers again", lambda now: is_lit(now) and now["lights"][0] == typed, 60)
    print("undo and redo: the slider and the layers went back and came again", flush=True)
    window.tell("save")
    state = window.wait("the file to be open again", lambda now: "reopened" in now, 60)
    assert state["reopened"] == state["saved"] and len(state["saved"]) >= layers, "saving lost layers"
    print(f"saved and reopened: {len(state['saved'])} layers are the same", flush=True)
    return typed


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
