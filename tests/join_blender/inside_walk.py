# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, as ``inside.py`` does: a random walk through what a user may do to sets of layers, with the real
engine. After every step the sliders, the layers' pixels, the small picture and the views must say the same, and an undo
or a redo must bring back exactly the state that it is about."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from inside import ARGUMENTS, Report, decompose, module, pixels_of, run_cases

AMOUNTS = (-2.0, -1.0, 0.0, 0.5, 2.0)
"""Few, so that the walk comes to the same light again and again."""
KEPT = 24
"""States that an undo may go back to; Blender keeps more."""


class Walk:
    """The walk, and what is known of the states behind and before it."""

    def __init__(self, folder: Path, rng: random.Random) -> None:
        self.folder, self.rng = folder, rng
        self.layers: dict[Any, np.ndarray] = {}
        """By run, component and light: the pixels that were seen with them the first time."""
        self.pictures: dict[Any, bytes] = {}
        self.history: list[Any] = []
        self.at = -1
        self.done: dict[str, int] = {}
        self.names = 0

    # --- what there is ------------------------------------------------------------------------------------------------

    @property
    def sets(self) -> Any:
        return module("host.sets")

    def items(self) -> dict[str, Any]:
        scene = bpy.context.scene
        found = {key: module("host.relight_values").find(scene, key) for key in self.sets.all_sets()}
        return {key: item for key, item in found.items() if item is not None and item.values}

    def seen(self) -> Any:
        """What a user sees, as plain data."""
        items = self.items()
        state = {}
        for key in sorted(self.sets.all_sets()):
            item = items.get(key)
            amounts = [round(value.amount, 4) for value in item.values] if item is not None else None
            names = {name: layer.name for name, layer in self.sets.layers_of(key).items()}
            original = item.show_original if item is not None else None
            state[key] = (self.sets.label_of(key), self.sets.run_of(key), amounts, original, sorted(names.items()))
        return state, sorted(image.name for image in bpy.data.images if "join_chosen" in image)

    def a_set(self) -> str:
        return self.rng.choice(sorted(self.sets.all_sets()))

    # --- steps --------------------------------------------------------------------------------------------------------

    def slider(self) -> None:
        """Half of the time as when a value is typed: Blender takes the step of undo before the layers follow."""
        items = self.items()
        if not items:
            return self.new()
        key = self.rng.choice(sorted(items))
        value = self.rng.choice(list(items[key].values)[:3])
        value.amount = self.rng.choice(AMOUNTS)
        if self.rng.random() < 0.5:
            self.push("Amount")
        assert bpy.ops.join.relight_apply() == {"FINISHED"}
        return None

    def original(self) -> None:
        items = self.items()
        if items:
            item = items[self.rng.choice(sorted(items))]
            item.show_original = not item.show_original
            assert bpy.ops.join.relight_apply() == {"FINISHED"}

    def random_light(self) -> None:
        if items := self.items():
            key = self.rng.choice(sorted(items))
            layer = self.sets.layers_of(key)["shading"].name
            assert bpy.ops.join.relight_random(image=layer, seed=self.rng.randrange(3)) == {"FINISHED"}
            assert bpy.ops.join.relight_apply() == {"FINISHED"}

    def new(self) -> None:
        self._decompose("NEW")

    def update(self) -> None:
        self._decompose("UPDATE")

    def _decompose(self, again: str) -> None:
        if again == "NEW" and len(self.sets.all_sets()) >= 3:
            return self.remove()
        source = next(image for image in bpy.data.images if image.get("of_the_walk"))
        options = {"bank": ARGUMENTS["bank"], "steps": 1, "preset": "STANDARD", "seed": self.rng.randrange(4)}
        error = decompose(image=source.name, again=again, **options)
        assert not error, error
        key = self.sets.set_of(next(image for image in bpy.data.images if image.get("of_the_walk")))
        assert bpy.ops.join.relight(image=self.sets.layers_of(key)["albedo"].name) == {"FINISHED"}
        return None

    def remove(self) -> None:
        if len(self.sets.all_sets()) > 1:
            assert bpy.ops.join.set_remove(key=self.a_set()) == {"FINISHED"}

    def switch(self) -> None:
        assert bpy.ops.join.set_show(key=self.a_set()) == {"FINISHED"}

    def rename(self) -> None:
        self.names += 1
        what = self.rng.choice(("set", "source", "layer"))
        if what == "set":
            assert bpy.ops.join.set_rename(key=self.a_set(), name=f"set {self.names % 5}") == {"FINISHED"}
        elif what == "source":
            next(image for image in bpy.data.images if image.get("of_the_walk")).name = f"photo {self.names % 3}"
        else:
            self.rng.choice(list(self.sets.layers_of(self.a_set()).values())).name = f"mine {self.names}"

    def delete_layer(self) -> None:
        key = self.a_set()
        component = self.rng.choice(sorted(self.sets.layers_of(key)))
        bpy.data.images.remove(self.sets.layers_of(key)[component])
        self.push("Delete")
        assert self.sets.missing_layers(key) == [component]
        run = self.sets.run_of(key)
        assert bpy.ops.join.set_repair(key=key) == {"FINISHED"}
        if self.sets.run_of(key) != run:  # decomposed anew, by an engine that need not give the same to the bit
            assert bpy.ops.join.relight(image=self.sets.layers_of(key)["albedo"].name) == {"FINISHED"}
        assert bpy.ops.join.relight_apply() == {"FINISHED"}

    def recomposed(self) -> None:
        self.view("RECOMPOSED", kept=1.0)

    def view(self, kind: str = "", kept: float = 0.7) -> None:
        image = self.sets.layers_of(self.a_set())["albedo"]
        kind = kind or self.rng.choice(("RECOMPOSED", "ERROR", "SPLIT"))
        assert bpy.ops.join.view(kind=kind, image=image.name, gain=2.0) == {"FINISHED"}
        made = next(image for image in bpy.data.images if image.get("join_view") == kind.lower())
        if self.rng.random() < kept:
            made.use_fake_user = True  # as where an editor shows it: then it has to follow

    def save(self) -> None:
        """And open it again; the history begins anew."""
        seen = self.seen()
        path = str(self.folder / "walk.blend")
        bpy.ops.wm.save_as_mainfile(filepath=path)
        bpy.ops.wm.open_mainfile(filepath=path)
        assert self.seen() == seen, "the file is not what was saved"
        self.history, self.at = [], -1

    def undo(self) -> None:
        for _ in range(self.rng.randint(1, 3)):
            if self.at > 0:
                assert bpy.ops.ed.undo() == {"FINISHED"}
                self.at -= 1
                self.compare_with_history()
                self.check()

    def redo(self) -> None:
        for _ in range(self.rng.randint(1, 3)):
            if self.at < len(self.history) - 1:
                assert bpy.ops.ed.redo() == {"FINISHED"}
                self.at += 1
                self.compare_with_history()
                self.check()

    # --- what must hold -----------------------------------------------------------------------------------------------

    def push(self, message: str) -> None:
        bpy.ops.ed.undo_push(message=message)
        del self.history[self.at + 1 :]
        self.history.append(self.seen())
        if len(self.history) > KEPT:
            del self.history[0]
        self.at = len(self.history) - 1

    def compare_with_history(self) -> None:
        now, then = self.seen(), self.history[self.at]
        assert now == then, f"not the state of then:\n{now}\n{then}"

    def check(self) -> None:
        """Sliders, layers, small picture and views say the same."""
        host, values, updates = module("host.relight"), module("host.relight_values"), module("ui.relight_updates")
        items = self.items()
        for key in self.sets.all_sets():
            layers, item = self.sets.layers_of(key), items.get(key)
            wanted = values.edits_of(item) if item is not None else ()
            components = values.components_of(item) if item is not None else list(layers)
            if not self.sets.missing_layers(key):
                assert host.shown_edits(key, components) == wanted, f"{key}: not what the sliders say: {wanted}"
            for component, layer in layers.items():
                light = wanted if component in components else ()
                book = (self.sets.run_of(key), component, light)
                pixels = pixels_of(layer).copy()
                known = self.layers.setdefault(book, pixels)
                assert np.array_equal(pixels, known), f"{book}: the pixels differ by {np.abs(pixels - known).max()}"
            if item is not None and key in updates.lights and not self.sets.missing_layers(key):
                assert updates._pictured.get(key, wanted) == wanted, f"{key}: the small picture is of another light"
                picture = updates._previews.get(f"{key} recomposed")
                if picture is not None and key in updates._pictured:
                    data = bytes(np.array(picture.image_pixels_float[:], np.float32))
                    assert self.pictures.setdefault((self.sets.run_of(key), wanted), data) == data
        for image in [image for image in bpy.data.images if "join_view" in image]:
            self.check_view(image)
        assert not [image.name for image in bpy.data.images if "join_preview" in image]

    def check_view(self, view: Any) -> None:
        key, kind = view["join_set"], view["join_view"]
        layers = self.sets.layers_of(key)
        if kind == "error":
            layers = {**layers, **module("host.relight").originals(key)}
        p = {name: pixels_of(layer)[..., :3] for name, layer in layers.items()}
        made = p["albedo"] * p["shading"] + p["specular"]
        source = pixels_of(next(image for image in bpy.data.images if image.get("of_the_walk")))[..., :3]
        if kind == "error":
            made = np.abs(source - made) * 2.0
        elif kind == "split":
            middle = made.shape[1] // 2
            made = np.concatenate([source[:, :middle], made[:, middle:]], axis=1)
        off = np.abs(pixels_of(view)[..., :3] - made).max()
        assert off < 1e-5, f"the view {kind} is {off} off"


