# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, as ``inside.py`` does: which images belong together, whatever happens to their names, the
file and its history."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside import ARGUMENTS, Report, decompose, module, pixels_of, run_cases

FOLDER = Path(ARGUMENTS.get("folder", "."))


def picture(name: str, value: float, size: tuple[int, int] = (12, 8)) -> Any:
    """An image of noise around a value: no two of them decompose into the same layers."""
    image = bpy.data.images.new(name, *size, float_buffer=True)
    image.colorspace_settings.name = "Linear Rec.709"
    flat = value * np.random.default_rng(1).uniform(0.5, 1.5, size[0] * size[1] * 4).astype(np.float32)
    flat[3::4] = 1.0
    image.pixels.foreach_set(flat)
    image.update()
    image.pack()
    return image


def set_key(image: Any) -> str:
    return module("host.sets").set_of(image)


def layers_of(key: str) -> dict[str, Any]:
    return module("host.sets").layers_of(key)


def all_keys() -> list[str]:
    return module("host.sets").all_sets()


def makes(key: str, image: Any) -> bool:
    """Whether a set's layers make that image, by all that it consists of."""
    made = {name: pixels_of(layer)[..., :3] for name, layer in layers_of(key).items()}
    whole = made["albedo"] * made["shading"] + made.get("specular", 0.0)
    whole = whole + made.get("emission", 0.0)
    wanted = pixels_of(image)[..., :3]
    return whole.shape == wanted.shape and bool(np.abs(whole - wanted).max() < 1e-5)


def engine_of(behaviour: str) -> None:
    """From now on the engine is another one, as after a change of the bank."""
    os.environ["FAKE_ENGINE"] = behaviour
    module("ui.running").queue.connection.end()


def error_of(operator: Callable[..., Any], **arguments: Any) -> str:
    """What an operator reports; empty where it works."""
    try:
        assert operator(**arguments) == {"FINISHED"}
    except RuntimeError as error:
        return str(error).strip()
    return ""


def group_links() -> list[list[str]]:
    """For each of our groups in the compositor: what its layers' sockets show, by name."""
    tree = module("host.versions").compositor_tree(bpy.context.scene)
    found = []
    for node in tree.nodes:
        if node.bl_idname == "CompositorNodeGroup":
            names = [socket.name for socket in node.inputs if socket.name.count(" ") == 0]
            shown = [socket.links[0].from_node.image if socket.is_linked else None for socket in node.inputs]
            found.append([f"{n}: {i.get('join_component') if i else None}" for n, i in zip(names, shown, strict=False)])
    return found


# --- the cases ----------------------------------------------------------------------------------------------------


def case_names() -> Report:
    """Another picture of the same name, a renamed one, a copy, and one that a name was handed on to."""
    report: Report = {}
    first = picture("photo", 0.3)
    assert not decompose(image="photo")
    key = set_key(first)
    # Another picture takes the name.
    bpy.data.images.remove(first)
    second = picture("photo", 0.6)
    assert not decompose(image="photo", again="UPDATE")
    report["same name"] = [set_key(second) != key, makes(set_key(second), second), len(all_keys())]
    report["first kept"] = float(pixels_of(layers_of(key)["albedo"]).max()) > 0
    # Renamed: the same set.
    key = set_key(second)
    second.name = "something else"
    assert not decompose(image="something else", again="UPDATE", seed=4)
    report["renamed"] = [
        set_key(second) == key,
        {i["join_seed"] for i in layers_of(key).values()} == {4},
        len(all_keys()),
    ]
    # Names exchanged between two pictures that both have sets.
    third = picture("third", 0.9)
    assert not decompose(image="third")
    other = set_key(third)
    third.name, second.name = "swap", "third"
    third.name = "something else"
    assert not decompose(image="third", again="UPDATE") and not decompose(image="something else", again="UPDATE")
    report["exchanged"] = [makes(key, second), makes(other, third), set_key(second) == key, set_key(third) == other]
    # A copy of the datablock is another picture from now on.
    copy = second.copy()
    copy.name = "copy"
    copy.pixels.foreach_set(np.tile(np.array([0.2, 0.3, 0.4, 1.0], np.float32), 96))
    copy.update()
    assert not decompose(image="copy", again="UPDATE")
    report["copied"] = [makes(key, second), makes(set_key(copy), copy), set_key(copy) != key]
    # A layer that was renamed is still that layer.
    layers_of(key)["shading"].name = "my own name"
    assert not decompose(image="third", again="UPDATE", seed=9)
    report["layer renamed"] = [layers_of(key)["shading"].name, makes(key, second)]
    for kind in ("SPLIT", "ERROR", "RECOMPOSED"):
        assert bpy.ops.join.view(kind=kind, image="my own name") == {"FINISHED"}
    views = {i["join_view"]: i for i in bpy.data.images if "join_view" in i}
    report["error"] = views["error"]["join_error_largest"]
    return {name: value if not isinstance(value, set) else sorted(value) for name, value in report.items()}


