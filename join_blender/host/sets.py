# SPDX-License-Identifier: GPL-3.0-or-later
"""Which images belong together: sets of layers, what they were made of, and what can be done with a set as a whole.

A set is known by an id that its layers carry, never by a name: people rename things, and two images may be called the
same. A layer points at the image that it was made of, which Blender itself keeps right through renaming, undo and
linking. Nothing here holds a datablock between two calls: an undo may have replaced it meanwhile.

A set's *key*, by which everything else names it, is its id; for layers that are linked from another file, with that
file's path behind it, as this file may hold a copy of the same set.

Every finished layer carries:

- ``join_set``, ``join_component``; ``join_input``, a pointer at the image, and ``join_source``, what that was called;
  ``join_run``, which run of the engine its pixels are of: *Update Last* changes it and keeps the set's id;
- ``join_label``, where the user has named the set; ``join_time``;
- ``join_part``, left, top, right, bottom of the part that was taken, in pixels, where it was not all; ``join_frame``,
  the number of the file in an image sequence; ``join_exr_layer``, of a multilayer file;
- ``join_bank``, ``join_bank_sha256``, ``join_bank_path``, ``join_preset``, ``join_seed``, ``join_settings`` and
  ``join_metrics`` (JSON);
- ``join_suggested_bank``, the name of one that the engine takes for the better one;
- ``join_together``, the same on the sets of photos that were decomposed together;
- ``join_bright``, how bright the layer is in the light of the photo (see :func:`bright_of`);
- ``join_formula``: how the layers make the image, see :mod:`join_blender.engine.vocabulary` (JSON);
- ``join_decomposition``: bytes of a ``.join`` file with the codes and small layers, for relighting;
- ``join_mixed``, with which set it can be mixed, see :mod:`.relight`;
- ``join_relit``, ``join_kept``: see :mod:`.relight`.

An image that is made of another and of no set (a tile, a photo in other colours) carries ``join_input`` alone.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import bpy
import numpy as np

from ..engine.failure import Failure
from ..engine.pixels import Source
from ..engine.vocabulary import Formula, in_order, read_formula
from . import editors, images

SET, COMPONENT, SOURCE, INPUT = "join_set", "join_component", "join_source", "join_input"
RUN, LABEL, TIME, FORMULA = "join_run", "join_label", "join_time", "join_formula"
TOGETHER, BRIGHT = "join_together", "join_bright"
SUGGESTED = "join_suggested_bank"
PREVIEW = "join_preview"
"""On the layers of a job that is not done yet, small ones and full ones: no file is saved with them."""
RELIT = "join_relit"
"""On a layer whose light was moved: the values that its pixels show, see :mod:`.relight`."""
KEPT, ORIGINAL = "join_kept", "join_original"
"""On such a layer, a pointer at the hidden image with its original pixels; on that, the component."""
DECOMPOSITION = "join_decomposition"
MIXED = "join_mixed"
"""On a layer that can be mixed with another set's: that set's key and run."""
VIEW = "join_view"
"""On images that are made of a set and no part of it: the error view, the split view."""
MAP = "join_map"
"""On images that a material needs beside the layers: which map it is."""
_CHOSEN = "join_chosen"
"""On an image that was decomposed: the id of the set that the user has switched to."""
_OFFERED = 12
"""A user of a layer more is not named, only counted."""


def all_images() -> list[Any]:
    """Every image of the file, as something that may carry custom properties."""
    return list(bpy.data.images)


def key_of(image: Any) -> str | None:
    """The key of the set to which an image belongs, as a layer, a view or a hidden original."""
    if image is None or SET not in image:
        return None
    return str(image[SET]) if image.library is None else f"{image[SET]}@{image.library.filepath}"


def layers_of(key: str | None) -> dict[str, Any]:
    """The layers of one set, by component; those of a job that is not done yet included. Of copies that somebody has
    made of a layer, the first by name is it."""
    return _images_of(key, COMPONENT)


def maps_of(key: str | None) -> dict[str, Any]:
    """The maps that were made of a set for a material, by their kinds."""
    return _images_of(key, MAP)


def _images_of(key: str | None, mark: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for image in all_images():
        if mark in image and key_of(image) == key and key is not None:
            found.setdefault(str(image[mark]), image)
    return found


def formula_of(key: str) -> Formula:
    """How the layers of a set that are there make the image."""
    layers = layers_of(key)
    return read_formula(_told_formula(layers), layers)


def missing_layers(key: str) -> list[str]:
    """The components that the set once had, and whose layers are gone."""
    layers = layers_of(key)
    told = _told_formula(layers)
    names = {factor for term in told if isinstance(term, list) for factor in term if isinstance(factor, str)}
    return in_order(names - set(layers))


def _told_formula(layers: Mapping[str, Any]) -> list[Any]:
    told = (_stored(image, FORMULA) for image in layers.values())
    return next((formula for formula in told if isinstance(formula, list)), [])


def _stored(layer: Any, name: str) -> Any:
    """A property that holds JSON; None where it is missing, or somebody has changed it."""
    try:
        return json.loads(str(layer.get(name)))
    except (ValueError, RecursionError):
        return None


def number(value: Any) -> float:
    """A property that is a number; 0 where somebody has changed it."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def chosen_bank(layer: Any) -> str:
    """The bank that the engine has chosen by the picture; empty where somebody named it."""
    return str(mapping(settings_of(layer).get("bank_choice")).get("chosen", ""))


