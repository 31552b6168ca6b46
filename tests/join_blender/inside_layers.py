# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, as ``inside.py`` does: what is done with layers once they are there."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside import ARGUMENTS, Report, decompose, module, pixels_of, run_cases


def made(folder: Path, size: tuple[int, int] = (40, 24), alpha: bool = False) -> dict[str, Any]:
    """A picture, decomposed by the real engine: the layers by component."""
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    image = bpy.data.images.new("photo", *size, alpha=alpha)
    flat = np.random.default_rng(0).random(size[0] * size[1] * 4, dtype=np.float32) * 0.8 + 0.1
    if not alpha:
        flat[3::4] = 1.0
    image.pixels.foreach_set(flat)
    error = decompose(image="photo", bank=ARGUMENTS["bank"], steps=2, preset="STANDARD")
    assert not error, error
    return layers()


def layers() -> dict[str, Any]:
    return {image["join_component"]: image for image in bpy.data.images if "join_component" in image}


def item() -> Any:
    return bpy.context.scene.join_relights[0]


def set_up_render(path: Path) -> None:
    render = bpy.context.scene.render
    if hasattr(render, "compositor_device"):
        render.compositor_device = "CPU"
    settings = render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_depth, settings.color_mode = "OPEN_EXR", "32", "RGB"
    render.filepath = str(path)


def write_layer(name: str, rgb: np.ndarray) -> Any:
    """``[H, W, 3]`` as a layer."""
    images = module("host.images")
    image = images.new_layer(name)
    images.fill_layer(image, module("engine.exr").encode_exr(rgb), False)
    return image


# --- the cases ----------------------------------------------------------------------------------------------------


def case_graded() -> Report:
    """The group's controls, rendered; and that another set uses the same group."""
    rng = np.random.default_rng(0)
    folder = Path(ARGUMENTS["folder"])
    compositor, versions = module("host.compositor"), module("host.versions")
    formula = tuple(tuple(term) for term in ARGUMENTS["formula"])
    pixels = {}
    for name, strength in ARGUMENTS["strengths"].items():
        pixels[name] = rng.random((12, 16, 3), dtype=np.float32) * strength
        np.save(folder / f"{name}.npy", pixels[name])
    for controls in ({}, ARGUMENTS["controls"]):
        scene = bpy.data.scenes.new("scene")
        made_images = {name: write_layer(f"x {name}", rgb) for name, rgb in pixels.items()}
        compositor.add_layers(scene, "x", made_images, formula, render=True)
        node = next(n for n in versions.compositor_tree(scene).nodes if n.bl_idname == "CompositorNodeGroup")
        for name, value in controls.items():
            node.inputs[name].default_value = value
        bpy.context.window.scene = scene
        set_up_render(folder / ("graded.exr" if controls else "plain.exr"))
        bpy.ops.render.render(write_still=True, scene=scene.name)
    return {
        "groups": [group.name for group in bpy.data.node_groups if "join_components" in group],
        "inputs": [socket.name for socket in node.inputs],
        "described": all(
            item.description
            for item in node.node_tree.interface.items_tree
            if item.item_type == "SOCKET" and item.in_out == "INPUT"
        ),
    }


def case_relight() -> Report:
    """Values, the layers that they make, and a file that knows all of it tomorrow."""
    folder = Path(ARGUMENTS["folder"])
    before = {name: pixels_of(image).copy() for name, image in made(folder, alpha=ARGUMENTS["alpha"]).items()}
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    values = item().values
    report: Report = {
        "names": [value.name for value in values],
        "told": all(value.label and value.about for value in values),
        "path": values[0].path_from_id("amount"),
    }
    values["Shading 1"].amount = 2.0
    values["Specular 1"].amount = -1.0
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    lit = {name: pixels_of(image).copy() for name, image in layers().items()}
    np.save(folder / "slider.npy", lit["shading"])
    report["moved"] = {name: float(np.abs(lit[name] - before[name])[..., :3].max()) for name in lit}
    report["alpha_kept"] = bool(np.array_equal(lit["shading"][..., 3], before["shading"][..., 3]))
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "lit.blend"))
    item().show_original = True
    bpy.ops.join.relight_apply()
    report["original"] = all(np.array_equal(pixels_of(image), before[name]) for name, image in layers().items())
    item().show_original = False
    bpy.ops.join.relight_apply()
    report["again"] = all(np.array_equal(pixels_of(image), lit[name]) for name, image in layers().items())
    bpy.ops.join.relight_reset(image="photo")
    bpy.ops.join.relight_apply()
    report["reset"] = all(np.array_equal(pixels_of(image), before[name]) for name, image in layers().items())
    bpy.ops.join.relight_random(image="photo", seed=3)
    report["random"] = [round(value.amount, 5) for value in item().values]
    bpy.ops.join.relight_random(image="photo", seed=3)
    bpy.ops.join.relight_apply()
    report["same_random"] = [round(value.amount, 5) for value in item().values] == report["random"]
    hidden = [image for image in bpy.data.images if "join_original" in image]
    report["hidden"] = [len(hidden), all(image.name.startswith(".") and image.packed_file for image in hidden)]
    options = {"bank": ARGUMENTS["bank"], "steps": 2, "preset": "STANDARD", "seed": 5, "again": "UPDATE"}
    assert not decompose(image="photo", **options)
    report["update"] = [image.get("join_relit") for image in layers().values()]
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    bpy.context.scene.join_relights[0].values[0].amount = 1.0
    bpy.ops.join.relight_apply()
    sets = {image["join_set"] for image in bpy.data.images if "join_original" in image}
    report["orphans_gone"] = sets == {layers()["albedo"]["join_set"]}
    return report


