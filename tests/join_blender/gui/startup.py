# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in the Blender that ``click.py`` clicks in: arranges the window, then only watches and writes down what it sees.

Talks to ``click.py`` through files in the folder ``JOIN_GUI``: ``state.json`` is rewritten at each change, ``command``
is a word from outside.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from ticks import Meter

FOLDER = Path(os.environ["JOIN_GUI"])
ADDON = "bl_ext.user_default.join_intrinsics"
_TICK = 0.005

state: dict[str, Any] = {"phase": "starting", "runs": 0}
meter: Meter


def module(name: str) -> Any:
    return importlib.import_module(f"{ADDON}.join_blender.{name}")


def tell(**changes: Any) -> None:
    state.update(changes)
    partial = FOLDER / "state.partial"
    partial.write_text(json.dumps(state), encoding="utf-8")
    partial.replace(FOLDER / "state.json")


def areas(kind: str) -> list[Any]:
    return [area for area in bpy.context.window_manager.windows[0].screen.areas if area.ui_type == kind]


def guarded(step: Callable[[], float | None]) -> Callable[[], float | None]:
    """A timer that fails says so instead of being dropped in silence."""

    def run() -> float | None:
        try:
            return step()
        except Exception:
            tell(phase="failed", error=traceback.format_exc())
            return None

    return run


# --- arranging ----------------------------------------------------------------------------------------------------


def close_one() -> float | None:
    """Close what only takes room, one area at a time: Blender frees it before the next tick."""
    for kind in ("OUTLINER", "PROPERTIES"):
        for area in areas(kind):
            window = bpy.context.window_manager.windows[0]
            with bpy.context.temp_override(window=window, area=area, region=area.regions[-1]):
                bpy.ops.screen.area_close()
            return 0.5
    bpy.app.timers.register(guarded(arrange), first_interval=0.5)
    return None


def begin() -> float | None:
    """For the picture: what Blender asks when the zip is dragged into its window. Then ``click.py`` says *install*."""
    bpy.app.timers.register(guarded(obey), first_interval=0.1, persistent=True)
    newcomer = os.environ["JOIN_GUI_ONLY"] == "newcomer"
    if newcomer:
        bpy.context.preferences.view.show_tooltips = False  # one that goes would look like an answer to a click
        bpy.app.timers.register(guarded(wait_for_zip), first_interval=0.2)
    elif not os.environ["JOIN_GUI_PICTURE"]:
        return install()
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=window.screen.areas[0]):
        bpy.ops.extensions.package_install_files("INVOKE_DEFAULT", url=os.environ["JOIN_GUI_ZIP"])
    tell(phase="dropped", window=[window.x, window.y, window.width, window.height])
    return None


def wait_for_zip() -> float | None:
    """A newcomer has the zip installed by hand; from then on only watch."""
    if ADDON not in bpy.context.preferences.addons or not hasattr(bpy.context.scene, "join_intrinsics"):
        return 0.2
    offer_tiny_packages()
    bpy.context.scene.join_intrinsics.preset = os.environ["JOIN_GUI_PRESET"]
    return begin_to_watch()


def install() -> float | None:
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=os.environ["JOIN_GUI_ZIP"], enable_on_install=True
    )
    preferences = bpy.context.preferences.addons[ADDON].preferences
    preferences.engine_python = os.environ["JOIN_GUI_ENGINE"]
    closed = {
        "together": ("ui.together", "JOIN_PT_together"),
        "clean-up": ("ui.masked", "JOIN_PT_clean_up"),
        "mix": ("ui.relight", "JOIN_PT_mix"),
        "face": ("ui.faces", "JOIN_PT_face"),
        "paste": ("ui.masked", "JOIN_PT_paste"),
        "material": ("ui.relight", "JOIN_PT_material"),
    }
    if os.environ["JOIN_GUI_ONLY"] in closed:  # a panel's header has no operator by which a hand could find it
        where, name = closed[os.environ["JOIN_GUI_ONLY"]]
        panel = getattr(module(where), name)
        bpy.utils.unregister_class(panel)
        panel.bl_options = set()
        bpy.utils.register_class(panel)
    bpy.context.window_manager.windows[0].workspace = bpy.data.workspaces["UV Editing"]
    bpy.app.timers.register(guarded(close_one), first_interval=1.0)
    return None


def arrange() -> float | None:
    (editor,) = areas("UV")
    editor.ui_type = "IMAGE_EDITOR"
    (view,) = areas("VIEW_3D")
    view.ui_type = "CompositorNodeTree"
    view.spaces.active.show_region_ui = False
    if hasattr(view.spaces.active, "show_region_asset_shelf"):
        view.spaces.active.show_region_asset_shelf = False
    space = editor.spaces.active
    space.image = bpy.data.images.load(os.environ["JOIN_GUI_IMAGE"])
    space.show_region_ui = True
    settings = bpy.context.scene.join_intrinsics
    settings.preset, settings.bank = os.environ["JOIN_GUI_PRESET"], os.environ["JOIN_GUI_BANK"]
    bpy.app.timers.register(guarded(open_tab), first_interval=1.0)
    return None


def open_tab() -> float | None:
    (editor,) = areas("IMAGE_EDITOR")
    region = next(region for region in editor.regions if region.type == "UI")
    region.active_panel_category = "JoIN"
    editor.tag_redraw()
    fit()
    bpy.app.timers.register(guarded(ready), first_interval=1.0)
    return None


def ready() -> float | None:
    bpy.ops.ed.undo_push(message="Arranged")
    tell(sidebar=place_of("IMAGE_EDITOR", "UI"))
    return begin_to_watch()