def case_update() -> Report:
    """Fewer components, more of them, the same again: the whole set is replaced, in the compositor, too."""
    image = picture("photo", 0.4)
    report: Report = {}
    assert not decompose(image="photo")
    key = set_key(image)
    assert bpy.ops.join.add_nodes(image="photo", render=True) == {"FINISHED"}
    tree = module("host.versions").compositor_tree(bpy.context.scene)
    group = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeGroup")
    group.inputs["Shading Exposure"].default_value = 1.5
    used = bpy.data.materials.new("the user's own")
    if not used.use_nodes:
        used.use_nodes = True
    node = used.node_tree.nodes.new("ShaderNodeTexImage")
    node.image = layers_of(key)["specular"]
    report["users"] = module("host.sets").users_of(key)

    def state() -> Report:
        node = next(node for node in tree.nodes if node.bl_idname == "CompositorNodeGroup")
        output = module("host.versions").compositor_output(tree)
        return {
            "layers": sorted(layers_of(key)),
            "makes": makes(key, image),
            "groups": group_links(),
            "exposure": node.inputs["Shading Exposure"].default_value,
            "rendered": output.inputs[0].links[0].from_node == node,
            "images": sum(node.bl_idname == "CompositorNodeImage" for node in tree.nodes),
            "same set": set_key(image) == key,
        }

    report["before"] = state()
    engine_of("lambertian")
    assert not decompose(image="photo", again="UPDATE")
    report["fewer"] = state()
    report["left"] = [float(np.abs(pixels_of(node.image)[..., :3]).max()), sorted(node.image.keys())]
    assert bpy.ops.join.view(kind="ERROR", image="photo") == {"FINISHED"}
    report["error"] = next(i for i in bpy.data.images if "join_view" in i)["join_error_largest"]
    engine_of("emission")
    assert not decompose(image="photo", again="UPDATE")
    report["more"] = state()
    engine_of("ok")
    assert not decompose(image="photo", again="UPDATE")
    report["as before"] = state()
    report["strays"] = [i.name for i in bpy.data.images if i.users == 0 and "join_set" in i]
    return report


def case_linked() -> Report:
    """A library with a set in it, and a file that links it: nothing is written into what is linked."""
    library = FOLDER / "library.blend"
    source = picture("photo", 0.3)
    assert not decompose(image="photo")
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    before = library.read_bytes()
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (there, here):
        here.images = [name for name in there.images if name.startswith("photo ")]
    linked = {image["join_component"]: image for image in here.images}
    source = linked["albedo"]["join_input"]
    key = set_key(linked["albedo"])
    report: Report = {"source": [source.name, source.library is not None], "told": module("host.sets").told_of(key)}
    report["update"] = error_of(bpy.ops.join.decompose, image="photo", again="UPDATE")
    for name, operator in {
        "relight": bpy.ops.join.relight,
        "rename": lambda **o: bpy.ops.join.set_rename(name="x", **o),
        "remove": bpy.ops.join.set_remove,
    }.items():
        report[name] = error_of(operator, image=linked["albedo"].name)
    # A local picture of the same name is another one.
    local = picture("photo", 0.8)
    assert not decompose(image="photo", again="UPDATE")
    own = set_key(local)
    report["local"] = [own != key, makes(own, local), local.library is None, set_key(source) == key]
    assert bpy.ops.join.view(kind="ERROR", image=layers_of(own)["albedo"].name) == {"FINISHED"}
    view = next(image for image in bpy.data.images if "join_view" in image)
    report["error"] = view["join_error_largest"]
    # A new set of a linked picture is this file's own.
    before_new = len(all_keys())
    bpy.context.view_layer.update()
    report["made local"] = error_of(bpy.ops.join.set_local, key=key)
    mine = [k for k in all_keys() if k != own]
    report["after"] = [
        len(mine),
        "@" in mine[0],
        before_new,
        all(i.library is None for i in layers_of(mine[0]).values()),
    ]
    layer = layers_of(mine[0])["albedo"]
    report["update local"] = error_of(bpy.ops.join.set_rename, image=layer.name, name="mine")
    report["renamed"] = sorted(image.name for image in layers_of(mine[0]).values())
    report["untouched"] = library.read_bytes() == before
    return report


def slow_job(name: str, update: str | None = None) -> tuple[Any, Any]:
    """A job that shows previews until it is stopped."""
    engine_of("slow")
    running = module("ui.running")
    image = bpy.data.images[name]
    source = module("host.images").read_source(image)
    options, launch = module("engine.protocol").Options(), module("ui.decompose").make_launch("AUTO")
    job = module("engine.decomposition").Decomposition(source, options, launch, name)
    layers = module("host.layers").LayerSet(job, image.session_uid, update)
    running.add(job, layers)
    ticks(lambda: len(module("host.sets").layers_of(job.id)) >= 3)
    return job, layers


def ticks(until: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        module("ui.running").step()
        time.sleep(0.005)
    return until()


def previews() -> list[str]:
    return sorted(image.name for image in bpy.data.images if "join_preview" in image)


def in_file(path: Path) -> list[str]:
    """The images of ours that a file holds."""
    other = shutil.copy(path, path.with_suffix(".looked at.blend"))  # Blender does not look into the file that is open
    with bpy.data.libraries.load(str(other), link=False) as (there, _):
        return sorted(name for name in there.images if name != "Render Result" and not name.startswith("Viewer"))


def case_saved() -> Report:
    """Saving while a job works, and what a backup that nobody asked for holds."""
    running = module("ui.running")
    report: Report = {}
    picture("photo", 0.5)
    picture("kept", 0.5).use_fake_user = True
    bpy.data.images["photo"].use_fake_user = True
    job, _ = slow_job("photo")
    report["shown"] = previews()
    path = FOLDER / "while it works.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    report["in the file"], report["back"] = in_file(path), previews()
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "a copy.blend"), copy=True)
    report["in the copy"] = in_file(FOLDER / "a copy.blend")
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "no such folder" / "x.blend"))
    except RuntimeError:
        report["after a save that failed"] = previews()
    # As Blender's own backups: written without any handler.
    everything = set(bpy.data.images)
    for image in everything:
        image.use_fake_user = True
    bpy.data.libraries.write(str(FOLDER / "backup.blend"), everything, fake_user=True)
    for image in bpy.data.images:
        image.use_fake_user = "join_preview" not in image
    report["in the backup"] = in_file(FOLDER / "backup.blend")
    running.queue.stop(job.id, True)
    ticks(lambda: job.ended)
    report["done"] = [job.state.name, previews(), sorted(i.name for i in bpy.data.images if "join_component" in i)]
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    report["finished file"] = in_file(path)
    # Cancelled: nothing stays, not even by an undo.
    bpy.ops.ed.undo_push(message="Before")
    job, _ = slow_job("kept")
    bpy.ops.ed.undo_push(message="While it works")
    running.queue.stop(job.id, False)
    ticks(lambda: job.ended)
    bpy.ops.ed.undo_push(message="After")
    report["cancelled"] = previews()
    bpy.ops.ed.undo()
    report["undone"] = previews()
    bpy.ops.ed.redo()
    report["redone"] = previews()
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "backup.blend"))
    report["backup opened"] = [previews(), sorted(i.name for i in bpy.data.images if "join_component" in i)]
    return report


