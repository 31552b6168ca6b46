# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers on their way out of Blender: as they are now, with the light and the strokes that they have got since."""

from __future__ import annotations

from pathlib import Path

from ..engine.failure import Failure
from ..engine.protocol import Message
from ..engine.relight import edits_json
from ..engine.vocabulary import in_order
from .relight import sent, shown_edits, stored_decomposition
from .sets import formula_of, is_finished, layers_of

SUFFIXES = {"EXR16": ".exr", "EXR32": ".exr", "PNG8": ".png", "PNG16": ".png", "JOIN": ".join"}


def export_request(set_id: str, path: Path, how: str) -> tuple[dict[str, bytes], Message]:
    """The files that the engine needs for writing a set to ``path``, and the request; see :meth:`.Job.with_files`.

    Raises:
        Failure: ``layers_missing``.
    """
    layers = layers_of(set_id)
    if not is_finished(set_id):
        raise Failure("layers_missing", "These layers are not finished.", "Wait until they are, or decompose again.")
    if how == "JOIN":
        return _decomposition_request(set_id, path)
    files, told = sent({name: layers[name] for name in in_order(layers)}, with_alpha=True)
    wanted = {"format": how[:3].lower(), "depth": int(how[3:]), "formula": formula_of(set_id)}
    return files, {"type": "export", "output": str(path), **wanted, **told}


def _decomposition_request(set_id: str, path: Path) -> tuple[dict[str, bytes], Message]:
    """The codes with the original layers, and the values of the light that the layers show."""
    stored = stored_decomposition(set_id)
    edits = shown_edits(set_id, [name for name in stored.layers if name != "albedo"]) or ()
    files = {"compact.join": stored.decomposition, **{f"{name}.exr": data for name, data in stored.layers.items()}}
    request: Message = {
        "type": "store",
        "decomposition": "{folder}/compact.join",
        "layers": {name: f"{{folder}}/{name}.exr" for name in stored.layers},
        "edits": edits_json(edits),
        "output": str(path),
    }
    if stored.bank is not None:
        request["bank"] = stored.bank
    return files, request