def case_mix() -> Report:
    """Another material's colours in this one's albedo: sliders, undo, export and a file that knows it tomorrow."""
    folder = Path(ARGUMENTS["folder"])
    made(folder)
    sets, mixing = module("host.sets"), module("host.relight")
    other = bpy.data.images.new("other", 32, 32)
    other.pixels.foreach_set(np.tile(np.array([0.9, 0.2, 0.1, 1.0], np.float32), 32 * 32))
    assert not decompose(image="other", bank=ARGUMENTS["bank"], steps=2, preset="STANDARD", seed=7)
    keys = [sets.set_of(bpy.data.images[name]) for name in ("photo", "other")]

    def pixels(key: str) -> dict[str, np.ndarray]:
        return {name: pixels_of(image).copy() for name, image in sets.layers_of(key).items()}

    def same(mine: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[str]:
        return sorted(name for name in mine if np.array_equal(mine[name], theirs[name]))

    before, others = pixels(keys[0]), pixels(keys[1])
    report: Report = {}
    for arguments in ({"other": "photo"}, {"other": ""}, {"other": "nothing"}):
        try:
            bpy.ops.join.mix(image="photo", **arguments)
        except RuntimeError as error:
            report.setdefault("refused", []).append(str(error))
    bpy.ops.ed.undo_push(message="Decomposed")
    assert bpy.ops.join.mix("EXEC_DEFAULT", True, image="photo", other="other") == {"FINISHED"}
    item = module("host.relight_values").find(bpy.context.scene, keys[0])
    report["values"] = [[value.label, value.components] for value in item.values if value.mixes]
    report["with"] = mixing.mixed_with(keys[0])
    bpy.ops.join.relight_apply()
    report["nothing yet"] = same(pixels(keys[0]), before)
    item.values["mix.colour"].share = 1.0
    bpy.ops.join.relight_apply()
    mixed = pixels(keys[0])
    report["mixed"] = same(mixed, before)
    report["moved"] = float(np.abs(mixed["albedo"] - before["albedo"])[..., :3].max())
    report["other left alone"] = same(pixels(keys[1]), others)
    item.values["Shading 1"].amount = 2.0
    bpy.ops.join.relight_apply()
    lit = pixels(keys[0])
    report["lit"] = same(lit, mixed)
    bpy.ops.join.export(image="photo", filepath=str(folder / "mixed.join"), format="JOIN")
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "mixed.blend"))
    bpy.ops.join.relight_reset("EXEC_DEFAULT", True, image="photo")
    bpy.ops.join.relight_apply()
    report["reset light"] = same(pixels(keys[0]), mixed)
    item.values["mix.colour"].share = 0.0
    bpy.ops.join.relight_apply()
    report["back"] = same(pixels(keys[0]), before)
    bpy.ops.wm.open_mainfile(filepath=str(folder / "mixed.blend"))
    report["reopened"] = same(pixels(keys[0]), lit)
    item = module("host.relight_values").find(bpy.context.scene, keys[0])
    item.values["mix.colour"].share = 0.0
    item.values["Shading 1"].amount = 0.0
    bpy.ops.join.relight_apply()
    report["tomorrow"] = same(pixels(keys[0]), before)
    return report