def case_half_written() -> Report:
    """A save, and a stop, between the first and the last layer: of a new set, and of an update."""
    running, layer_set = module("ui.running"), module("host.layers").LayerSet
    report: Report = {}
    image = picture("photo", 0.5)
    image.use_fake_user = True
    write, moments = layer_set.write, []

    def write_and_look(self: Any, layer: Any) -> None:
        write(self, layer)
        if len(self._written) == 1 and moments:
            moments.pop()(self)

    layer_set.write = write_and_look
    for what in ("new", "update"):
        path = FOLDER / f"{what}.blend"
        moments.append(lambda _self, path=path: bpy.ops.wm.save_as_mainfile(filepath=str(path)))
        assert not decompose(image="photo", again="UPDATE" if what == "update" else "NEW", seed=7)
        key = set_key(image)
        seeds = sorted({layer["join_seed"] for layer in layers_of(key).values()})
        report[what] = [in_file(path), makes(key, image), seeds, previews()]
    moments.append(lambda self: running.queue.stop(self.job.id, False))
    error = decompose(image="photo", again="UPDATE", seed=8)
    report["stopped"] = [error, sorted({layer["join_seed"] for layer in layers_of(key).values()}), makes(key, image)]
    # An undo between two layers: what it took is written again.
    for message in ("Earlier", "Before"):
        bpy.ops.ed.undo_push(message=message)
    source = module("host.images").read_source(image)
    options, launch = module("engine.protocol").Options(seed=11), module("ui.decompose").make_launch("AUTO")
    job = module("engine.decomposition").Decomposition(source, options, launch, "photo")
    running.add(job, layer_set(job, image.session_uid, key))
    ticks(lambda: job.committed)
    assert not job.ended
    bpy.ops.ed.undo()
    ticks(lambda: job.ended)
    image = bpy.data.images["photo"]
    report["undone"] = [job.state.name, sorted({i["join_seed"] for i in layers_of(key).values()}), makes(key, image)]
    return report


def case_list() -> Report:
    """Switch, rename, remove; two sets of one picture, one of another."""
    sets = module("host.sets")
    image = picture("photo", 0.3)
    picture("other", 0.7)
    assert not decompose(image="photo") and not decompose(image="photo", seed=2) and not decompose(image="other")
    first, second = reversed(sets.sets_of_source(image))
    report: Report = {
        "labels": [sets.label_of(first), sets.label_of(second)],
        "told": [sets.told_of(first), sets.told_of(second)],
        "latest": set_key(image) == second,
        "listed": len(sets.all_sets()),
    }
    assert bpy.ops.join.set_show(key=first) == {"FINISHED"}
    report["switched"] = set_key(image) == first
    assert not decompose(image="photo", again="UPDATE", seed=3)
    report["updated"] = [layers_of(key)["albedo"]["join_seed"] for key in (first, second)]
    layers_of(first)["specular"].name = "by hand"
    assert bpy.ops.join.set_rename(key=first, name="  warm   light ") == {"FINISHED"}
    report["renamed"] = [sets.label_of(first), sorted(i.name for i in layers_of(first).values())]
    assert bpy.ops.join.set_rename(key=second, name="warm light") == {"FINISHED"}
    report["same name"] = sorted(i.name for i in layers_of(second).values())
    report["empty name"] = error_of(bpy.ops.join.set_rename, key=first, name="  ")
    assert not decompose(image="photo", again="UPDATE", seed=5)
    report["label kept"] = sets.label_of(first)
    assert bpy.ops.join.add_nodes(image="by hand") == {"FINISHED"}
    tree = module("host.versions").compositor_tree(bpy.context.scene)
    with_ours = len(tree.nodes)
    for kind in ("RECOMPOSED", "ERROR"):
        assert bpy.ops.join.view(kind=kind, image="by hand") == {"FINISHED"}
    bpy.ops.ed.undo_push(message="Before")
    assert bpy.ops.join.set_remove("EXEC_DEFAULT", True, key=first) == {"FINISHED"}
    image = bpy.data.images["photo"]
    report["removed"] = [
        sorted(i.name for i in bpy.data.images if i.get("join_set") == first),
        set_key(image) == second,
        with_ours - len(module("host.versions").compositor_tree(bpy.context.scene).nodes),
        image.name,
    ]
    bpy.ops.ed.undo()
    image = bpy.data.images["photo"]
    report["undone"] = [makes(first, image), set_key(image) == first]
    bpy.ops.ed.redo()
    report["redone"] = [sorted(layers_of(first)), len(all_keys())]
    FOLDER.mkdir(exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "list.blend"))
    report["in the file"] = [name for name in in_file(FOLDER / "list.blend") if not name.startswith("warm light")]
    report["no such set"] = error_of(bpy.ops.join.set_remove, key=first)
    return report