def begin_to_watch() -> float | None:
    """From here on ``click.py`` and ``newcomer.py`` are at the mouse."""
    window = bpy.context.window_manager.windows[0]
    bounds = [window.x, window.y, window.width, window.height]
    global meter
    meter = Meter(f"{ADDON}.join_blender", situation)
    time_the_slider()
    tell(
        phase="ready",
        window=bounds,
        images=names(),
        version=bpy.app.version_string,
    )
    bpy.app.timers.register(guarded(watch), first_interval=_TICK, persistent=True)
    bpy.app.handlers.load_post.append(opened)
    return None


@bpy.app.handlers.persistent
def opened(*_: Any) -> None:
    """Another file."""
    tell(opened=bpy.data.filepath, images=names(), lights=lights())


# --- watching -----------------------------------------------------------------------------------------------------


def names() -> list[str]:
    return sorted(image.name for image in bpy.data.images)


def shown() -> str:
    """What the Image Editor that has the JoIN tab shows."""
    editors = areas("IMAGE_EDITOR")
    image = min(editors, key=lambda area: area.x).spaces.active.image if editors else None
    return image.name if image is not None else ""


def phase() -> str:
    """Of the decomposition."""
    job = module("ui.running").current()
    if job is None:
        return "idle"
    if job.state.name in ("READING", "DONE"):
        return "writing"
    return "working" if job.progress is not None else "waiting"


def situation() -> str:
    """What is going on, for the figures."""
    if (now := phase()) != "idle":
        return now
    if any(light.busy for light in list(module("ui.relight_updates").lights.values())):
        return "relighting"
    return "drawing" if state.get("drawing") else "idle"


_last: tuple[float, float, str, str] | None = None


def watch() -> float:
    """How long Blender's main loop took from the last tick to this one, by what was going on."""
    global _last
    now, own, here, stage = time.perf_counter(), meter.own_total, situation(), phase()
    if _last is not None:
        before, own_before, there, stage_before = _last
        meter.looked(now - before, own - own_before, here if here == there else f"{there} to {here}")
        if stage == "idle" != stage_before:
            tell(runs=state["runs"] + 1, images=names(), words=last_message())
        if stage != stage_before:
            tell(phase=stage)
    _last = (now, own, here, stage)
    return _TICK


moves: list[list[float]] = []
"""Seconds from a slider's value to the engine's answer, to the preview, to the picture in the editor that shows it."""


def time_the_slider() -> None:
    """Note when what a value leads to is there."""
    relight, decoder, light = module("ui.relight_updates"), module("engine.protocol").Decoder, module("engine.relight")
    drawing, live = module("overlay.drawing"), module("overlay.live")
    feed, show, draw, want = decoder.feed, relight._show, drawing.draw_texture, light.Relight.want
    forget, forget_all = live.forget, live.forget_all
    answered = 0.0
    asked: dict[Any, float] = {}
    shown: list[list[float]] = []

    def timed_want(self: Any, edits: Any, *options: Any, **named: Any) -> None:
        if edits != self._wanted:
            asked[edits] = time.monotonic()
        want(self, edits, *options, **named)

    def timed_feed(self: Any, piece: bytes) -> Any:
        nonlocal answered
        messages = feed(self, piece)
        if any(message["type"] == "result" for message in messages):
            answered = time.monotonic()
        return messages

    def timed_show(set_id: str, update: Any) -> None:
        show(set_id, update)
        if update.preview and update.edits:
            # What undo and redo show again answers no move, and what the layers show already is not drawn over them.
            since = asked.pop(update.edits, None)
            if since is not None and live._pictures.get(set_id) is update.preview:
                shown.append([since, answered, time.monotonic()])
            tell(preview=max(update.preview["recomposed"].shape[:2]))

    def timed_draw(*arguments: Any, **named: Any) -> None:
        draw(*arguments, **named)
        for since, *times in shown:
            moves.append([round(moment - since, 4) for moment in (*times, time.monotonic())])
        shown.clear()

    def told_forget(set_id: str) -> None:
        forget(set_id)
        shown.clear()  # the layers show it before a preview was drawn, as when a frame changes: Blender draws them

    def told_forget_all() -> None:
        forget_all()
        shown.clear()

    decoder.feed, relight._show, drawing.draw_texture, light.Relight.want = (
        timed_feed,
        timed_show,
        timed_draw,
        timed_want,
    )
    live.forget, live.forget_all = told_forget, told_forget_all


def last_message() -> list[str]:
    """What the panel says about the last job."""
    running = module("ui.running")
    failed = running.queue.failed
    return [running.last_message, str(failed.failure) if failed is not None else ""]


def lights() -> list[dict[str, Any]]:
    """The sliders of each set, and what its layers show."""
    found = []
    for item in bpy.context.scene.join_relights:
        components = module("host.relight_values").components_of(item)
        found.append(
            {
                "amounts": {value.label: round(value.amount, 4) for value in item.values},
                "shares": {value.label: round(value.share, 4) for value in item.values if value.mixes},
                "restyles": {value.label: round(value.share, 4) for value in item.values if value.restyles},
                "pictured": item.set_id in module("ui.relight_updates")._pictured,
                "warm": getattr(module("ui.relight_updates").lights.get(item.set_id), "directions", None) is not None,
                "wanted": module("host.relight_values").edits_of(item),
                "shown": module("host.relight").shown_edits(item.set_id, components),
            }
        )
    return json.loads(json.dumps(found))