def case_confidence() -> Report:
    """How sure the bank is, as pictures; of a set that does not tell, one sentence."""
    image = bpy.data.images.new("photo", 96, 64)
    flat = np.random.default_rng(0).random(96 * 64 * 4, dtype=np.float32) * 0.8 + 0.1
    flat[3::4] = 1.0
    image.pixels.foreach_set(flat)
    assert not decompose(image="photo", preset="DRAFT")
    report: Report = {"figures": {}, "texts": {}}
    views = {}
    for name in ("albedo", "shading", "specular"):
        assert bpy.ops.join.view(kind=f"CONFIDENCE_{name.upper()}", image="photo") == {"FINISHED"}
        view = next(i for i in bpy.data.images if i.get("join_view") == f"confidence {name}")
        report["figures"][name] = [view["join_error_mean"], view["join_error_share"], "join_error_largest" in view]
        views[name] = pixels_of(view).copy()
    report["size"] = list(views["albedo"].shape)
    report["differ"] = float(np.abs(views["albedo"] - views["specular"]).mean())
    metrics = json.loads(layers()["albedo"]["join_metrics"])
    report["albedo_error"] = metrics["albedo_error"]
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    item().values[0].amount = 1.0
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    assert bpy.ops.join.view(kind="CONFIDENCE_ALBEDO", image="photo") == {"FINISHED"}
    view = next(i for i in bpy.data.images if i.get("join_view") == "confidence albedo")
    report["same in another light"] = bool(np.array_equal(pixels_of(view), views["albedo"]))
    for layer in layers().values():
        layer.pop("join_decomposition")
    try:
        bpy.ops.join.view(kind="CONFIDENCE_ALBEDO", image="photo")
    except RuntimeError as error:
        report["refused"] = str(error)
    return report


def case_at_hand() -> Report:
    """What of a set is at hand, and how many pieces it takes to have the rest."""
    folder = Path(ARGUMENTS["folder"])
    made(folder)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "set.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "set.blend"))
    images, sets, compare, relight = (module(f"host.{name}") for name in ("images", "sets", "compare", "relight"))
    running, key = module("ui.running"), sets.set_of(bpy.data.images["photo"])
    report: Report = {"far": [name for name, layer in layers().items() if not images.is_at_hand(layer)]}
    # Blender knows the size of what it has not decoded only once it has.
    report["sizes"] = sorted({images.layer_size(layer) for layer in layers().values()})
    report["whole"] = sets.part_of(layers()["shading"])
    report["decoded"] = [name for name, layer in layers().items() if layer.has_data]
    found: list[Any] = []
    running.in_pieces(compare.gather_in_pieces(key, "split"), found.append)
    pieces = 0
    while not found:
        running.step()
        pieces += 1
        time.sleep(0.01)
    report["pieces"] = pieces
    report["same"] = found[0].make().data == compare.gather(key, "split").make().data
    report["near"] = [name for name, layer in layers().items() if images.is_at_hand(layer)]
    copied = {name: images.packed_exr(layer) for name, layer in layers().items()}
    report["no copies"] = all(images.packed_exr(layer) is copied[name] for name, layer in layers().items())
    running.in_pieces(compare.gather_in_pieces(key, "split"), found.append)
    running.step()  # as far as the room for the input
    report["gone"] = []
    sets.remove(key)
    time.sleep(0.1)
    failed = lambda failure: report["gone"].append(str(failure))  # noqa: E731
    running._in_pieces[0] = (*running._in_pieces[0][:3], failed)
    running.step()
    # One at a time, in a set that has just been opened.
    bpy.ops.wm.open_mainfile(filepath=str(folder / "set.blend"))
    key, taken = sets.set_of(bpy.data.images["photo"]), 0
    while relight.bring_to_hand(key):
        taken += 1
    report["taken"] = taken
    # An original has the bytes of its layer, so a view of the original light stays right.
    assert bpy.ops.join.view(kind="ERROR", image="photo") == {"FINISHED"}
    error = next(image for image in bpy.data.images if image.get("join_view") == "error")
    error.use_fake_user = True
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    item().values["Shading 1"].amount = 2.0
    content = error["join_content"]
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    report["stale"] = [kind for _, kind, _ in compare.stale_views()]
    report["error made anew"] = error["join_content"] != content
    # What is drawn over the picture while the light moves stays until the editors know what it has become.
    live, updates, drawn = module("overlay.live"), module("ui.relight_updates"), images.is_behind
    live._pictures[key] = {}
    images.is_behind = lambda: True
    updates._settle()
    report["kept over it"] = key in live._pictures
    images.is_behind = drawn
    updates._settle()
    report["then gone"] = key not in live._pictures
    # A stroke, and what Blender packs itself, are no longer what the layer was filled with.
    albedo = layers()["albedo"]
    before = images.packed_exr(albedo)
    albedo.pixels[0] = 0.125
    report["painted"] = images.packed_exr(albedo) is None
    albedo.pack()
    report["packed anew"] = images.packed_exr(albedo) not in (None, before)
    return report