def case_together() -> Report:
    """Three photos of one thing get a set each with one albedo; each is renamed, repaired, removed, updated and saved
    by itself."""
    sets, running = module("host.sets"), module("ui.running")
    names = ["sun", "lamp", "window"]
    photos = [picture(name, 0.2 + 0.1 * number) for number, name in enumerate(names)]
    images = [{"name": name} for name in names]
    before = [pixels_of(photo).copy() for photo in photos]
    bpy.ops.ed.undo_push(message="Before")
    together = bpy.ops.join.decompose_together
    report: Report = {"made": error_of(together, images=images, preset="DRAFT")}
    keys = [set_key(photo) for photo in photos]
    albedos = [pixels_of(layers_of(key)["albedo"]) for key in keys]
    report["sets"] = [len(set(keys)), all(makes(key, photo) for key, photo in zip(keys, photos, strict=True))]
    report["one albedo"] = all(np.array_equal(albedos[0], albedo) for albedo in albedos)
    report["layers"] = sorted(image.name for image in bpy.data.images if "join_component" in image)
    report["untouched"] = all(np.array_equal(pixels_of(p), b) for p, b in zip(photos, before, strict=True))
    report["told"] = sets.told_of(keys[0])
    report["together"] = [sets.together_with(key) == keys for key in keys]
    report["moved"] = sets.moved_by(layers_of(keys[2])["albedo"])
    report["words"] = running.last_message
    # One of them alone
    layers_of(keys[0])["shading"].name = "by hand"
    assert bpy.ops.join.set_rename(key=keys[0], name="morning") == {"FINISHED"}
    bpy.data.images.remove(layers_of(keys[1])["specular"])
    report["bring back"] = error_of(bpy.ops.join.set_repair, key=keys[1])
    assert bpy.ops.join.set_remove(key=keys[1]) == {"FINISHED"}
    report["one removed"] = [sets.together_with(keys[0]) == [keys[0], keys[2]], makes(keys[2], photos[2])]
    assert not decompose(image="window", again="UPDATE")
    report["one updated"] = [sets.together_with(keys[2]), sets.together_with(keys[0]), makes(keys[2], photos[2])]
    # The whole of it
    FOLDER.mkdir(exist_ok=True)
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "together.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "together.blend"))
    sun = bpy.data.images["sun"]
    report["reopened"] = [makes(keys[0], sun), sets.label_of(keys[0]), sets.together_with(keys[0]) == [keys[0]]]
    return report


def case_readable() -> Report:
    """How light is exposed where an editor shows it: by what its set was decomposed to, and by no value of a layer."""
    sets, readable = module("host.sets"), module("overlay.readable")
    settings = bpy.context.scene.join_intrinsics
    photos = [picture(name, value, (40, 30)) for name, value in (("sun", 4.0), ("lamp", 0.5), ("alone", 0.5))]
    assert error_of(bpy.ops.join.decompose_together, images=[{"name": "sun"}, {"name": "lamp"}], preset="DRAFT") == ""
    assert not decompose(image="alone")
    sun, lamp, alone = (layers_of(set_key(photo)) for photo in photos)
    before = [pixels_of(layer).copy() for layers in (sun, lamp, alone) for layer in layers.values()]

    def told() -> Report:
        """Of shading and specular: what is stored, what it should be, and the gain."""
        found = {}
        for name, layers in (("sun", sun), ("lamp", lamp), ("alone", alone)):
            for component in ("shading", "specular"):
                layer = layers[component]
                known = float(np.quantile(pixels_of(layer)[..., :3].max(axis=2), 0.99))
                found[f"{name} {component}"] = [layer["join_bright"], known, readable.gain_of(layer)]
        return found

    report: Report = {"told": told(), "albedo": readable.gain_of(alone["albedo"])}
    settings.exposure = 1.5
    report["exposed"] = told()
    alone["shading"].use_view_as_render = True
    report["as render"] = readable.gain_of(alone["shading"])
    alone["shading"].use_view_as_render = False
    settings.exposure, settings.readable = 0.0, False
    report["off"] = readable.gain_of(alone["shading"])
    settings.readable = True
    del alone["specular"]["join_bright"]  # of before it was noted
    report["older"] = readable.gain_of(alone["specular"])
    bpy.ops.join.view(kind="RECOMPOSED", image="alone")
    report["view"] = [readable.gain_of(i) for i in bpy.data.images if "join_view" in i]
    report["part"] = [sets.part_of(layers["albedo"]) for layers in (sun, lamp, alone)]
    after = [pixels_of(layer) for layers in (sun, lamp, alone) for layer in layers.values()]
    report["untouched"] = all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))
    settings.exposure = -2.0
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "readable.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "readable.blend"))
    layer = layers_of(set_key(bpy.data.images["alone"]))["shading"]
    report["reopened"] = [bpy.context.scene.join_intrinsics.exposure, readable.gain_of(layer)]
    return report