def choose_bank(scene: Any, name: str) -> None:
    """What stands under *Bank* from now on."""
    scene.join_intrinsics.bank = name


def metrics_of(layer: Any) -> Mapping[str, Any]:
    """What the engine has said of the picture: "unusual", where it is unlike what its bank knows; "caution", a simple
    method's share in its light, in [0, 1]; "albedo_error" and others, where it tells how sure it is of each pixel."""
    return mapping(_stored(layer, "join_metrics"))


def decomposition_of(layer: Any) -> bytes:
    """The codes that a layer keeps, as the bytes of a ``.join`` file; none where it has none."""
    found = layer.get(DECOMPOSITION)
    return found if isinstance(found, bytes) else b""


def settings_of(layer: Any) -> Mapping[str, Any]:
    """With which settings a layer was made."""
    return mapping(_stored(layer, "join_settings"))


def is_finished(key: str | None) -> bool:
    """Whether a set has layers, and none of them belongs to a job that is not done yet."""
    return _are_finished(layers_of(key))


def _are_finished(layers: Mapping[str, Any]) -> bool:
    return bool(layers) and not any(image.get(PREVIEW) for image in layers.values())


def run_of(key: str | None) -> str:
    """Which run of the engine the set's pixels are of; empty where it has none."""
    layers = layers_of(key)
    return next((str(image.get(RUN, image[SET])) for image in layers.values()), "")


def keep_paint() -> None:
    """Pack the layers that were painted on, before a file is saved: Blender would forget the strokes."""
    for image in all_images():
        if COMPONENT in image and image.library is None and image.is_dirty:
            image.pack()


def codes_of(key: str | None) -> str:
    """Which codes the set's layers hold: changes with its run, and with the set that it can be mixed with."""
    mixed = next((str(image.get(MIXED, "")) for image in layers_of(key).values()), "")
    return f"{run_of(key)} {mixed}"


# --- what a set was made of ---------------------------------------------------------------------------------------


def input_of_layer(image: Any) -> Any:
    """What a layer or a view was made of; None where that is gone, and for any other image."""
    if SET not in image:
        return None
    if INPUT in image:
        return image_in(image, INPUT)
    if RUN in image or PREVIEW in image:
        return None
    # A file of before layers pointed at it: then by name, but never across files.
    named = [other for other in all_images() if other.name == image.get(SOURCE) and other.library == image.library]
    return named[0] if named else None


def made_of(image: Any) -> Any:
    """What an image of ours was made of, be it of a set or not; None where that is gone, and for any other image."""
    return input_of_layer(image) if SET in image else image_in(image, INPUT)