def case_paste() -> Report:
    """Another material where a painted mask is: a set of its own, and the first one as it was."""
    folder = Path(ARGUMENTS["folder"])
    made(folder, alpha=True)
    sets = module("host.sets")
    other = bpy.data.images.new("other", 32, 32)
    other.pixels.foreach_set(np.tile(np.array([0.9, 0.2, 0.1, 1.0], np.float32), 32 * 32))
    assert not decompose(image="other", bank=ARGUMENTS["bank"], steps=2, preset="STANDARD", seed=7)
    painted = bpy.data.images.new("mask", 40, 24)
    plane = np.zeros((24, 40, 4), np.float32)
    plane[4:12, 10:30] = 1.0  # of Blender's rows, from below
    painted.pixels.foreach_set(plane.ravel())
    key, patch = (sets.set_of(bpy.data.images[name]) for name in ("photo", "other"))
    before = {name: pixels_of(image).copy() for name, image in sets.layers_of(key).items()}
    report: Report = {}
    for arguments in ({"other": "photo"}, {"other": ""}, {"other": "other", "painted": ""}):
        try:
            bpy.ops.join.paste(**{"image": "photo", "painted": "mask", **arguments})
        except RuntimeError as error:
            report.setdefault("refused", []).append(str(error))
    bpy.context.scene.join_intrinsics.paste_feather = 0.0
    assert bpy.ops.join.paste(image="photo", other="other", painted="mask") == {"FINISHED"}
    new = sets.set_of(bpy.data.images["photo"])
    report["new"], report["told"] = new != key, sets.told_of(new)
    after = {name: pixels_of(image).copy() for name, image in sets.layers_of(new).items()}
    report["same"] = sorted(name for name in before if np.array_equal(after[name], before[name]))
    first = {name: pixels_of(image) for name, image in sets.layers_of(key).items()}
    report["left alone"] = all(np.array_equal(first[name], before[name]) for name in before)
    moved = np.abs(after["albedo"] - before["albedo"])[..., :3].max(axis=2) > 1e-4
    inside = plane[::-1, :, 0] > 0.0
    report["outside"], report["inside"] = bool(moved[~inside].any()), float(moved[inside].mean())
    paint = pixels_of(sets.layers_of(patch)["albedo"])[12:20, 6:26, :3]  # middle on middle
    report["paint"] = float(np.abs(after["albedo"][12:20, 10:30, :3] - paint).max())
    report["alpha"] = bool(np.array_equal(after["albedo"][..., 3], before["albedo"][..., 3]))
    assert bpy.ops.join.relight(image=sets.layers_of(new)["albedo"].name) == {"FINISHED"}
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "pasted.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "pasted.blend"))
    report["reopened"] = bool(np.array_equal(pixels_of(sets.layers_of(new)["albedo"]), after["albedo"]))
    bpy.data.images.remove(sets.layers_of(new)["albedo"])
    try:
        bpy.ops.join.set_repair(key=new)
    except RuntimeError as error:
        report["repair"] = str(error)
    return report


def case_restyled() -> Report:
    """The material's sliders: only what they move, back again, and left alone by the light's buttons."""
    folder = Path(ARGUMENTS["folder"])
    before = {name: pixels_of(image).copy() for name, image in made(folder).items()}
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    values = item().values
    report: Report = {"values": [[v.label, v.components, v.named] for v in values if v.restyles]}
    values["material.wet"].share = 0.8
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    after = {name: pixels_of(image).copy() for name, image in layers().items()}
    report["same"] = sorted(name for name in before if np.array_equal(after[name], before[name]))
    report["moved"] = float(np.abs(after["albedo"] - before["albedo"])[..., :3].max())
    bpy.ops.join.relight_random(image="photo", seed=1)
    bpy.ops.join.relight_reset(image="photo")
    bpy.ops.join.relight_apply()
    report["left alone"] = all(np.array_equal(pixels_of(image), after[name]) for name, image in layers().items())
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "wet.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "wet.blend"))
    report["reopened"] = round(item().values["material.wet"].share, 3)
    item().values["material.wet"].share = 0.0
    bpy.ops.join.relight_apply()
    report["back"] = all(np.array_equal(pixels_of(image), before[name]) for name, image in layers().items())
    return report