def obey() -> float:
    if "images" in state and (names() != state["images"] or lights() != state.get("lights")):
        tell(images=names(), lights=lights())
    moving = list(module("overlay.live")._pictures) if "images" in state else []
    if "images" in state and (shown(), moving) != (state.get("shown"), state.get("live")):
        tell(shown=shown(), live=moving)
    if "preferences" in state:
        engine = module("ui.engine_state")
        task = engine.current()
        tell(engine=[task is not None, engine.status_now().text, task.progress.text if task is not None else ""])
    command = FOLDER / "command"
    if command.exists():
        words = command.read_text(encoding="utf-8").strip()
        command.unlink()
        commands = {"draw": draw, "rest": rest, "kill": kill_engine, "show": show_layers, "restart": restart}
        commands |= {
            "discard": lambda: escape("DISCARD"),
            "keep": lambda: escape("KEEP"),
            "split": lambda: view("SPLIT"),
        }
        commands |= {
            "error": lambda: view("ERROR"),
            "input": show_input,
            "report": lambda: tell(loop=meter.loop, own=meter.own, called=meter.called, moves=moves, memory=memory()),
            "save": save_and_reopen,
            "crop": crop,
            "wipe": tell_wipe,
            "handle": tell_handle,
            "place": tell_place,
            "albedo": lambda: show_component("albedo"),
            "expect light": expect_light,
            "relief": ask_for_relief,
            "nodes": tell_material,
            "show normal": show_normal,
            "view": show_plane,
            "assets": lambda: show_tree("ASSETS"),
            "compositor": lambda: show_tree("CompositorNodeTree"),
            "plain": lambda: show_plainly(True),
            "readable": lambda: show_plainly(False),
            "fit": lambda: fit(),
            "install": lambda: bpy.app.timers.register(guarded(install), first_interval=0.5) or None,
            "preferences": show_preferences,
            "preferences away": hide_preferences,
            "preferences closed": close_preferences,
            "engine again": choose_engine,
            "menu": lambda: in_editor(lambda: bpy.ops.wm.call_menu(name="IMAGE_MT_image")),
            "keyframes": insert_keyframes,
            "material": show_material,
            "export": lambda: in_editor(lambda: bpy.ops.join.export("INVOKE_DEFAULT")),
            "hover sidebar": lambda: tell(hovered=hovered("IMAGE_EDITOR", "UI")),
            "hover preferences": lambda: tell(hovered=hovered("PREFERENCES", "WINDOW")),
            "look around": look_around,
            "sequence": make_sequence,
            "watch browser": watch_browser,
            "task": lambda: tell(task=told_of_task()),
            "watch engine": lambda: tell(preferences=[]),
            "check": check_engine,
            "no engine": no_engine,
            "relight": lambda: in_editor(lambda: bpy.ops.join.relight("INVOKE_DEFAULT")),
            "reset light": lambda: in_editor(lambda: bpy.ops.join.relight_reset("EXEC_DEFAULT", True)),
            "viewer": make_viewer,
            "backdrop": show_backdrop,
            "compare viewer": compare_viewer,
            "photos": list_photos,
            "shading": lambda: show_component("shading"),
            "compare photos": compare_photos,
            "two materials": two_materials,
            "other material": choose_other,
            "mask mode": begin_mask,
            "corners": tell_corners,
            "view mode": end_mask,
            "face": tell_face,
            "sidebar": show_sidebar,
            "no sidebar": lambda: show_sidebar(False),
            "compare cleaned": compare_cleaned,
            "recomposed": lambda: view("RECOMPOSED"),
            "compare pasted": compare_pasted,
            "colors": tell_colors,
            "other photo": show_other_photo,
            "converted": lambda: show_image("camera linear"),
            "compare converted": compare_converted,
        }
        commands[words]()
        tell(obeyed=state.get("obeyed", 0) + 1)
    return 0.1


def draw() -> None:
    """Redraw the sidebar again and again, as a running job does: what that alone costs on this machine."""
    state["drawing"] = True

    def again() -> float | None:
        module("ui.running").redraw()
        return 0.1 if state["drawing"] else None

    bpy.app.timers.register(guarded(again))


def rest() -> None:
    state["drawing"] = False


def kill_engine() -> None:
    module("ui.running").queue.connection.engine._process.kill()


def watch_browser() -> None:
    """What would be opened in a browser, which the test's screen has none of."""
    import webbrowser

    tell(browser=[])
    webbrowser.open = lambda url, *_: tell(browser=[*state["browser"], url]) or True


def in_editor(work: Callable[[], Any]) -> Any:
    """Do something as if the mouse were over the Image Editor that shows the photo."""
    editor = min(areas("IMAGE_EDITOR"), key=lambda area: area.x)
    region = next(region for region in editor.regions if region.type == "WINDOW")
    window = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=window, area=editor, region=region):
        return work()


def hovered(kind: str, part: str) -> str:
    """What is under the mouse in a region: a dot and the name of a property, or an operator."""
    window, editor, region = find_region(kind, part)
    with bpy.context.temp_override(window=window, area=editor, region=region):
        if bpy.ops.ui.copy_python_command_button.poll():
            bpy.ops.ui.copy_python_command_button()
            return str(bpy.context.window_manager.clipboard)
        found = getattr(bpy.context, "property", None)
    return f".{found[1]}" if found else ""


def find_region(kind: str, part: str) -> tuple[Any, Any, Any]:
    """Window, area and region of the leftmost editor of that kind, in the window that has one."""
    found = [
        (window, area)
        for window in bpy.context.window_manager.windows
        for area in window.screen.areas
        if area.ui_type == kind
    ]
    window, area = min(found, key=lambda pair: pair[1].x)
    return window, area, next(region for region in area.regions if region.type == part)