def image_in(image: Any, name: str) -> Any:
    """The image at which a property points; None where it points at none."""
    found = image.get(name)
    return found if isinstance(found, bpy.types.Image) else None


def source_of(key: str | None) -> Any:
    """The image that a set was made of; None where that is gone."""
    return _source_in(layers_of(key))


def _source_in(layers: Mapping[str, Any]) -> Any:
    found = (input_of_layer(image) for image in layers.values())
    return next((image for image in found if image is not None), None)


def part_of(image: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of the part that a layer, or a view of a set, is of the image that it was made of, in
    fractions of that; the whole for any other image. A layer of a photo that was moved onto others lies beside it."""
    source = input_of_layer(image)
    layer = next(iter(layers_of(key_of(image)).values()), image) if VIEW in image else image
    is_whole = "join_part" not in layer and not any(moved_by(layer))  # of an image whose size need not be known for it
    width, height = images.size_of(source) if source is not None and not is_whole else (0, 0)
    if not width or not height:
        return 0.0, 0.0, 1.0, 1.0
    left, top, right, bottom = _taken(layer, width, height)
    pixel = (right - left) / max(images.layer_size(layer)[0], 1)  # of the layer, in those of the image
    down, across = (pixel * moved for moved in moved_by(layer))
    left, top, right, bottom = left - across, top - down, right - across, bottom - down
    return left / width, 1.0 - bottom / height, right / width, 1.0 - top / height


def _taken(layer: Any, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, in pixels, of what a layer is of an image of that size."""
    try:
        left, top, right, bottom = map(number, layer.get("join_part", (0, 0, width, height)))
    except (TypeError, ValueError):
        return 0, 0, width, height
    return left, top, right, bottom


def source_name(key: str | None) -> str:
    """What it is called, or was when it was decomposed."""
    return _source_name_in(layers_of(key))


def _source_name_in(layers: Mapping[str, Any]) -> str:
    source = _source_in(layers)
    return source.name if source is not None else next((str(i.get(SOURCE, "")) for i in layers.values()), "")


def sets_of_source(image: Any) -> list[str]:
    """The finished sets that were made of an image, the latest first."""
    made: dict[str, float] = {}
    for layer in all_images():
        if COMPONENT in layer and SET in layer and PREVIEW not in layer and input_of_layer(layer) == image:
            made[str(key_of(layer))] = number(layer.get(TIME))
    return sorted(made, key=lambda key: -made[key])


def all_sets() -> list[str]:
    """The finished sets of the file, by their sources' names, the latest first. One look at the images for them all:
    a panel asks whenever it is drawn."""
    by_key: dict[str, dict[str, Any]] = {}
    for layer in all_images():
        if COMPONENT in layer and SET in layer:
            by_key.setdefault(str(key_of(layer)), {}).setdefault(str(layer[COMPONENT]), layer)
    found: dict[str, tuple[str, float]] = {}
    for key, layers in by_key.items():
        if _are_finished(layers):
            first = next(iter(layers.values()))
            found[key] = (_source_name_in(layers).casefold(), -number(first.get(TIME)))
    return sorted(found, key=lambda key: found[key])


def latest_set(image: Any) -> str | None:
    """The set of an image that the user has switched to, or else the one that was last made of it."""
    made = sets_of_source(image)
    chosen = next((key for key in made if image is not None and key.split("@")[0] == image.get(_CHOSEN)), None)
    return chosen or next(iter(made), None)


def set_of(image: Any) -> str | None:
    """The key of the set that an image belongs to: as a layer, as a view of it, or as what it was made of."""
    if image is None:
        return None
    return key_of(image) or latest_set(image)


def input_of(image: Any) -> Any:
    """What to decompose while that image is shown: of a layer, or of a view of it, what it was made of.

    Raises:
        Failure: ``input_missing``, where that is gone.
    """
    if SET not in image:
        return image
    source = input_of_layer(image) or source_of(key_of(image))
    if source is None:
        raise no_input(image.get(SOURCE, ""))
    return source


def read_input(image: Any, layer: Any, into: np.ndarray | None = None) -> Source:
    """The pixels that were taken of an image for a layer, once more; see :func:`.images.read_source`."""
    source = images.read_source(image, layer.get("join_frame"), layer=str(layer.get("join_exr_layer", "")), into=into)
    left, top, right, bottom = map(int, layer.get("join_part", (0, 0, source.width, source.height)))
    shrink = max((right - left) // max(images.layer_size(layer)[0], 1), 1)
    return replace(source, box=(left, top, right, bottom), shrink=shrink)


def no_input(name: str) -> Failure:
    """For what cannot be done without the image that the layers were made of."""
    return Failure(
        "input_missing",
        f"The image '{name}', of which these layers were made, is gone from this file.",
        "Open it, and name it under Sets > Choose Input.",
    )


def choose_input(key: str, image: Any) -> None:
    """Let a set know the image that it was made of, which was lost.

    Raises:
        Failure: ``layers_linked``; ``image_changed`` for an image of another shape; ``input_missing`` for one that is
            itself part of a set.
    """
    refuse_linked(key)
    if SET in image:
        raise Failure("input_missing", f"'{image.name}' is a layer itself.", "Choose the photo or the render.")
    for layer in layers_of(key).values():
        width, height = images.size_of(image)
        left, top, right, bottom = _taken(layer, width, height)
        columns, rows = images.layer_size(layer)
        if right > width or bottom > height or (right - left) * rows != (bottom - top) * columns:
            raise Failure("image_changed", f"'{image.name}' is not as large as these layers.", "Choose another.")
    for layer in all_images():
        if key_of(layer) == key:
            layer[INPUT], layer[SOURCE] = image, image.name


# --- the set as a whole -------------------------------------------------------------------------------------------


def label_of(key: str | None) -> str:
    """What the set is called: as the user has named it; else its image's name, with the number that tells its layers
    from those of other runs."""
    layers = layers_of(key)
    image = layers.get("shading") or next(iter(layers.values()), None)
    if image is None:
        return ""
    return str(image.get(LABEL) or _without(image.name, image[COMPONENT]))


def told_of(key: str) -> str:
    """How the set was made, in a few words, so that two sets of one picture can be told apart."""
    layer: Any = next(iter(layers_of(key).values()), None)
    if layer is None:
        return ""
    words = [str(layer.get("join_preset", "")).capitalize(), str(layer.get("join_bank", ""))]
    if seed := int(number(layer.get("join_seed"))):
        words.append(f"seed {seed}")
    if TOGETHER in layer:
        words.append("together")
    if settings_of(layer).get("cleaned"):
        words.append("cleaned up")
    if settings_of(layer).get("pasted"):
        words.append("pasted")
    if layer.library is not None:
        words.append("linked")
    return ", ".join(word for word in words if word)


def together_with(key: str | None) -> list[str]:
    """The sets of the photos that were decomposed together with a set's, itself included, in the order in which they
    were named; none for a set of one photo alone."""
    group = next((image[TOGETHER] for image in layers_of(key).values() if TOGETHER in image), None)
    if group is None:
        return []
    return sorted(
        {str(key_of(image)) for image in all_images() if image.get(TOGETHER) == group and PREVIEW not in image}
    )


def moved_by(layer: Any) -> tuple[float, float]:
    """By how many pixels, down and to the right, the photo of a layer was moved onto others; 0 and 0 for one alone."""
    told = mapping(settings_of(layer).get("together"))
    return number(told.get("down")), number(told.get("right"))


def bright_of(layer: Any) -> float:
    """What one pixel in a hundred of a layer exceeds, in the light of the photo; of photos that were decomposed
    together, of the brightest, so that they can be compared. 0 where nobody has noted it."""
    group, component = layer.get(TOGETHER), layer.get(COMPONENT)
    alike = all_images() if group is not None else []
    together = [image for image in alike if image.get(TOGETHER) == group and image.get(COMPONENT) == component]
    return max(number(image.get(BRIGHT)) for image in (layer, *together))


def choose(key: str) -> None:
    """Let a set be the one that is meant where its image is shown."""
    source = source_of(key)
    if source is not None and source.library is None:
        source[_CHOSEN] = key.split("@")[0]


def rename(key: str, label: str) -> None:
    """Name a set; its layers and maps are called after it, but for those that the user has named otherwise.

    Raises:
        Failure: ``layers_linked``, ``label_empty``.
    """
    refuse_linked(key)
    label = " ".join(label.split())
    if not label:
        raise Failure("label_empty", "A set needs a name.", "Type one.")
    known = {label_of(key), images.stem_of(source_name(key))}
    for component, layer in {**layers_of(key), **maps_of(key)}.items():
        if re.sub(r"\.\d{3}$", "", _without(layer.name, component)) in {
            re.sub(r"\.\d{3}$", "", name) for name in known
        }:
            layer.name = images.layer_name(label, component)
        layer[LABEL] = label


def _without(name: str, component: str) -> str:
    """``photo albedo.001`` → ``photo.001``."""
    return name.replace(f" {component}", "")


def users_of(key: str) -> list[str]:
    """What uses the layers of a set beside the set itself and nodes that were made for it: materials and the like."""
    own = set(layers_of(key).values())
    found = set()
    for users in bpy.data.user_map(subset=own).values():
        for user in users - own:
            if not isinstance(user, bpy.types.Image | bpy.types.Screen | bpy.types.WindowManager):
                found.add(f"{user.id_type.replace('_', ' ').title()} '{user.name}'")
    return sorted(found)[:_OFFERED]


def remove(key: str) -> None:
    """Take a set out of the file: its layers, their originals, its views and maps; editors go back to the input.

    Raises:
        Failure: ``layers_linked``.
    """
    refuse_linked(key)
    source = source_of(key)
    remove_images([image for image in all_images() if key_of(image) == key], source)


def remove_images(doomed: Iterable[Any], instead: Any = None) -> None:
    """Remove images; editors that show one of them show another image instead."""
    for image in list(doomed):
        if instead is not None:
            editors.show_instead(image, instead)
        bpy.data.images.remove(image)


def refuse_linked(key: str | None) -> None:
    """Raise Failure ``layers_linked`` for a set that is linked from another file: nothing written there lasts."""
    library = next((image.library for image in layers_of(key).values() if image.library is not None), None)
    if library is not None:
        raise Failure(
            "layers_linked",
            f"These layers are linked from '{bpy.path.basename(library.filepath)}', and a change would be lost.",
            "Press Make Local in the list of sets first.",
        )


def make_local(key: str) -> str:
    """Copy a linked set into this file; its key from now on. A set of the same id that this file has already stays."""
    own = [image for image in all_images() if key_of(image) == key]
    if all(image.library is None for image in own):
        return key
    set_id = key.split("@")[0]
    if layers_of(set_id):
        set_id = uuid.uuid4().hex
    for image in own:
        kept = image.get(KEPT)
        local = image.make_local()
        local[SET], local.use_fake_user = set_id, PREVIEW not in local
        if kept is not None and kept.library is not None:
            copy = kept.make_local()
            copy[SET], local[KEPT] = set_id, copy
    return set_id


def remove_strays(alive: Iterable[str]) -> None:
    """Remove layers of jobs that are not done and not at work either, which an undo or a saved file has brought back.
    ``alive``: the ids of the jobs that are at work."""
    working = set(alive)
    strays = [
        image
        for image in all_images()
        if PREVIEW in image and image.library is None and str(image.get(RUN, image[SET])) not in working
    ]
    for image in strays:
        remove_images([image], input_of_layer(image))


def mapping(value: Any) -> Mapping[str, Any]:
    """Itself where it is one, else an empty one."""
    return value if isinstance(value, dict) else {}