def case_mix_undone() -> Report:
    """An undo of the button and of a slider: values, codes and pixels go back together."""
    made(Path(ARGUMENTS["folder"]))
    sets, values = module("host.sets"), module("host.relight_values")
    other = bpy.data.images.new("other", 32, 32)
    other.pixels.foreach_set(np.tile(np.array([0.9, 0.2, 0.1, 1.0], np.float32), 32 * 32))
    assert not decompose(image="other", bank=ARGUMENTS["bank"], steps=2, preset="STANDARD", seed=7)
    key = sets.set_of(bpy.data.images["photo"])
    before = pixels_of(sets.layers_of(key)["albedo"]).copy()
    bpy.ops.ed.undo_push(message="Decomposed")
    assert bpy.ops.join.mix("EXEC_DEFAULT", True, image="photo", other="other") == {"FINISHED"}
    report: Report = {"states": []}

    def note() -> None:
        item = values.find(bpy.context.scene, key)
        shares = [round(value.share, 2) for value in item.values if value.mixes] if item is not None else None
        albedo = sets.layers_of(key)["albedo"]
        report["states"].append(
            [shares, bool(np.array_equal(pixels_of(albedo), before)), bool(albedo.get("join_mixed"))]
        )

    note()
    values.find(bpy.context.scene, key).values["mix.colour"].share = 1.0
    module("host.undo").push("Mix")
    bpy.ops.join.relight_apply()
    note()
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.redo):
        step()
        note()
    return report


def case_undo() -> Report:
    """In edit mode, where a step of undo of Blender's own holds the mesh alone."""
    made(Path(ARGUMENTS["folder"]))
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.ed.undo_push(message="Cube")
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.ed.undo_push(message="Edit")
    assert bpy.ops.join.relight("EXEC_DEFAULT", True, image="photo") == {"FINISHED"}
    report: Report = {"recorded": module("host.undo").blender_records_sliders(bpy.context), "amounts": []}

    def note() -> None:
        lights = bpy.context.scene.join_relights
        report["amounts"].append([round(value.amount, 2) for value in lights[0].values][:2] if len(lights) else None)

    assert bpy.ops.join.relight_random("EXEC_DEFAULT", True, image="photo", seed=3) == {"FINISHED"}
    note()
    item().values[0].amount = 1.5
    module("host.undo").push("Move Light")
    note()
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.redo, bpy.ops.ed.redo):
        step()
        note()
    report["strays"] = [text.name for text in bpy.data.texts]
    return report


def case_tomorrow() -> Report:
    """The saved file in another process, with another engine: what is shown, and another light."""
    folder = Path(ARGUMENTS["folder"])
    bpy.ops.wm.open_mainfile(filepath=str(folder / "lit.blend"))
    slider = np.load(folder / "slider.npy")
    shading = layers()["shading"]
    report: Report = {"shown": bool(np.array_equal(pixels_of(shading), slider))}
    state = module("ui.relight_updates")
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    report["engine_left_alone"] = state.connection.engine is None  # the layers show the values already
    item().values["Shading 1"].amount = -1.0
    bpy.ops.join.relight_apply()
    report["moved"] = float(np.abs(pixels_of(shading) - slider).max())
    item().values["Shading 1"].amount = 2.0
    bpy.ops.join.relight_apply()
    report["back"] = bool(np.array_equal(pixels_of(shading), slider))
    state.forget_file()  # what is open stays open
    albedo = layers()["albedo"]
    del albedo["join_decomposition"]
    try:
        bpy.ops.join.relight(image=albedo.name)
    except RuntimeError as error:
        report["refused"] = str(error)
    return report