def place_of(kind: str, part: str) -> list[int]:
    """Left, top edge, width and height of a region on the screen; Blender counts from the bottom."""
    window, _, region = find_region(kind, part)
    return [window.x + region.x, window.y + region.y + region.height, region.width, region.height]


def tell_place() -> None:
    """Where on the screen the picture is, from the lower left corner: left, bottom, right, top."""
    window, _, region = find_region("IMAGE_EDITOR", "WINDOW")
    box = module("overlay.drawing").place_of(region, (0.0, 0.0, 1.0, 1.0))
    corner = window.x + region.x, window.y + region.y
    tell(place=[round(at + corner[index % 2], 1) for index, at in enumerate(box)])


def make_sequence() -> None:
    """The image is opened as the sequence of which it is the first frame."""
    image = input_image()
    image.source = "SEQUENCE"
    module("ui.running").redraw()


def told_of_task() -> list[Any]:
    """How far the frames are, and what the editor shows."""
    task = module("ui.engine_state").current()
    shown = min(areas("IMAGE_EDITOR"), key=lambda area: area.x).spaces.active
    said = [task.what, task.progress.fraction, task.progress.text] if task is not None else []
    refused = str(module("ui.running").refusal or "")
    return [said, shown.image.name, shown.image.source, shown.image_user.frame_duration, refused]


def look_around() -> None:
    """What a newcomer sees: which editors there are, where the sidebar and a file browser's buttons are, which tab is
    open, what can be shown of the set."""
    found: dict[str, Any] = {"editors": [area.ui_type for area in bpy.context.window_manager.windows[0].screen.areas]}
    if "IMAGE_EDITOR" in found["editors"]:
        _, area, region = find_region("IMAGE_EDITOR", "UI")
        found["sidebar"] = place_of("IMAGE_EDITOR", "UI")
        found["tab"] = region.active_panel_category if region.width > 1 else ""
        key = module("host.sets").set_of(area.spaces.active.image)
        found["numbers"] = {name: image.session_uid for name, image in module("host.sets").layers_of(key).items()}
    if "CompositorNodeTree" in found["editors"]:
        found["compositor"] = place_of("CompositorNodeTree", "WINDOW")
        found["viewer"] = list(bpy.data.images[VIEWER].size) if VIEWER in bpy.data.images else []
    windows = bpy.context.window_manager.windows
    if any(area.ui_type == "FILES" for window in windows for area in window.screen.areas):
        found["browser"] = place_of("FILES", "EXECUTE")
    tell(**found)


def tell_handle() -> None:
    """Where on the screen the light's disk and the picture are, from the lower left, and how large its ring is."""
    window, editor, region = find_region("IMAGE_EDITOR", "WINDOW")
    with bpy.context.temp_override(window=window, area=editor, region=region):
        handle = module("overlay.light_handle").of(bpy.context)
        box = module("overlay.drawing").place_of(bpy.context.region, (0.0, 0.0, 1.0, 1.0))
    x, y = window.x + region.x, window.y + region.y
    tell(
        handle=[round(x + handle.spot[0]), round(y + handle.spot[1]), round(handle.ring)],
        picture=[round(at + (x, y)[index % 2]) for index, at in enumerate(box)],
    )


def tell_wipe() -> None:
    """What the Image Editor wipes between; where its picture and the line are on the screen, from the top left."""
    wipe, drawing = module("overlay.wipe"), module("overlay.drawing")
    window, editor, region = find_region("IMAGE_EDITOR", "WINDOW")
    found = wipe.of(editor.spaces.active)
    with bpy.context.temp_override(window=window, area=editor, region=region):
        left, bottom, right, top = drawing.place_of(bpy.context.region, drawing.WHOLE)
        seen = drawing.inside(drawing.visible(bpy.context), (left, bottom, right, top))
    x, y = window.x + region.x, window.y + region.y
    line = x + left + found.line * (right - left) if found is not None else 0
    sides = [found.left, found.right, round(line)] if found is not None else []
    tell(wipe=sides, picture=[round(x + seen[0]), round(y + seen[1]), round(x + seen[2]), round(y + seen[3])])


def expect_light() -> None:
    """What squares of the screen, counted from its lower left corner, should look like where the Image Editor shows a
    layer of light: readable, and as Blender shows it itself; and how far that changes beside an edge, a pixel on."""
    drawing, readable, color = module("overlay.drawing"), module("overlay.readable"), module("engine.vocabulary").color
    window, editor, region = find_region("IMAGE_EDITOR", "WINDOW")
    with bpy.context.temp_override(window=window, area=editor, region=region):
        left, bottom, right, top = drawing.place_of(bpy.context.region, drawing.WHOLE)
        seen = drawing.inside(drawing.visible(bpy.context), (left, bottom, right, top))
    image = editor.spaces.active.image
    light, gain = pixels_of(image)[..., :3], readable.gain_of(image)
    looks, size = [], 16
    for across, up in ((a, b) for a in np.linspace(0.2, 0.8, 6) for b in np.linspace(0.2, 0.8, 6)):
        x, y = int(seen[0] + across * (seen[2] - seen[0])), int(seen[1] + up * (seen[3] - seen[1]))
        square = (x + np.arange(size) - left) / (right - left), (y + np.arange(size) - bottom) / (top - bottom)
        drawn = color.reinhard_encode(gain * sampled(light, *square, 1.0 / (right - left), 1.0 / (top - bottom)))
        both = [color.srgb_encode(shown) for shown in (drawn, nearest(light, *square).clip(0.0, 1.0))]
        means = [[round(255 * float(value), 1) for value in shown.mean(axis=(0, 1))] for shown in both]
        edge = max(float(np.abs(np.diff(both[1].mean(axis=axis)[[0, -1]], axis=0)).max()) for axis in (0, 1))
        looks.append([window.x + region.x + x, window.y + region.y + y, size, *means, 255 * edge / size])
    tell(looks=looks)


