# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a set of layers, as datablocks: the layer itself is what is relit, so that everything that uses it
follows; its original is kept in a hidden image beside it, at which it points.

A relit layer carries ``join_relit``, the values that its pixels show (JSON). An undo or a reload takes pixels and
values back together, so it can always be trusted.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine import filled
from ..engine.exr import encode_exr
from ..engine.failure import Failure
from ..engine.protocol import Message, Pasting
from ..engine.relight import Edits, StoredDecomposition
from . import images
from .sets import (
    BRIGHT,
    COMPONENT,
    DECOMPOSITION,
    KEPT,
    MIXED,
    ORIGINAL,
    RELIT,
    SET,
    all_images,
    decomposition_of,
    image_in,
    is_finished,
    key_of,
    label_of,
    layers_of,
    missing_layers,
    refuse_linked,
    run_of,
)

_ALBEDO = "albedo"


def can_relight(set_id: str | None) -> bool:
    """Whether a set is done and knows its codes."""
    return is_finished(set_id) and all(decomposition_of(image) for image in layers_of(set_id).values())


def stored_decomposition(set_id: str) -> StoredDecomposition:
    """What the engine needs to relight a set.

    Raises:
        Failure: ``relight_impossible``, ``layers_linked``, ``layers_missing``.
    """
    refuse_linked(set_id)
    refuse_incomplete(set_id)
    layers = layers_of(set_id)
    if not can_relight(set_id):
        raise Failure(
            "relight_impossible",
            "These layers do not know how they were made.",
            "Decompose the image again: then they keep it in the file.",
        )
    kept = originals(set_id)
    if any(shown_edits(set_id, [name]) != () and name not in kept for name in layers):
        raise Failure("relight_impossible", "The original light of these layers is gone.", "Decompose the image again.")
    first = next(iter(layers.values()))
    files = {name: layer_bytes(kept.get(name, image)) for name, image in layers.items()}
    return StoredDecomposition(decomposition_of(first), files, _bank(first))


def bring_to_hand(set_id: str) -> bool:
    """Take at most one of the layers out of Blender that :func:`stored_decomposition` needs and that are not at hand;
    whether there was one. Not of a set that is too large to be kept."""
    layers = {**layers_of(set_id), **originals(set_id)}.values()
    sizes = [image.packed_file.size for image in layers if image.packed_file is not None]
    far = next((image for image in layers if not images.is_at_hand(image)), None)
    return far is not None and sum(sizes) <= filled.room() and images.packed_exr(far) is not None


# --- mixing with another set ---


def mix_request(key: str, other: str) -> tuple[dict[str, bytes], Message]:
    """Files and request for codes of the set ``key`` with a way to those of ``other``.

    Raises:
        Failure: ``mix_impossible``, and as :func:`.relight.stored_decomposition`.
    """
    if key == other:
        words = "A material cannot be mixed with itself."
        raise Failure("mix_impossible", words, "Choose another decomposed image.")
    refuse_linked(key)
    banks = {str(_first(each).get("join_bank_sha256", "")) for each in (key, other)}
    if len(banks) != 1:
        words = f"'{label_of(key)}' and '{label_of(other)}' were made with other banks."
        raise Failure("mix_impossible", words, "Decompose both with the same bank.")
    files = {"mine.join": stored_decomposition(key).decomposition, "other.join": _codes_of(other)}
    return files, {
        "type": "mix",
        "decomposition": "{folder}/mine.join",
        "other": "{folder}/other.join",
        "output": "{folder}/mixed.join",
    }


def keep_other(key: str, codes: bytes, other: str) -> None:
    """The set's layers hold these codes from now on, with the way to ``other``'s."""
    for layer in layers_of(key).values():
        images.set_properties(layer, {DECOMPOSITION: codes, MIXED: f"{other} {run_of(other)}"})


def mixed_with(key: str | None) -> str:
    """What the set is called that this one can be mixed with; empty where there is none, or none any more."""
    found = str(_first(key).get(MIXED, "")) if layers_of(key) else ""
    other = found.rpartition(" ")[0]
    return label_of(other) if other and layers_of(other) else other[:6]


def _first(key: str | None) -> Any:
    return next(iter(layers_of(key).values()))