def case_killed() -> Report:
    """The engine dies between two values, and in the middle of one; and the bank's file has moved since."""
    bpy.ops.wm.open_mainfile(filepath=str(Path(ARGUMENTS["folder"]) / "lit.blend"))
    for image in layers().values():
        image["join_bank_path"] = str(Path(ARGUMENTS["folder"]) / "moved.safetensors")
    bpy.context.scene.join_intrinsics.bank = ARGUMENTS["bank"]
    connection = module("ui.relight_updates").connection
    shading, value = layers()["shading"], item().values["Shading 1"]
    value.amount = 1.0
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    connection.engine.kill()
    value.amount = 0.5
    report: Report = {"between": list(bpy.ops.join.relight_apply())}
    before = pixels_of(shading).copy()
    engine = connection.engine
    send = engine.send

    def send_and_kill(message: Any) -> None:
        send(message)
        engine.kill()

    engine.send = send_and_kill
    value.amount = 1.5
    try:
        bpy.ops.join.relight_apply()
    except RuntimeError as error:
        report["in the middle"] = str(error)
    report["unchanged"] = bool(np.array_equal(pixels_of(shading), before))
    report["afterwards"] = list(bpy.ops.join.relight_apply())
    report["moved"] = float(np.abs(pixels_of(shading) - before).max())
    return report


def case_animate() -> Report:
    """Two keyframes, three frames of a video."""
    folder = Path(ARGUMENTS["folder"])
    bpy.ops.wm.open_mainfile(filepath=str(folder / "lit.blend"))
    scene = bpy.context.scene
    assert bpy.ops.join.add_nodes(image="photo", render=True) == {"FINISHED"}
    value = item().values["Shading 1"]
    value.keyframe_insert("amount", frame=1)  # 2, the slider's own
    value.amount = -2.0
    value.keyframe_insert("amount", frame=3)
    scene.frame_start, scene.frame_end = 1, 3
    set_up_render(folder / "frame_####")
    bpy.ops.render.render(animation=True)
    scene.frame_set(1)
    frame_1 = pixels_of(layers()["shading"]).copy()
    scene.frame_set(3)
    frame_3 = pixels_of(layers()["shading"]).copy()
    slider = np.load(folder / "slider.npy")
    np.save(folder / "albedo.npy", pixels_of(layers()["albedo"])[..., :3])
    np.save(folder / "specular.npy", pixels_of(layers()["specular"])[..., :3])
    return {
        "frame_1": bool(np.array_equal(frame_1, slider)),
        "frame_3": float(np.abs(frame_3 - slider).max()),
    }


def case_material() -> Report:
    """On a plane with a UV map, with and without a specular layer; and on what cannot have one."""
    bpy.ops.wm.open_mainfile(filepath=str(Path(ARGUMENTS["folder"]) / "lit.blend"))
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    users_own = bpy.data.materials.new("my own")
    plane.data.materials.append(users_own)
    assert bpy.ops.join.make_material(image="photo") == {"FINISHED"}
    made = plane.active_material
    report: Report = {"full": _links(made), "kept": users_own.use_fake_user, "name": made.name}
    bpy.data.images.remove(layers()["specular"])
    while plane.data.uv_layers:
        plane.data.uv_layers.remove(plane.data.uv_layers[0])
    assert bpy.ops.join.make_material(image="photo") == {"FINISHED"}
    report["lambertian"] = _links(plane.active_material)
    bpy.ops.object.empty_add()
    count = len(bpy.data.materials)
    for name in ("empty", "nothing"):
        if name == "nothing":
            bpy.context.view_layer.objects.active = None
        try:
            bpy.ops.join.make_material(image="photo")
        except RuntimeError as error:
            report[name] = str(error)
    report["count"] = len(bpy.data.materials) - count
    return report


def _refused(operator: Any) -> str:
    try:
        operator(image="photo")
    except RuntimeError as error:
        return str(error)
    return ""