def nearest(light: np.ndarray, across: np.ndarray, up: np.ndarray) -> np.ndarray:
    """``[H, W, C]`` at those shares of its width and height. Blender takes it at corners of the screen's pixels."""
    rows, columns = light.shape[:2]
    return light[(up * rows).astype(int).clip(0, rows - 1)][:, (across * columns).astype(int).clip(0, columns - 1)]


def sampled(light: np.ndarray, across: np.ndarray, up: np.ndarray, width: float, height: float) -> np.ndarray:
    """As a graphics card does at the middles of pixels of that size, of which ``across`` and ``up`` are the corners:
    what is magnified stays squares, what is not is filtered between four of its pixels."""
    rows, columns = light.shape[:2]
    across, up = across + width / 2, up + height / 2
    if max(width * columns, height * rows) < 1.0:
        return nearest(light, across, up)
    column, row = across * columns - 0.5, up * rows - 0.5
    right, above = (column % 1.0)[None, :, None], (row % 1.0)[:, None, None]
    columns_at = [(np.floor(column) + step).astype(int).clip(0, columns - 1) for step in (0, 1)]
    lower, upper = (light[(np.floor(row) + step).astype(int).clip(0, rows - 1)] for step in (0, 1))
    lower, upper = (line[:, columns_at[0]] * (1.0 - right) + line[:, columns_at[1]] * right for line in (lower, upper))
    return lower * (1.0 - above) + upper * above


def show_plainly(plainly: bool) -> None:
    """What the button in the panel *Layers* does."""
    bpy.context.scene.join_intrinsics.readable = not plainly


def restart() -> None:
    in_editor(lambda: bpy.ops.join.restart())


def escape(what: str) -> None:
    bpy.context.scene.join_intrinsics.escape = what


def view(kind: str) -> None:
    in_editor(lambda: bpy.ops.join.view(kind=kind))


def show_input() -> None:
    name = Path(os.environ["JOIN_GUI_IMAGE"]).name
    in_editor(lambda: bpy.ops.join.show(image=name))


def show_preferences() -> None:
    """For the picture: as they are before an engine is there."""
    preferences = bpy.context.preferences
    module("ui.engine_state").abandon()  # the test that began when the engine's Python was set
    preferences.addons[ADDON].preferences.engine_python = ""
    preferences.view.ui_scale = 1.0
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.preferences.addon_show(module=ADDON)


def check_engine() -> None:
    """The add-on's preferences, with the engine's Python as it is."""
    bpy.context.preferences.view.ui_scale = 1.0
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0]):
        bpy.ops.preferences.addon_show(module=ADDON)

    def told() -> float | None:
        tell(preferences=place_of("PREFERENCES", "WINDOW"))
        return None

    bpy.app.timers.register(guarded(told), first_interval=1.0)


def offer_tiny_packages() -> None:
    """What there is to install as an engine is tiny."""
    builds = module("install.builds")
    for function in (builds.builds_for, builds.choose_build, builds.build_in):
        function.__defaults__ = tuple(
            FOLDER / "locks" if value == builds.LOCKS else value for value in function.__defaults__
        )


def no_engine() -> None:
    """The preferences of someone who has just installed the add-on."""
    offer_tiny_packages()
    module("ui.engine_state").abandon()
    bpy.context.preferences.addons[ADDON].preferences.engine_python = ""
    check_engine()


def hide_preferences() -> None:
    choose_engine()
    close_preferences()


def choose_engine() -> None:
    bpy.context.preferences.addons[ADDON].preferences.engine_python = os.environ["JOIN_GUI_ENGINE"]


def close_preferences() -> None:
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[-1]):
        bpy.ops.wm.window_close()


def insert_keyframes() -> None:
    """For the picture: a slider that is animated."""
    value = bpy.context.scene.join_relights[0].values[0]
    value.amount = 1.2
    value.keyframe_insert("amount", frame=1)
    bpy.ops.ed.undo_push(message="Keyframe")  # else an undo over it crashes Blender 5.2 in edit mode


def show_material() -> None:
    """For the picture: a material of the layers, and its nodes."""
    in_editor(lambda: bpy.ops.join.make_material())
    show_tree("ShaderNodeTree")


def show_tree(kind: str) -> None:
    """In the area beside the Image Editor."""
    others = [area for area in bpy.context.window_manager.windows[0].screen.areas if area.type != "IMAGE_EDITOR"]
    area = max((area for area in others if area.height > 100), key=lambda area: area.x)
    area.ui_type = kind
    bpy.app.timers.register(guarded(fit), first_interval=1.0)


def show_plane() -> None:
    """A plane in the place of the cube, seen from above; tells its mode."""
    if bpy.context.object.name != "Plane":
        bpy.ops.object.mode_set(mode="OBJECT")
        bpy.data.objects.remove(bpy.data.objects["Cube"])
        bpy.ops.mesh.primitive_plane_add(size=4)
        bpy.ops.object.mode_set(mode="OBJECT")
        show_tree("VIEW_3D")
    give_brush()
    for area in areas("VIEW_3D"):
        area.spaces.active.region_3d.view_rotation = (1.0, 0.0, 0.0, 0.0)
        area.spaces.active.region_3d.view_location = (0.0, 0.0, 0.0)
        area.spaces.active.region_3d.view_distance = 6.0
    tell(mode=[bpy.context.object.mode, *(area.spaces.active.ui_mode for area in areas("IMAGE_EDITOR"))])