def _codes_of(key: str) -> bytes:
    found = decomposition_of(_first(key)) if layers_of(key) else b""
    if not found:
        words = "The other layers do not know how they were made."
        raise Failure("mix_impossible", words, "Decompose that image again.")
    return found


# --- pasting another material ---


def pasting(key: str, other: str, scale: float, feather: float) -> Pasting:
    """What the engine needs to lay the albedo of the set ``other``, as it is now, into the set ``key``.

    Raises:
        Failure: ``paste_impossible``, and as :func:`stored_decomposition`.
    """
    if key == other:
        words = "A material cannot be pasted into itself."
        raise Failure("paste_impossible", words, "Choose another decomposed image.")
    patch = layers_of(other).get(_ALBEDO)
    if patch is None:
        raise Failure("paste_impossible", "The other material has no albedo.", "Decompose that image again.")
    stored = stored_decomposition(key)
    files = {f"{name}.exr": data for name, data in stored.layers.items()}
    files |= {"mine.join": stored.decomposition, "patch.exr": layer_bytes(patch)}
    return Pasting(files, stored.bank, scale, feather)


# --- the layers ---


def refuse_incomplete(set_id: str) -> None:
    """Raise Failure ``layers_missing`` for a set that has lost a layer."""
    if gone := missing_layers(set_id):
        words = f"The layer {gone[0]} is" if len(gone) == 1 else f"The layers {' and '.join(gone)} are"
        raise Failure("layers_missing", f"{words} gone from this set.", "Press Bring Back in the list of sets.")


def originals(set_id: str) -> dict[str, Any]:
    """The hidden originals of a set, by component."""
    pointed = {name: image_in(layer, KEPT) for name, layer in layers_of(set_id).items()}
    found = {name: image for name, image in pointed.items() if image is not None}
    for image in all_images():  # where the layer is gone, or the file older than the pointers
        if image.get(ORIGINAL) and key_of(image) == set_id:
            found.setdefault(str(image[ORIGINAL]), image)
    return found


def keep_original(set_id: str, component: str) -> bool:
    """See that a set has the hidden original of a component; whether it had to be made."""
    _remove_orphans()
    layer = layers_of(set_id).get(component)
    if layer is None or component in originals(set_id):
        return False
    hidden = images.new_layer(f".{layer.name[:50]} original")
    properties = {SET: layer[SET], ORIGINAL: component, **({BRIGHT: layer[BRIGHT]} if BRIGHT in layer else {})}
    packed, alpha = images.packed_exr(layer), layer.alpha_mode == "CHANNEL_PACKED"
    mark = str(layer.get(images.CONTENT, "")) if packed is not None else ""  # views of the original light stay right
    images.fill_layer(hidden, packed or layer_bytes(layer), alpha, properties, mark, is_read_again=True)
    layer[KEPT] = hidden
    return True


def forget_originals(set_id: str) -> None:
    """The set has got new pixels: those of before are no originals any more."""
    for layer in layers_of(set_id).values():
        layer.pop(KEPT, None)
    for image in [i for i in all_images() if i.get(ORIGINAL) and key_of(i) == set_id]:
        bpy.data.images.remove(image)


def bring_back(set_id: str) -> list[str]:
    """Make layers that were deleted anew, of their hidden originals; those for which there is none."""
    kept, layers = originals(set_id), layers_of(set_id)
    pattern = next(iter(layers.values()))
    for component in [name for name in missing_layers(set_id) if name in kept]:
        name = pattern.name.replace(f" {pattern[COMPONENT]}", f" {component}")
        layer: Any = images.new_layer(name)
        own = {key: pattern[key] for key in pattern.keys() if key not in (RELIT, KEPT, BRIGHT)}  # noqa: SIM118, no mapping
        properties = {key: bytes(value) if key == DECOMPOSITION else value for key, value in own.items()}
        hidden = kept[component]
        properties |= {BRIGHT: hidden[BRIGHT]} if BRIGHT in hidden else {}
        alpha = hidden.alpha_mode == "CHANNEL_PACKED"
        images.fill_layer(layer, layer_bytes(hidden), alpha, properties, is_read_again=True)
        layer[COMPONENT], layer[KEPT], layer.use_fake_user = component, hidden, True
    return missing_layers(set_id)