def case_paint() -> Report:
    """Marked as assets and sent to texture paint, on objects of all kinds; painted, saved, opened again."""
    path = str(Path(ARGUMENTS["folder"]) / "painted.blend")
    bpy.ops.wm.open_mainfile(filepath=str(Path(ARGUMENTS["folder"]) / "lit.blend"))
    bpy.context.view_layer.objects.active = None
    report: Report = {"nothing": _refused(bpy.ops.join.paint)}
    bpy.ops.object.empty_add()
    report["empty"] = _refused(bpy.ops.join.paint)
    bpy.ops.mesh.primitive_plane_add(calc_uvs=False)
    report["flat"] = [_refused(bpy.ops.join.paint), len(bpy.context.object.material_slots)]
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    plane.data.materials.append(bpy.data.materials.new("my own"))
    assert bpy.ops.join.paint(image="photo") == {"FINISHED"}
    made = plane.active_material
    paint = bpy.context.scene.tool_settings.image_paint
    report["slot"] = made.texture_paint_images[made.paint_active_slot].name
    report["mode"] = [plane.mode, paint.mode, made.name, bpy.data.materials["my own"].use_fake_user]
    assert bpy.ops.join.paint(image="photo") == {"FINISHED"}
    report["again"] = plane.active_material == made and "photo.001" not in bpy.data.materials
    bpy.ops.object.mode_set(mode="OBJECT")
    strokes = pixels_of(layers()["albedo"]).copy()
    strokes[:5, :5] = (0.123456, 2.0, 0.0, 1.0)
    layers()["albedo"].pixels.foreach_set(strokes[::-1].ravel())
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    assert bpy.ops.join.mark_asset(image="photo") == {"FINISHED"}
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    report["kept"] = bool(np.array_equal(pixels_of(layers()["albedo"]), strokes))
    marked = [*bpy.data.materials, *bpy.data.node_groups]
    report["marked"] = {
        one.name: [one.asset_data.description, len(one.asset_data.tags)] for one in marked if one.asset_data
    }
    preview = bpy.data.materials["photo"].preview
    shown = np.empty(4 * preview.image_size[0] * preview.image_size[1], np.float32)
    preview.image_pixels_float.foreach_get(shown)
    np.save(Path(ARGUMENTS["folder"]) / "preview.npy", shown.reshape(*preview.image_size, 4)[::-1])
    for name, image in layers().items():
        np.save(Path(ARGUMENTS["folder"]) / f"shown {name}.npy", pixels_of(image)[..., :3])
    bpy.data.materials.remove(bpy.data.materials["photo"])
    assert bpy.ops.join.mark_asset(image="photo") == {"FINISHED"}
    report["made for it"] = [one.name for one in bpy.data.materials if one.asset_data]
    return report


def case_maps() -> Report:
    """Made of a relit set by the real engine, with and without an object; undone, renamed, saved, removed."""
    folder, sets = Path(ARGUMENTS["folder"]), module("host.sets")
    bpy.ops.wm.open_mainfile(filepath=str(folder / "lit.blend"))
    key = sets.latest_set(bpy.data.images["photo"])
    before = {name: pixels_of(image).copy() for name, image in layers().items()}
    bpy.context.view_layer.objects.active = None
    bpy.ops.ed.undo_push(message="Before")
    assert bpy.ops.join.make_maps(image="photo") == {"FINISHED"}
    plain = bpy.data.materials["photo"]
    report: Report = {"plain": _links(plain), "kept": plain.use_fake_user, "made": sorted(sets.maps_of(key))}
    bpy.ops.ed.undo_push(message="Maps")
    bpy.ops.ed.undo()
    report["undone"] = [sorted(sets.maps_of(key)), "photo" in bpy.data.materials]
    bpy.ops.ed.redo()
    report["redone"] = [sorted(sets.maps_of(key)), "photo" in bpy.data.materials]
    bpy.ops.mesh.primitive_plane_add()
    assert bpy.ops.join.make_maps(image="photo", relief=True, displacement=True) == {"FINISHED"}
    made = bpy.context.object.active_material
    maps = sets.maps_of(key)
    report["relief"] = _links(made)
    told = lambda i: [i.name, i.colorspace_settings.name, list(i.size), i.packed_file is not None]  # noqa: E731
    report["images"] = {name: told(image) for name, image in maps.items()}
    report["displaced"] = made.node_tree.nodes["Material Output"].inputs["Displacement"].is_linked
    report["known"] = [sets.set_of(image) == key for image in maps.values()] + [sorted(sets.layers_of(key))]
    report["covered"] = [module("overlay.live")._name(image) for image in maps.values()]
    for name, image in maps.items():
        np.save(folder / f"map {name}.npy", pixels_of(image)[..., :3])
    originals = {**layers(), **module("host.relight").originals(key)}
    for name, image in originals.items():
        np.save(folder / f"of {name}.npy", pixels_of(image)[..., :3])
    report["untouched"] = all(np.array_equal(pixels_of(image), before[name]) for name, image in layers().items())
    assert bpy.ops.join.set_rename(key=key, name="bark") == {"FINISHED"}
    report["renamed"] = sorted(image.name for image in sets.maps_of(key).values())
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "maps.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(folder / "maps.blend"))
    report["reopened"] = {n: float(pixels_of(image)[..., 2].mean()) for n, image in sets.maps_of(key).items()}
    assert bpy.ops.join.set_remove(key=key) == {"FINISHED"}
    report["left"] = [image.name for image in bpy.data.images if "join_set" in image]
    try:
        bpy.ops.join.make_maps(image="photo")
    except RuntimeError as error:
        report["nothing"] = str(error)
    return report