def case_together_ends() -> Report:
    """Jobs of several photos that do not end well: refused, cancelled, kept, saved in the middle, undone, cut."""
    running, photos = module("ui.running"), module("host.photos")
    for number, name in enumerate(("sun", "lamp", "window")):
        picture(name, 0.2 + 0.1 * number)
    picture("large", 0.5, (16, 8))
    together = bpy.ops.join.decompose_together
    report: Report = {
        "alone": error_of(together, images=[{"name": "sun"}]),
        "sizes": error_of(together, images=[{"name": "sun"}, {"name": "large"}]),
        "nobody": error_of(together, images=[{"name": "sun"}, {"name": "nobody"}]),
        "empty list": error_of(together),
    }
    scene = bpy.context.scene
    for name in ("sun", "lamp", "sun", "window"):
        assert bpy.ops.join.photo_add(image=name) == {"FINISHED"}
    report["list"] = [image.name for image in photos.listed(scene)]
    scene.join_photo_index = 1
    assert bpy.ops.join.photo_remove() == {"FINISHED"}
    report["shorter"] = [image.name for image in photos.listed(scene)]
    path = FOLDER / "file.png"
    lamp = bpy.data.images["lamp"]
    lamp.save(filepath=str(path))
    report["no file"] = error_of(bpy.ops.join.photo_open, directory=str(FOLDER), files=[{"name": "gone.png"}])
    assert bpy.ops.join.photo_open(directory=str(FOLDER), files=[{"name": "file.png"}]) == {"FINISHED"}
    report["opened"] = [image.name for image in photos.listed(scene)]
    images = [bpy.data.images[name] for name in ("sun", "lamp", "window")]
    launch, protocol = module("ui.decompose").make_launch("AUTO"), module("engine.protocol")

    def begin() -> Any:
        sources = [module("host.images").read_source(image) for image in images]
        job = module("engine.decomposition").Decomposition(sources, protocol.Options(), launch, "3 photos")
        running.add(job, module("host.layers").LayersTogether(job, [image.session_uid for image in images]))
        return job

    def until(job: Any, what: Callable[[], bool]) -> None:
        while not what() and not job.ended:
            running.step()
            time.sleep(0.002)

    strays = lambda: [image.name for image in bpy.data.images if "join_component" in image]  # noqa: E731
    job = begin()
    until(job, lambda: len(strays()) >= 4)  # in the middle of the second photo's
    bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / "half.blend"), copy=True)
    report["half saved"] = [name for name in in_file(FOLDER / "half.blend") if name.split()[0] in ("sun", "lamp")]
    running.wait(job)
    report["finished"] = [len(all_keys()), all(makes(set_key(image), image) for image in images)]
    for key in all_keys():
        assert bpy.ops.join.set_remove(key=key) == {"FINISHED"}
    job = begin()
    until(job, lambda: len(strays()) >= 4)
    job.stop(keep=False)
    running.wait(job)
    report["cancelled while written"] = [job.state.name, strays()]
    engine_of("half_layers")
    job = begin()
    report["broken"] = _failure_of(running, job)
    report["nothing left"] = strays()
    engine_of("slow")
    for keep in (False, True):
        job = begin()
        until(job, lambda job=job: job.progress is not None)
        job.stop(keep=keep)
        running.wait(job)
        report[f"keep {keep}"] = [job.state.name, job.stopped_early, len(all_keys())]
    return report


def _failure_of(running: Any, job: Any) -> str:
    """Why a job did not end well."""
    try:
        running.wait(job)
    except module("engine.failure").Failure as failure:
        return str(failure)
    return ""


def case_clean_up() -> Report:
    """A Mask, a painted image, both, a part of the image; and what is refused."""
    masks, sets = module("host.masks"), module("host.sets")
    photo = picture("photo", 0.3, (40, 20))
    square = bpy.data.masks.new("square")
    spline = square.layers.new(name="layer").splines.new()
    # A Mask's unit is the longer side: x from 10 to 20 of 40 pixels, y from 5 to 10 of 20.
    corners = ((0.25, 0.375), (0.5, 0.375), (0.5, 0.5), (0.25, 0.5))
    spline.points.add(len(corners) - len(spline.points))
    for point, (x, y) in zip(spline.points, corners, strict=True):
        point.handle_type = "FREE"
        point.co = (x, y)
        point.handle_left = point.handle_right = (x, y)
    spline.use_cyclic = True
    plane = masks.rasterized(square, 40, 20)
    rows, columns = np.nonzero(plane)
    report: Report = {
        "box": [int(value) for value in (rows.min(), rows.max(), columns.min(), columns.max())],
        "filled": bool(plane.sum() == 50),
    }
    square.layers[0].invert = True
    report["inverted"] = bool((masks.rasterized(square, 40, 20) == 1.0 - plane).all())
    square.layers[0].invert = False
    clean = bpy.ops.join.clean_up
    report["no mask"] = error_of(clean, image="photo")
    report["nobody"] = error_of(clean, image="photo", mask="nobody")
    report["made"] = error_of(clean, image="photo", mask="square")
    key = set_key(photo)
    layer = layers_of(key)["albedo"]
    report["cleaned"] = [_cleaned(layer)]
    report["told"] = sets.told_of(key)
    bpy.data.images.remove(layers_of(key)["specular"])
    report["bring back"] = error_of(bpy.ops.join.set_repair, key=key)
    painted = bpy.data.images.new("painted", 40, 20)
    flat = np.zeros(40 * 20 * 4, np.float32)
    flat[3::4] = 1.0
    painted.pixels.foreach_set(flat)
    report["black"] = error_of(clean, image="photo", painted="painted")
    flat.reshape(20, 40, 4)[:2, :, 0] = 1.0  # the two lowest rows
    painted.pixels.foreach_set(flat)
    assert clean(image="photo", painted="painted") == {"FINISHED"}
    report["cleaned"].append(_cleaned(layers_of(set_key(photo))["albedo"]))
    bpy.context.scene.join_intrinsics.painted, bpy.context.scene.join_intrinsics.mask = painted, square
    assert clean(image="photo") == {"FINISHED"}
    report["cleaned"].append(_cleaned(layers_of(set_key(photo))["albedo"]))
    assert bpy.ops.join.decompose(image="photo", mask="square", crop=(0.0, 0.0, 0.5, 1.0)) == {"FINISHED"}
    report["cleaned"].append(_cleaned(layers_of(set_key(photo))["albedo"]))
    bpy.data.images.new("small", 4, 4)
    report["size"] = error_of(clean, image="photo", painted="small")
    assert bpy.ops.join.decompose(image="photo") == {"FINISHED"}
    report["plain"] = sets.told_of(set_key(photo))
    return report