def give_brush() -> None:
    """To paint with, where this Blender comes without its own (Debian's 4.3)."""
    paint = bpy.context.scene.tool_settings.image_paint
    if paint.brush is None:
        paint.brush = bpy.data.brushes.new("stroke", mode="TEXTURE_PAINT")


def ask_for_relief() -> None:
    """What the button beside *Material with Maps* does."""
    bpy.context.scene.join_intrinsics.relief = True


def tell_material() -> None:
    """Which inputs of the active object's shader have something linked to them."""
    tree = bpy.context.object.active_material.node_tree
    shader = next(node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    tell(material=sorted(socket.name for socket in shader.inputs if socket.is_linked))


def show_normal() -> None:
    """For the picture: the normal map, and the nodes of its material."""
    image = next(image for image in bpy.data.images if image.get("join_map") == "normal")
    in_editor(lambda: bpy.ops.join.show(number=image.session_uid))
    show_tree("ShaderNodeTree")


def crop() -> None:
    settings = bpy.context.scene.join_intrinsics
    settings.use_crop = not settings.use_crop
    settings.crop_left, settings.crop_right, settings.crop_bottom, settings.crop_top = 0.25, 0.8, 0.2, 0.9
    module("ui.running").redraw()


def memory() -> dict[str, int]:
    """The most that Blender, and the engine that decomposed last, have held: MiB."""
    engine = module("ui.running").queue.connection.engine
    found = {}
    for name, process in (("Blender", "self"), ("the engine", engine.pid if engine is not None else None)):
        path = Path(f"/proc/{process}/status")
        lines = path.read_text().splitlines() if path.exists() else []
        found.update((name, int(line.split()[1]) // 1024) for line in lines if line.startswith("VmHWM"))
    return found


# --- the Viewer ---------------------------------------------------------------------------------------------------

VIEWER = "Viewer Node"


def known_picture() -> np.ndarray:
    """``[H, W, 4]`` as the compositor has it, bottom row first: no two corners alike, one brighter than white, and one
    half transparent, its colours multiplied by alpha."""
    y, x = np.mgrid[0:768, 0:1024].astype(np.float32)
    squares = 0.2 + 0.3 * ((x // 128 + y // 128) % 2)
    picture = np.stack([0.1 + x / 1024, 0.1 + y / 768, squares, np.ones_like(x)], axis=2)
    picture[:192, :256, :3] *= 1.5
    picture[576:, 768:] *= 0.5
    return picture


def make_viewer() -> None:
    """The user's own Viewer of a known picture. Without a backdrop nothing computes it, so it cannot be decomposed."""
    image = bpy.data.images.new("known", 1024, 768, alpha=True, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    image.pixels.foreach_set(known_picture().ravel())
    image.update()
    image.pack()
    scene, versions = bpy.context.scene, module("host.versions")
    tree = versions.compositor_tree(scene) or versions.create_compositor_tree(scene, with_scene=False)
    node, viewer = tree.nodes.new("CompositorNodeImage"), tree.nodes.new("CompositorNodeViewer")
    node.image = image
    node.location, viewer.location = (0.0, 500.0), (300.0, 500.0)
    tree.links.new(node.outputs[0], viewer.inputs[0])
    tree.nodes.active = viewer
    area = (areas("CompositorNodeTree") + areas("ShaderNodeTree"))[0]
    area.ui_type = "CompositorNodeTree"
    area.spaces.active.show_backdrop = False
    fit()
    try:
        bpy.ops.join.decompose("INVOKE_DEFAULT", image=VIEWER)
    except RuntimeError as error:
        tell(refused=str(error))


def show_backdrop() -> None:
    """The compositor computes the Viewer; then the Image Editor shows it."""
    for area in areas("CompositorNodeTree"):
        area.spaces.active.show_backdrop = True

    def computed() -> float | None:
        image = bpy.data.images[VIEWER]
        if tuple(image.size) != (1024, 768):
            return 0.1
        editor = min(areas("IMAGE_EDITOR"), key=lambda area: area.x)
        editor.spaces.active.image = image
        tell(viewer=list(image.size))
        return None

    bpy.app.timers.register(guarded(computed), first_interval=0.1)


def compare_viewer() -> None:
    """By how much what was read of the Viewer, and what its layers make, differ from the known picture."""
    known = known_picture()
    alpha = known[..., 3:]
    straight = np.concatenate([known[..., :3] / alpha, alpha], axis=2)
    read = module("host.images").read_source(bpy.data.images[VIEWER]).all()[::-1]
    results = module("host.sets")
    key = results.latest_set(bpy.data.images[VIEWER])
    layers = {name: pixels_of(image) for name, image in results.layers_of(key).items()}
    made = layers["albedo"] * layers["shading"] + layers.get("specular", 0.0)
    tell(
        differences={
            "read": float(np.abs(read - straight).max()),
            "alpha": float(np.abs(layers["albedo"][..., 3:] - alpha).max()),
            "layers": float(np.abs(made - straight)[..., :3].max()),
        }
    )


# --- several photos -----------------------------------------------------------------------------------------------


def list_photos() -> None:
    """What the file browser would do."""
    paths = [Path(path) for path in json.loads(os.environ["JOIN_GUI_PHOTOS"])]
    for path in paths:
        in_editor(lambda path=path: bpy.ops.join.photo_open(directory=str(path.parent), files=[{"name": path.name}]))
    module("ui.running").redraw()
    tell(images=names())


def show_component(component: str) -> None:
    """Of the set that is shown."""
    sets = module("host.sets")
    editor = min(areas("IMAGE_EDITOR"), key=lambda area: area.x)
    image = sets.layers_of(sets.set_of(editor.spaces.active.image))[component]
    in_editor(lambda: bpy.ops.join.show(number=image.session_uid))


def compare_photos() -> None:
    """By how much the layers of each photo miss it, and the albedos each other."""
    sets, found, albedos = module("host.sets"), {}, []
    for image in module("host.photos").listed(bpy.context.scene):
        own = sets.layers_of(sets.latest_set(image))
        layers = {name: pixels_of(layer)[..., :3] for name, layer in own.items()}
        albedos.append(layers["albedo"])
        if sets.moved_by(own["albedo"]) != (0.0, 0.0):
            continue
        known = module("host.images").read_source(image).all()[::-1, :, :3]
        made = layers["albedo"] * layers["shading"] + layers.get("specular", 0.0)
        found[image.name] = float(np.abs(made - known)[known.max(axis=2) < 0.99].max())
    tell(differences={**found, "albedos": max(float(np.abs(one - albedos[0]).max()) for one in albedos)})


# --- another material -------------------------------------------------------------------------------------------


def two_materials() -> None:
    """The picture and another one are decomposed, one after the other."""
    other = bpy.data.images.load(json.loads(os.environ["JOIN_GUI_PHOTOS"])[0])
    for image in (input_image(), other):
        in_editor(lambda name=image.name: bpy.ops.join.decompose("INVOKE_DEFAULT", image=name))


def choose_other() -> None:
    """As a hand would choose it in the list; and the editor shows the first picture."""
    other = bpy.data.images[Path(json.loads(os.environ["JOIN_GUI_PHOTOS"])[0]).name]
    settings = bpy.context.scene.join_intrinsics
    settings.mix_with = settings.paste_from = other
    editor = min(areas("IMAGE_EDITOR"), key=lambda area: area.x)
    editor.spaces.active.image = input_image()
    module("ui.running").redraw()


def input_image() -> Any:
    return bpy.data.images[Path(os.environ["JOIN_GUI_IMAGE"]).name]


# --- a mask -------------------------------------------------------------------------------------------------------

CORNERS = ((0.36, 0.36), (0.64, 0.36), (0.64, 0.64), (0.36, 0.64))
"""Of what the mask is drawn around, as shares of the image from its lower left corner."""
FACE = [(0.40, 0.80), (0.49, 0.795), (0.44, 0.72), (0.27, 0.96), (0.60, 0.63)]
"""In samples/photos/astronaut.jpg: eyes, mouth, and the upper left and lower right corners of a box around the head."""


def begin_mask() -> None:
    """The Image Editor in its Mask mode, with an empty Mask."""
    space = min(areas("IMAGE_EDITOR"), key=lambda area: area.x).spaces.active
    space.mode, space.show_region_ui = "MASK", False  # it would lie over some of the corners
    mask = bpy.data.masks.new("sticker")
    mask.layers.new(name="layer")
    space.mask = mask

    def count() -> float:
        found = sum(len(spline.points) for layer in bpy.data.masks["sticker"].layers for spline in layer.splines)
        if state.get("points") != found:
            tell(points=found)
        return 0.2

    bpy.app.timers.register(guarded(count))


def tell_corners() -> None:
    """Where on the screen to click."""
    window, _, region = find_region("IMAGE_EDITOR", "WINDOW")
    corners = [region.view2d.view_to_region(x, y, clip=False) for x, y in CORNERS]
    tell(corners=[[window.x + region.x + x, window.y + region.y + y] for x, y in corners])


def tell_face() -> None:
    """The bank that is chosen, what is kept of the face, and where on the screen a hand would point at eyes and mouth,
    and drag from and to."""
    window, _, region = find_region("IMAGE_EDITOR", "WINDOW")
    image = bpy.data.images[Path(os.environ["JOIN_GUI_IMAGE"]).name]
    places = [region.view2d.view_to_region(x, y, clip=False) for x, y in FACE]
    at = [[window.x + region.x + x, window.y + region.y + y] for x, y in places]
    tell(face=[float(place) for place in image.get("join_face", ())], face_at=at, face_wanted=FACE)
    tell(bank=bpy.context.scene.join_intrinsics.bank)


def end_mask() -> None:
    """What lies under the outline can be looked at."""
    for editor in areas("IMAGE_EDITOR"):
        editor.spaces.active.mode = "VIEW"


def show_sidebar(shown: bool = True) -> None:
    """The panel again, which was out of the way; or out of the way with it."""
    min(areas("IMAGE_EDITOR"), key=lambda area: area.x).spaces.active.show_region_ui = shown


def compare_cleaned() -> None:
    """By how much the layers miss the image, inside of the drawn corners and well away from them."""
    sets = module("host.sets")
    image = bpy.data.images[Path(os.environ["JOIN_GUI_IMAGE"]).name]
    own = sets.layers_of(sets.latest_set(image))
    layers = {name: pixels_of(layer)[..., :3] for name, layer in own.items()}
    known = module("host.images").read_source(image).all()[::-1, :, :3]
    missed = np.abs(layers["albedo"] * layers["shading"] + layers.get("specular", 0.0) - known).max(axis=2)
    height, width = missed.shape
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    far = (x < 0.25) | (x > 0.75) | (y < 0.25) | (y > 0.75)
    near = (abs(x - 0.5) < 0.1) & (abs(y - 0.5) < 0.1)
    share = json.loads(own["albedo"]["join_settings"])["cleaned"]
    unclipped = far & (known.max(axis=2) < 0.99)
    tell(cleaned={"around": float(missed[unclipped].max()), "inside": float(missed[near].mean()), "share": share})


def compare_pasted() -> None:
    """By how much the newest set differs from the first one of the picture: light, and paint within and around the
    drawn corners."""
    sets = module("host.sets")
    new, *_, first = sets.sets_of_source(input_image())
    pairs = {
        name: (pixels_of(image), pixels_of(sets.layers_of(first)[name])) for name, image in sets.layers_of(new).items()
    }
    differ = {name: np.abs(one - other).max(axis=2) for name, (one, other) in pairs.items()}
    height, width = differ["albedo"].shape
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    far = (x < 0.25) | (x > 0.75) | (y < 0.25) | (y > 0.75)
    near = (abs(x - 0.5) < 0.1) & (abs(y - 0.5) < 0.1)
    light = max(float(differ[name].max()) for name in differ if name != "albedo")
    tell(
        pasted={
            "light": light,
            "around": float(differ["albedo"][far].max()),
            "inside": float(differ["albedo"][near].mean()),
        }
    )


def pixels_of(image: Any) -> np.ndarray:
    """``[H, W, 4]``, bottom row first."""
    flat = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(flat)
    return flat.reshape(image.size[1], image.size[0], 4)


def tell_colors() -> None:
    """The space of the image that is shown, and by how much it differs from what the shell reads of its file."""
    image = bpy.data.images[shown()]
    known = np.load(FOLDER / f"{Path(image.name).stem.removesuffix(' linear')}.npy")
    read = module("host.images").read_source(image).all()
    tell(colors=[image.colorspace_settings.name, float(np.abs(read - known).max())])


def show_other_photo() -> None:
    """The second one."""
    image = bpy.data.images.load(json.loads(os.environ["JOIN_GUI_PHOTOS"])[1])
    show_image(image.name)
    bpy.ops.ed.undo_push(message="Opened")
    module("ui.running").redraw()
    tell(images=names())


def show_image(name: str) -> None:
    min(areas("IMAGE_EDITOR"), key=lambda area: area.x).spaces.active.image = bpy.data.images[name]


def compare_converted() -> None:
    """By how much the layers miss what the shell reads of the converted photo's file, where that is not clipped."""
    sets = module("host.sets")
    own = sets.layers_of(sets.latest_set(bpy.data.images["camera linear"]))
    layers = {name: pixels_of(layer)[..., :3] for name, layer in own.items()}
    known = np.load(FOLDER / "camera.npy")[::-1]
    made = layers["albedo"] * layers["shading"] + layers.get("specular", 0.0)
    sound = (known.max(axis=2) < 0.99) & (known.min(axis=2) >= 0.0)
    tell(missed=float(np.abs(made - known)[sound].max()))


def save_and_reopen() -> None:
    path = str(FOLDER / "saved.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    tell(saved=content())
    bpy.app.timers.register(guarded(look_again), first_interval=2.0, persistent=True)
    bpy.ops.wm.open_mainfile(filepath=path)


def look_again() -> None:
    tell(reopened=content(), images=names(), lights=lights())


def content() -> dict[str, list[float]]:
    """A few pixels of each layer."""
    return {
        image.name: [round(value, 5) for value in image.pixels[:12]]
        for image in bpy.data.images
        if "join_component" in image
    }


def show_layers() -> None:
    """For the picture: the layers around the compositor that joins them."""
    window = bpy.context.window_manager.windows[0]
    in_editor(lambda: bpy.ops.join.add_nodes())
    by_component: dict[str, Any] = {}
    for image in bpy.data.images:
        if "join_component" in image and "join_relit" not in image:
            by_component.setdefault(image["join_component"], image)  # the first ones were not stopped early
    (nodes,) = areas("CompositorNodeTree")
    with bpy.context.temp_override(window=window, area=nodes, region=nodes.regions[-1]):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.5)
    upper = max(areas("CompositorNodeTree"), key=lambda area: area.y)
    remaining = list(by_component.values())
    target = upper
    for index, image in enumerate(remaining):
        target.ui_type = "IMAGE_EDITOR"
        target.spaces.active.image = image
        if index == len(remaining) - 1:
            break
        known = set(window.screen.areas)
        with bpy.context.temp_override(window=window, area=target, region=target.regions[-1]):
            bpy.ops.screen.area_split(direction="VERTICAL", factor=1.0 / (len(remaining) - index))
        new = next(area for area in window.screen.areas if area not in known)
        target = max((target, new), key=lambda area: area.x)
    bpy.app.timers.register(guarded(fit), first_interval=0.5)


def fit() -> float | None:
    window = bpy.context.window_manager.windows[0]
    for area in window.screen.areas:
        region = next((region for region in area.regions if region.type == "WINDOW"), None)
        with bpy.context.temp_override(window=window, area=area, region=region):
            if area.ui_type == "IMAGE_EDITOR" and area.spaces.active.image is not None:
                bpy.ops.image.view_all(fit_view=True)
            elif bpy.ops.node.view_all.poll():
                bpy.ops.node.view_all()
    return None


bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(guarded(begin), first_interval=1.0)
