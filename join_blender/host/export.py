# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers on their way out of Blender: as they are now, with the light and the strokes that they have got since."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np

from ..engine.failure import Failure
from ..engine.protocol import Message
from ..engine.relight import edits_json
from .layers import PREVIEW, layers_of
from .relight import layer_bytes, layer_pixels, material, shown_edits

FORMATS = ("EXR16", "EXR32", "PNG8", "PNG16", "JOIN")
SUFFIXES = {"EXR16": ".exr", "EXR32": ".exr", "PNG8": ".png", "PNG16": ".png", "JOIN": ".join"}
_ORDER = ("albedo", "shading", "specular")


def export_request(set_id: str, path: Path, how: str) -> tuple[dict[str, bytes], Message]:
    """The files that the engine needs for writing a set to ``path``, and the request; see :class:`Errand`.

    Raises:
        Failure: ``layers_missing``.
    """
    layers = layers_of(set_id)
    if not layers or any(image.get(PREVIEW) for image in layers.values()):
        raise Failure("layers_missing", "These layers are not finished.", "Wait until they are, or decompose again.")
    if how == "JOIN":
        return _decomposition_request(set_id, path)
    names = sorted(layers, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))
    files = {f"{name}.exr": layer_bytes(layers[name]) for name in names}
    request: Message = {
        "type": "export",
        "format": how[:3].lower(),
        "depth": int(how[3:]),
        "layers": {name: f"{{folder}}/{name}.exr" for name in names},
        "output": str(path),
    }
    first: bpy.types.Image = layers[names[0]]
    if first.alpha_mode == "CHANNEL_PACKED":
        files["alpha.npy"] = _npy(np.ascontiguousarray(layer_pixels(first)[..., 3]))
        request["alpha"] = "{folder}/alpha.npy"
    return files, request


def _decomposition_request(set_id: str, path: Path) -> tuple[dict[str, bytes], Message]:
    """The codes with the original layers, and the values of the light that the layers show."""
    held = material(set_id)
    edits = shown_edits(set_id, [name for name in held.layers if name != "albedo"]) or ()
    files = {"compact.join": held.decomposition, **{f"{name}.exr": data for name, data in held.layers.items()}}
    request: Message = {
        "type": "store",
        "decomposition": "{folder}/compact.join",
        "layers": {name: f"{{folder}}/{name}.exr" for name in held.layers},
        "edits": edits_json(edits),
        "output": str(path),
    }
    if held.bank is not None:
        request["bank"] = held.bank
    return files, request


def _npy(array: np.ndarray) -> bytes:
    from io import BytesIO

    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()