def case_random_walk() -> Report:
    """``steps`` steps, drawn with ``seed``."""
    rng = random.Random(ARGUMENTS["seed"])
    bpy.context.preferences.edit.undo_steps = 64
    walk = Walk(Path(ARGUMENTS["folder"]), rng)
    for thing in list(bpy.data.objects):
        bpy.data.objects.remove(thing)
    source = bpy.data.images.new("photo 0", 24, 16, float_buffer=True)
    source["of_the_walk"] = True
    source.use_fake_user = True
    source.colorspace_settings.name = "Linear Rec.709"
    flat = np.random.default_rng(0).random(24 * 16 * 4, dtype=np.float32) * 0.8 + 0.1
    flat[3::4] = 1.0
    source.pixels.foreach_set(flat)
    source.update()
    source.pack()
    walk.new()
    walk.push("Begin")
    steps: list[tuple[Callable[[], None], int]] = [
        *((walk.slider, 8), (walk.undo, 7), (walk.redo, 4), (walk.view, 3), (walk.random_light, 1), (walk.original, 2)),
        *(
            (walk.update, 1),
            (walk.new, 1),
            (walk.remove, 1),
            (walk.switch, 1),
            (walk.rename, 2),
            (walk.delete_layer, 1),
        ),
        (walk.save, 1),
    ]
    moves, weights = [move for move, _ in steps], [weight for _, weight in steps]
    trail: list[str] = []
    must = [walk.slider, walk.recomposed, walk.slider, walk.undo, walk.undo, walk.redo]
    for number in range(ARGUMENTS["steps"]):
        move = must[number] if number < len(must) else rng.choices(moves, weights)[0]
        trail.append(move.__name__)
        try:
            move()
            if move not in (walk.undo, walk.redo):
                walk.push(move.__name__)
            walk.check()
        except AssertionError as error:
            raise AssertionError(f"step {number}, after {trail[-12:]}: {error}") from error
        walk.done[move.__name__] = walk.done.get(move.__name__, 0) + 1
    lights = {light for _, component, light in walk.layers if component == "shading" and light}
    return {"steps": sum(walk.done.values()), "done": walk.done, "lights": len(lights)}


if __name__ == "__main__":
    run_cases({key.removeprefix("case_"): value for key, value in globals().items() if key.startswith("case_")})