def case_face() -> Report:
    """Points, a box, a part of the image, half its size; what is refused, and what is found again."""
    faces = module("host.faces")
    photo = picture("photo", 0.3, (40, 20))

    def told(**arguments: Any) -> Any:
        assert bpy.ops.join.decompose(image="photo", **arguments) == {"FINISHED"}
        return json.loads(layers_of(set_key(photo))["albedo"]["join_settings"]).get("face")

    report: Report = {"nothing": told()}
    # Eyes and mouth in pixels, from above: (10, 5), (20, 6) and (15, 13).
    places = (0.25, 0.75, 0.5, 0.7, 0.375, 0.35)
    assert bpy.ops.join.face_points(image="photo", places=places) == {"FINISHED"}
    report["points"] = told()
    report["of layer"] = faces.of_layer(layers_of(set_key(photo))["albedo"])
    report["part"] = told(crop=(0.25, 0.0, 1.0, 0.8))
    report["half"] = told(shrink=2)
    report["outline"] = [list(corner) for corner in faces.outline(photo)]
    assert bpy.ops.join.face_box(image="photo", places=(0.25, 0.1, 0.75, 0.9)) == {"FINISHED"}
    report["box"] = told()
    report["refused"] = error_of(bpy.ops.join.face_box, image="photo", places=(0.5, 0.5, 0.5, 0.9))
    report["kept"] = told() == report["box"]
    report["no image"] = error_of(bpy.ops.join.face_points, image="nobody", places=places)
    key = set_key(photo)
    bpy.data.images.remove(layers_of(key)["specular"])
    assert bpy.ops.join.set_repair(key=key) == {"FINISHED"}
    report["brought back"] = json.loads(layers_of(key)["albedo"]["join_settings"])["face"] == report["box"]
    assert bpy.ops.join.face_forget(image="photo") == {"FINISHED"}
    report["found again"] = told()
    report["of no face"] = faces.of_layer(layers_of(set_key(photo))["albedo"])

    def suggested() -> str:
        return str(layers_of(set_key(photo))["albedo"].get("join_suggested_bank", ""))

    def buttons(kind: str = "operator") -> list[str]:
        """The words on those of the panel Layers, or on its labels."""
        layout, space = MagicMock(), MagicMock(image=photo)
        context = SimpleNamespace(space_data=space, scene=bpy.context.scene, area=MagicMock())
        module("ui.panels").JOIN_PT_layers.draw(SimpleNamespace(layout=layout), context)
        return [str(call.kwargs.get("text")) for call in layout.mock_calls if call[0].endswith(kind)]

    report["buttons"] = buttons()
    engine_of("suggests")
    told()
    report["suggested"] = [suggested(), "Use Bank faces" in buttons()]
    assert bpy.ops.join.use_bank(bank="faces", image="photo") == {"FINISHED"}
    report["chosen"] = [bpy.context.scene.join_intrinsics.bank, suggested()]

    def by_itself() -> list[Any]:
        """What the panels say of a bank, and what the next request for this set names."""
        layer = layers_of(set_key(photo))["albedo"]
        space = SimpleNamespace(space_data=SimpleNamespace(image=photo), scene=bpy.context.scene)
        labels = [text for text in buttons("label") if text.startswith("Chosen by itself")]
        asked = module("host.relight")._bank(layer), module("ui.decompose").as_made(layer)[2].bank
        return [labels, module("ui.faces").JOIN_PT_face.poll(space), *asked]

    report["named"] = by_itself()
    bpy.context.scene.join_intrinsics.bank = "auto"
    told()
    report["by itself"] = by_itself()
    return report


def _cleaned(layer: Any) -> float:
    return float(json.loads(layer["join_settings"])["cleaned"])


def case_spoiled() -> Report:
    """Properties of layers that somebody else has changed: each to values of other kinds, on all layers, while all that
    looks at them looks, and what is done with a set is tried."""
    sets, report = module("host.sets"), Report()
    photo = picture("photo", 0.3, (40, 24))
    assert bpy.ops.join.decompose(image="photo") == {"FINISHED"}
    key = set_key(photo)
    assert bpy.ops.join.view(image="photo", kind="ERROR") == {"FINISHED"}
    own = [image for image in bpy.data.images if "join_set" in image or image == photo]
    names = {name for image in own for name, _ in image.items() if name.startswith("join_")} | {
        "join_face",
        "join_part",
    }
    panels = [kind for kind in module("ui").CLASSES if issubclass(kind, bpy.types.Panel)]
    values: list[Any] = [5, float("nan"), "{", "[" * 5000, '{"together": 5, "face": [], "unusual": {}}', b"\0\xff"]
    values += [[1.0, 2.0], photo]
    looked = 0
    system = SimpleNamespace(ui_scale=1.0)  # in background mode there is none
    context = MagicMock(
        scene=bpy.context.scene,
        preferences=SimpleNamespace(system=system, addons=bpy.context.preferences.addons),
        region=SimpleNamespace(width=300),
        object=None,
    )
    context.view_layer.objects.active = None

    def look() -> None:
        """At the image and at a view in an editor, by all panels."""
        for image in (photo, bpy.data.images["photo error"]):
            context.space_data = MagicMock(image=image, type="IMAGE_EDITOR")
            for panel in panels:
                if not hasattr(panel, "poll") or panel.poll(context):
                    shown = SimpleNamespace(
                        layout=MagicMock(), show=partial(getattr(panel, "show", None) or print, None)
                    )
                    panel.draw(shown, context)
            sets.part_of(image), module("host.faces").of_layer(image), module("host.faces").outline(image)

    for name in sorted(names):
        for value in values:
            before = {image.name: image.get(name) for image in own}
            for image in own:
                image.pop(name, None)
                image[name] = value
            try:
                look()
                looked += 1
                if value is photo:
                    told = error_of(bpy.ops.join.view, image="photo", kind="RECOMPOSED")
                    assert "Traceback" not in told, told
            except Exception:
                report.setdefault("wrong", []).append(f"{name} = {value!r:.40}: {traceback.format_exc()[-600:]}")
            for image in own:
                image.pop(name, None)
                if before[image.name] is not None:
                    image[name] = before[image.name]
    look()
    return {**report, "names": sorted(names), "looked": looked, "makes": makes(key, photo)}