def case_tile() -> Report:
    """Made by the real engine of the layers as they are; undone; a set whose picture is too small."""
    folder, sets = Path(ARGUMENTS["folder"]), module("host.sets")
    bpy.ops.wm.open_mainfile(filepath=str(folder / "lit.blend"))
    key = sets.latest_set(bpy.data.images["photo"])
    known = {image.name for image in bpy.data.images}
    bpy.ops.mesh.primitive_plane_add()
    bpy.ops.ed.undo_push(message="Before")
    assert bpy.ops.join.make_tile(image="photo") == {"FINISHED"}
    made = sorted({image.name for image in bpy.data.images} - known)
    report: Report = {
        "made": made,
        "sizes": [list(bpy.data.images[name].size) for name in made],
        "of": list(next(iter(layers().values())).size),
        "kept": all(bpy.data.images[name].use_fake_user for name in made),
        "known": sorted(sets.layers_of(key)),
        "shader": _links(bpy.context.object.active_material),
    }
    for name, image in layers().items():
        np.save(folder / f"whole {name}.npy", pixels_of(image)[..., :3])
        np.save(folder / f"tile {name}.npy", pixels_of(bpy.data.images[f"photo tile {name}"])[..., :3])
    bpy.ops.ed.undo_push(message="Tile")
    bpy.ops.ed.undo()
    report["undone"] = sorted({image.name for image in bpy.data.images} - known)
    return report


def _links(material: Any) -> Report:
    """Where each input of the shader comes from; and where the estimates are put."""
    shader = next(node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled")
    found = {}
    for socket in shader.inputs:
        if socket.is_linked:
            node = socket.links[0].from_node
            image = node.image if node.bl_idname == "ShaderNodeTexImage" else None
            found[socket.name] = (
                (image.get("join_component") or image.get("join_map") or image.name)
                if image
                else node.label or node.name
            )
    frames = [node.label for node in material.node_tree.nodes if node.bl_idname == "NodeFrame"]
    generated = any(node.bl_idname == "ShaderNodeTexCoord" for node in material.node_tree.nodes)
    return {"inputs": found, "frames": frames, "generated": generated}


def case_export() -> Report:
    """Each format, of a relit set; and the nodes put in again."""
    folder = Path(ARGUMENTS["folder"])
    bpy.ops.wm.open_mainfile(filepath=str(folder / "lit.blend"))
    for name, image in layers().items():
        np.save(folder / f"now {name}.npy", pixels_of(image))
    said = {}
    for how in ("EXR16", "EXR32", "PNG8", "PNG16", "JOIN"):
        said[how] = list(bpy.ops.join.export(image="photo", filepath=str(folder / f"out {how}"), format=how))
    (folder / "file").write_text("in the way")
    try:
        bpy.ops.join.export(image="photo", filepath=str(folder / "file" / "x.exr"), format="EXR16")
    except RuntimeError as error:
        said["in the way"] = str(error)
    bpy.ops.join.add_nodes(image="photo")
    tree = module("host.versions").compositor_tree(bpy.context.scene)
    before = len(tree.nodes)
    bpy.ops.join.add_nodes(image="photo")
    return {"said": said, "added": len(tree.nodes) - before}


def case_speed() -> Report:
    """What a slider's move takes until its preview is there; the engine and Blender share the machine."""
    folder = Path(ARGUMENTS["folder"])
    made(folder, (ARGUMENTS["side"], ARGUMENTS["side"]))
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    state = module("ui.relight_updates")
    light = state.lights[item().set_id]
    times, asked = [], 0
    for turn in range(12):
        start = time.perf_counter()
        for part in range(5):  # a drag: only the newest of these shall come
            light.want((("shading", "sefa.0", 0.1 * turn + 0.01 * part + 0.05),))
        wanted = light._wanted
        while True:
            state.connection.step()
            updates = light.step(state.connection)
            asked += len([update for update in updates if update.preview])
            if any(update.preview and update.edits == wanted for update in updates):
                break
            time.sleep(0.002)
        times.append(time.perf_counter() - start)
    full = time.perf_counter()
    state.lights[item().set_id].wait(state.connection, (("shading", "sefa.0", 1.5),))
    return {"first": times[0], "times": times[1:], "previews": asked, "full": time.perf_counter() - full}


if __name__ == "__main__":
    run_cases({key.removeprefix("case_"): value for key, value in globals().items() if key.startswith("case_")})
