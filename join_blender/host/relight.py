# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a set of layers, as datablocks: the layer itself is what is relit, so that everything that uses it
follows; its original is kept in a hidden image beside it.

A relit layer carries ``join_relit``, the values that its pixels show (JSON). An undo or a reload takes pixels and
values back together, so it can always be trusted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..engine.exr import encode_exr
from ..engine.failure import Failure
from ..engine.relight import Edits, StoredDecomposition
from . import images
from .layers import COMPONENT, PREVIEW, RELIT, SET, layers_of

ORIGINAL = "join_original"
"""On a hidden image: the component of whose layer it is the original."""
DECOMPOSITION = "join_decomposition"


def can_relight(set_id: str | None) -> bool:
    """Whether a set is whole and knows its codes."""
    layers = layers_of(set_id) if set_id else {}
    return bool(layers) and all(image.get(DECOMPOSITION) and not image.get(PREVIEW) for image in layers.values())


def stored_decomposition(set_id: str) -> StoredDecomposition:
    """What the engine needs to relight a set.

    Raises:
        Failure: ``relight_impossible``.
    """
    layers = layers_of(set_id)
    if not can_relight(set_id):
        raise Failure(
            "relight_impossible",
            "These layers do not know how they were made.",
            "Decompose the image again: then they keep it in the file.",
        )
    kept = originals(set_id)
    first = next(iter(layers.values()))
    return StoredDecomposition(
        bytes(first[DECOMPOSITION]),
        {name: layer_bytes(kept.get(name, image)) for name, image in layers.items()},
        _alpha(first),
        _bank(first),
    )


def originals(set_id: str) -> dict[str, bpy.types.Image]:
    """The hidden originals of a set, by component."""
    return {image[ORIGINAL]: image for image in bpy.data.images if image.get(SET) == set_id and image.get(ORIGINAL)}


def keep_original(set_id: str, component: str) -> bool:
    """See that a set has the hidden original of a component; whether it had to be made."""
    _remove_orphans()
    layer = layers_of(set_id).get(component)
    if layer is None or component in originals(set_id):
        return False
    hidden = images.new_layer(f".{layer.name[:50]} original")
    properties = {SET: set_id, ORIGINAL: component}
    images.fill_layer(hidden, layer_bytes(layer), layer.alpha_mode == "CHANNEL_PACKED", properties)
    return True


def _remove_orphans() -> None:
    """Originals whose layers were deleted, or belong to another run now: nobody would ever see them again."""
    alive = {image.get(SET) for image in bpy.data.images if image.get(COMPONENT)}
    for image in [image for image in bpy.data.images if image.get(ORIGINAL) and image.get(SET) not in alive]:
        bpy.data.images.remove(image)


def shown_edits(set_id: str, components: Iterable[str]) -> Edits | None:
    """The values that the set's pixels show; None where its layers do not agree."""
    layers = layers_of(set_id)
    found = {str(layers[name].get(RELIT, "[]")) for name in components if name in layers}
    if len(found) != 1:
        return None
    try:
        return tuple((str(c), str(d), float(a)) for c, d, a in json.loads(found.pop()))
    except (ValueError, TypeError):
        return None


def next_to_write(set_id: str, components: Iterable[str], edits: Edits) -> str | None:
    """The first of these components whose layer shows something else than ``edits``; the albedo never shows any."""
    layers: dict[str, Any] = dict(layers_of(set_id))
    wanted = json.dumps(edits)
    behind = (name for name in components if name in layers and layers[name].get(RELIT, "[]") != wanted)
    return next((name for name in behind if name != "albedo"), None)


def write_layer(set_id: str, component: str, data: bytes, edits: Edits) -> None:
    """Let one of the set's layers show ``edits``."""
    image = layers_of(set_id)[component]
    images.fill_layer(image, data, image.alpha_mode == "CHANNEL_PACKED", {RELIT: json.dumps(edits)})


def layer_bytes(image: bpy.types.Image) -> bytes:
    """A layer as an EXR of 32-bit floats; what was painted on it since is in it.

    Raises:
        Failure: ``image_empty``.
    """
    packed: Any = image.packed_file
    if packed is not None and not image.is_dirty:
        data = bytes(packed.data)  # Blender copies it each time that it is asked
        if data[:4] == b"\x76\x2f\x31\x01":
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


def label_of(set_id: str) -> str:
    """What the set is called: its image's name, with the number that tells its layers from those of other runs."""
    layers = layers_of(set_id)
    image = layers.get("shading") or next(iter(layers.values()), None)
    return image.name.replace(f" {image[COMPONENT]}", "") if image is not None else ""


def _bank(layer: bpy.types.Image) -> str | None:
    """The bank as it was named; where its file has moved, the one that the scene's settings name now. The engine checks
    that it is the same."""
    bank = str(layer.get("join_bank_path", ""))
    if bank.endswith(".safetensors") and not Path(bank).is_file():
        settings: Any = getattr(bpy.context.scene, "join_intrinsics", None)
        bank = bpy.path.abspath(settings.bank) if settings is not None and settings.bank else bank
    return bank or None


def _alpha(layer: bpy.types.Image) -> np.ndarray | None:
    return np.ascontiguousarray(layer_pixels(layer)[..., 3]) if layer.alpha_mode == "CHANNEL_PACKED" else None
