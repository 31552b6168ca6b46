# SPDX-License-Identifier: GPL-3.0-or-later
"""Learned directions of the light, or of materials, on their way from the training to a bank, in a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from ..bank import DirectionsHeader, DirectionVectors
from ..errors import JoinError
from ..images.files import write_atomically
from ..untrusted import read_json
from .regression import Reading

_KEY = "join_directions"


@dataclass(frozen=True)
class Learned:
    """Directions of a bank's light, or of its materials.

    Attributes:
        header: what a bank says about them.
        vectors: by component.
        reading: of the attributes, in standard deviations, off the codes of all these components side by side; None of
            materials, which nothing reads.
    """

    header: DirectionsHeader
    vectors: Mapping[str, DirectionVectors]
    reading: Reading | None = None

    def read(self, codes: Mapping[str, Tensor]) -> Tensor:
        """Codes by component, [N, L, w_dim] each → attributes [N, K] in standard deviations. Raises JoinError
        ``directions_broken`` for directions that no light is read with."""
        if self.reading is None:
            raise JoinError("directions_broken", "These directions are not of the light.", "Learn such ones.")
        return self.reading(torch.cat([codes[name].flatten(1) for name in self.vectors], dim=1))


def write_directions(path: Path, learned: Learned) -> None:
    """Write the file that ``make-bank --directions`` or ``--materials`` reads. Raises JoinError
    ``output_unwritable``."""
    tensors = {f"{name}.vectors": part.vectors.contiguous() for name, part in learned.vectors.items()}
    told: dict[str, Any] = {"header": learned.header.to_dict()}
    if (reading := learned.reading) is not None:
        tensors |= {"weights": reading.weights.contiguous(), "offsets": reading.offsets, "r2": reading.r2}
        told["penalty"] = reading.penalty
    text = json.dumps(told, ensure_ascii=False)
    data = safetensors_bytes(tensors, metadata={_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_directions(path: Path) -> Learned:
    """Inverse of :func:`write_directions`. Raises JoinError ``directions_broken``."""
    try:
        with safe_open(path, framework="pt") as file:
            values = read_json((file.metadata() or {})[_KEY])
            header = DirectionsHeader.from_dict(values["header"])
            vectors = {}
            for name, layers in header.layers.items():
                found = file.get_tensor(f"{name}.vectors")
                vectors[name] = DirectionVectors(len(header.attributes), layers, found.shape[-1])
                vectors[name].load_state_dict({"vectors": found})
            if "penalty" not in values:
                return Learned(header, vectors)
            parts = [file.get_tensor(name) for name in ("weights", "offsets", "r2")]
        return Learned(header, vectors, Reading(parts[0], parts[1], float(values["penalty"]), parts[2]))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        message = f"'{path}' is no file of directions: {error}."
        raise JoinError("directions_broken", message, "Learn them with learn-directions.") from error
