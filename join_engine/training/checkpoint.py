# SPDX-License-Identifier: GPL-3.0-or-later
"""Training checkpoints without pickle: tensors in a safetensors file, everything else as JSON in its header.

The header has a hash of all of it, so that a file that a disk has spoiled is not trained on. Files of before have none.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from ..errors import JoinError
from ..images.files import write_atomically
from ..names import is_file, is_folder
from ..untrusted import read_json

CHECKPOINT_NAME = "checkpoint.safetensors"
FORMAT_VERSION = 1
_STATE_KEY = "join_checkpoint"
_HASH_KEY = "sha256"


def checkpoint_path(run: str | os.PathLike[str]) -> Path:
    """The checkpoint of a run, given its folder or the file itself."""
    path = Path(run)
    return path / CHECKPOINT_NAME if is_folder(path) else path


def write_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and JSON values: complete under ``path``, or not at all."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    values = {"format_version": FORMAT_VERSION, **state}
    text = json.dumps({**values, _HASH_KEY: _hash(stored, values)}, allow_nan=False)
    data = safetensors_bytes(stored, metadata={_STATE_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and JSON values of :func:`write_checkpoint`. Raises JoinError ``checkpoint_missing`` or
    ``checkpoint_broken`` (also where a single bit is not as it was written)."""
    if not is_file(path):
        raise JoinError("checkpoint_missing", f"There is no checkpoint '{path}'.", "Train first, or check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            state = read_json((file.metadata() or {})[_STATE_KEY])
            if state["format_version"] != FORMAT_VERSION:
                raise ValueError(f"it has format {state['format_version']}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        expected = state.pop(_HASH_KEY, None)
        if expected is not None and expected != _hash(tensors, state):
            raise ValueError("it is not as it was written (its hash differs)")
        return tensors, state
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        reason = f"it has no '{error.args[0]}'" if isinstance(error, KeyError) else error
        message = f"The checkpoint '{path}' cannot be read: {reason}."
        raise JoinError("checkpoint_broken", message, "Remove it to begin anew.") from error


def _hash(tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, and over the values beside them."""
    total = hashlib.sha256(json.dumps(state, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