def _remove_orphans() -> None:
    """Originals whose layers were deleted: nobody would ever see them again."""
    alive = {image.get(SET) for image in bpy.data.images if image.get(COMPONENT)}
    for image in [image for image in bpy.data.images if image.get(ORIGINAL) and image.get(SET) not in alive]:
        if image.library is None:
            bpy.data.images.remove(image)


def shown_edits(set_id: str, components: Iterable[str]) -> Edits | None:
    """The values that the set's pixels show; None where its layers do not agree."""
    layers = layers_of(set_id)
    told = {name: str(layers[name].get(RELIT, "[]")) for name in components if name in layers}
    found = {text for name, text in told.items() if name != _ALBEDO} or set(told.values())
    if len(found) != 1:
        return None
    try:
        edits = tuple((str(c), str(d), float(a)) for c, d, a in json.loads(found.pop()))
    except (ValueError, TypeError):
        return None
    return edits if told.get(_ALBEDO, _told(_ALBEDO, edits)) == _told(_ALBEDO, edits) else None


def _told(component: str, edits: Edits) -> str:
    """What a layer that shows ``edits`` carries: all of them, the albedo its own, as no light changes it."""
    return json.dumps([edit for edit in edits if component != _ALBEDO or edit[0] == _ALBEDO])


def next_to_write(set_id: str, components: Iterable[str], edits: Edits) -> str | None:
    """The first of these components whose layer shows something else than ``edits``."""
    layers = layers_of(set_id)
    known = (name for name in components if name in layers)
    return next((name for name in known if layers[name].get(RELIT, "[]") != _told(name, edits)), None)


def write_layer(set_id: str, component: str, data: bytes, edits: Edits) -> None:
    """Let one of the set's layers show ``edits``."""
    image = layers_of(set_id)[component]
    alpha, properties = image.alpha_mode == "CHANNEL_PACKED", {RELIT: _told(component, edits)}
    images.fill_layer(image, data, alpha, properties, is_read_again=True)


def layer_bytes(image: bpy.types.Image) -> bytes:
    """A layer as an EXR of 32-bit floats; what was painted on it since is in it.

    Raises:
        Failure: ``image_empty``.
    """
    if (data := images.packed_exr(image)) is not None:
        return data
    pixels = layer_pixels(image)
    return encode_exr(pixels[..., :3], pixels[..., 3] if image.alpha_mode == "CHANNEL_PACKED" else None)


def layer_pixels(image: bpy.types.Image) -> np.ndarray:
    """``[H, W, 4]`` float32, top row first.

    Raises:
        Failure: ``image_empty``.
    """
    width, height = image.size
    stored: Any = image.pixels
    if len(stored) != width * height * 4 or width * height == 0:
        raise Failure("image_empty", f"The pixels of the layer '{image.name}' cannot be read.", "Decompose it again.")
    flat = np.empty(len(stored), dtype=np.float32)
    stored.foreach_get(flat)
    return flat.reshape(height, width, 4)[::-1]


def sent(layers: Mapping[str, bpy.types.Image], with_alpha: bool) -> tuple[dict[str, bytes], Message]:
    """Layers as the files that the engine needs of them, and what a request says of these, see :meth:`.Job.with_files`.

    Raises:
        Failure: ``image_empty``.
    """
    files = {f"{name}.exr": layer_bytes(image) for name, image in layers.items()}
    told: Message = {"layers": {name: f"{{folder}}/{name}.exr" for name in layers}}
    first = next(iter(layers.values()))
    if with_alpha and first.alpha_mode == "CHANNEL_PACKED":
        stream = io.BytesIO()
        np.save(stream, np.ascontiguousarray(layer_pixels(first)[..., 3]))
        files["alpha.npy"] = stream.getvalue()
        told["alpha"] = "{folder}/alpha.npy"
    return files, told


def _bank(layer: bpy.types.Image) -> str | None:
    """The bank as it was named; where its file has moved, the one that the scene's settings name now. The engine checks
    that it is the same."""
    bank = str(layer.get("join_bank_path", ""))
    if bank.endswith(".safetensors") and not Path(bank).is_file():
        settings: Any = getattr(bpy.context.scene, "join_intrinsics", None)
        bank = bpy.path.abspath(settings.bank) if settings is not None and settings.names_bank else bank
    return bank or None