def case_lost() -> Report:
    """Deleted layers, a deleted input, and the ways out; the real engine, as these need one that relights."""
    sets, images = module("host.sets"), bpy.data.images
    image = picture("photo", 0.5, (40, 24))
    options = {"bank": ARGUMENTS["bank"], "steps": 2, "preset": "STANDARD"}
    assert not decompose(image="photo", **options)
    key = set_key(image)
    report: Report = {}
    before = {name: pixels_of(layer).copy() for name, layer in layers_of(key).items()}
    images.remove(layers_of(key)["specular"])
    report["missing"] = sets.missing_layers(key)
    report["relight"] = error_of(bpy.ops.join.relight, image="photo")
    report["view"] = error_of(bpy.ops.join.view, kind="ERROR", image="photo")
    report["repair"] = error_of(bpy.ops.join.set_repair, key=key)
    report["whole"] = [sets.missing_layers(key), makes(key, image), set_key(image) == key]
    # One whose light was moved comes back from its original.
    assert bpy.ops.join.relight(image="photo") == {"FINISHED"}
    item = bpy.context.scene.join_relights[0]
    originals = {name: pixels_of(layer).copy() for name, layer in layers_of(key).items()}
    item.values["Shading 1"].amount = 2.0
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    lit = pixels_of(layers_of(key)["shading"]).copy()
    images.remove(layers_of(key)["shading"])
    run = sets.run_of(key)
    assert bpy.ops.join.set_repair(key=key) == {"FINISHED"}
    report["from original"] = [
        sets.run_of(key) == run,
        bool(np.array_equal(pixels_of(layers_of(key)["shading"]), originals["shading"])),
    ]
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    report["lit again"] = bool(np.array_equal(pixels_of(layers_of(key)["shading"]), lit))
    item.values["Shading 1"].amount = 0.0
    assert bpy.ops.join.relight_apply() == {"FINISHED"}
    # The albedo, which has no original; and two layers at once.
    for gone in (["albedo"], ["albedo", "shading"]):
        for name in gone:
            images.remove(layers_of(key)[name])
        report["two" if len(gone) > 1 else "albedo"] = [
            sets.missing_layers(key),
            error_of(bpy.ops.join.set_repair, key=key),
            makes(key, image),
        ]
    del before
    # The input is renamed, then deleted, then opened again.
    image.name = "renamed"
    report["renamed"] = [set_key(image) == key, error_of(bpy.ops.join.view, kind="SPLIT", image="renamed")]
    pixels = pixels_of(image).copy()
    albedo = layers_of(key)["albedo"].name
    images.remove(image)
    report["no input"] = {
        "still listed": key in all_keys(),
        "recomposed": error_of(bpy.ops.join.view, kind="RECOMPOSED", image=albedo),
        "error view": error_of(bpy.ops.join.view, kind="ERROR", image=albedo),
        "by its name": error_of(bpy.ops.join.relight, image="renamed"),
    }
    images.remove(layers_of(key)["specular"])
    report["no input"]["repair"] = error_of(bpy.ops.join.set_repair, key=key)
    again = picture("renamed", 0.1, (40, 24))
    again.pixels.foreach_set(pixels[::-1].ravel())
    again.update()
    report["not by name"] = error_of(bpy.ops.join.view, kind="RECOMPOSED", image="renamed")
    small = picture("small", 0.5, (10, 10))
    report["wrong size"] = error_of(bpy.ops.join.set_input, key=key, input=small.name)
    report["a layer"] = error_of(bpy.ops.join.set_input, key=key, input=albedo)
    report["chosen"] = error_of(bpy.ops.join.set_input, key=key, input="renamed")
    report["repaired"] = [error_of(bpy.ops.join.set_repair, key=key), makes(key, again)]
    return report


def case_older() -> Report:
    """A file of before sets had pointers and originals belonged to them: found by name, and taken over."""
    sets = module("host.sets")
    image = picture("photo", 0.4)
    assert not decompose(image="photo")
    key = set_key(image)
    for layer in layers_of(key).values():
        for name in ("join_input", "join_run", "join_content"):
            del layer[name]
    report: Report = {"found": [set_key(image) == key, sets.source_of(key) == image, len(sets.all_sets())]}
    assert not decompose(image="photo", again="UPDATE", seed=3)
    report["updated"] = [layers_of(key)["albedo"]["join_seed"], layers_of(key)["albedo"]["join_input"] == image]
    return report


def case_stereo() -> Report:
    """Renders of two views, of one that is left of them, of three, and of views that have other names."""
    scene = bpy.context.scene
    render = scene.render
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    render.resolution_x, render.resolution_y, render.resolution_percentage = 20, 12, 100
    for thing in list(bpy.data.objects):
        if thing.type != "CAMERA":
            bpy.data.objects.remove(thing)
    tree = scene.world.node_tree
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    tree.links.new(coordinates.outputs["Generated"], tree.nodes["Background"].inputs["Color"])
    read = module("host.images").read_source
    result: list[Any] = []

    def rendered() -> Any:
        bpy.ops.render.render()
        return next(image for image in bpy.data.images if image.type == "RENDER_RESULT")

    def pixels(right: bool = False) -> np.ndarray:
        return read(result[0], right_eye=right).all()[..., :3]

    result.append(rendered())
    plain = pixels()
    render.image_settings.file_format, render.image_settings.exr_codec = "OPEN_EXR", "DWAA"
    before = [render.image_settings.file_format, render.image_settings.exr_codec, render.image_settings.views_format]
    report: Report = {"lossy": float(np.abs(pixels() - plain).max())}
    render.use_multiview = True
    scene.camera.data.stereo.interocular_distance = 2.0
    scene.camera.data.stereo.convergence_distance = 0.5
    result[0] = rendered()
    left, right = pixels(), pixels(True)
    np.save(FOLDER / "left.npy", left)
    report |= {
        "sizes": [list(plain.shape), list(left.shape), list(right.shape)],
        "differ": float(np.abs(left - right).max()),
        "kept": before
        == [render.image_settings.file_format, render.image_settings.exr_codec, render.image_settings.views_format],
    }
    for one, other, wanted in (("left", "right", left), ("right", "left", right)):
        render.views[one].use, render.views[other].use = True, False
        result[0] = rendered()
        report[f"{one} alone"] = float(np.abs(pixels() - wanted).max())
    render.views["left"].use = True
    result[0] = rendered()
    render.use_multiview = False
    report["switched off after it"] = float(np.abs(pixels() - left).max())
    render.use_multiview = True
    render.image_settings.views_format = "STEREO_3D"
    render.image_settings.stereo_3d_format.display_mode = "ANAGLYPH"
    report["anaglyph"] = float(np.abs(pixels(True) - right).max())
    report["anaglyph kept"] = render.image_settings.stereo_3d_format.display_mode
    report["decomposed"] = decompose(image=result[0].name)
    key = set_key(result[0])
    report["layers"] = [list(layer.size) for layer in layers_of(key).values()]
    report["compared"] = error_of(bpy.ops.join.view, kind="ERROR", image=layers_of(key)["albedo"].name)
    report["cropped"] = list(read(result[0], None, (0.5, 0.0, 1.0, 0.5), 1, True).all().shape)
    render.views_format = "MULTIVIEW"
    for view, name in zip(render.views, ("port", "starboard"), strict=False):
        view.name = name
        camera = scene.camera.copy()
        camera.name = f"Rig{view.camera_suffix}"
        scene.collection.objects.link(camera)
    scene.camera = bpy.data.objects["Rig_L"]
    result[0] = rendered()
    report["other names"] = min(float(np.abs(pixels() - one).max()) for one in (plain, left, right))
    return report


def case_nodes() -> Report:
    """*Add to Compositor*: what the scene renders stays, a Viewer shows the picture, shared trees are kept."""
    versions, scene = module("host.versions"), bpy.context.scene
    picture("photo", 0.4)
    assert not decompose(image="photo")

    def renders(of: Any) -> list[Any]:
        tree = versions.compositor_tree(of)
        output = versions.compositor_output(tree) if tree is not None else None
        source = output.inputs[0].links[0].from_node.bl_idname if output is not None and output.inputs[0].links else ""
        return [source, of.render.resolution_x]

    report: Report = {"before": renders(scene)}
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    tree = versions.compositor_tree(scene)
    report["added"] = renders(scene)
    viewers = [node for node in tree.nodes if node.bl_idname == "CompositorNodeViewer"]
    report["viewer"] = [viewer.inputs[0].links[0].from_node.bl_idname for viewer in viewers]
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    report["twice"] = sum(node.bl_idname == "CompositorNodeViewer" for node in tree.nodes)
    assert bpy.ops.join.add_nodes(image="photo", render=True) == {"FINISHED"}
    report["asked for"] = renders(scene)
    report["own output"] = []
    # A tree without an output, and one whose user shows something else in a Viewer.
    bare = bpy.data.scenes.new("bare")
    bpy.context.window.scene = bare
    bare_tree = versions.create_compositor_tree(bare)
    bare_tree.nodes.remove(versions.compositor_output(bare_tree))
    own = bare_tree.nodes.new("CompositorNodeViewer")
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    report["bare"] = [renders(bare), own.inputs[0].is_linked, sum("Viewer" in n.bl_idname for n in bare_tree.nodes)]
    assert bpy.ops.join.add_nodes(image="photo", render=True) == {"FINISHED"}
    report["bare asked for"] = renders(bare)
    if versions.COMPOSITOR_IS_GROUP:
        report |= _shared_trees(scene, renders)
    return report


def _shared_trees(scene: Any, renders: Callable[[Any], list[Any]]) -> Report:
    """From 5.0 on: a tree of two scenes, and one that is linked from another file."""
    versions = module("host.versions")
    one, two = bpy.data.scenes.new("one"), bpy.data.scenes.new("two")
    shared = versions.create_compositor_tree(one)
    two.compositing_node_group = shared
    bpy.context.window.scene = one
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    report: Report = {"shared": [one.compositing_node_group == shared, renders(two)]}
    assert bpy.ops.join.add_nodes(image="photo", render=True) == {"FINISHED"}
    report["shared asked for"] = [renders(one), renders(two), two.compositing_node_group == shared]
    path = str(FOLDER / "nodes.blend")
    bpy.data.libraries.write(path, {shared}, fake_user=True)
    name = shared.name
    three = bpy.data.scenes.new("three")
    with bpy.data.libraries.load(path, link=True) as (_, here):
        here.node_groups = [name]
    three.compositing_node_group = here.node_groups[0]
    count = len(here.node_groups[0].nodes)
    bpy.context.window.scene = three
    assert bpy.ops.join.add_nodes(image="photo") == {"FINISHED"}
    report["linked"] = [three.compositing_node_group.library is None, len(here.node_groups[0].nodes) == count]
    return report


if __name__ == "__main__":
    run_cases({key.removeprefix("case_"): value for key, value in globals().items() if key.startswith("case_")})
