# SPDX-License-Identifier: GPL-3.0-or-later
"""Training checkpoints without pickle: tensors in a safetensors file, everything else as JSON in its header."""

from __future__ import annotations

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

CHECKPOINT_NAME = "checkpoint.safetensors"
FORMAT_VERSION = 1
_STATE_KEY = "join_checkpoint"


def checkpoint_path(run: str | os.PathLike[str]) -> Path:
    """The checkpoint of a run, given its folder or the file itself."""
    path = Path(run)
    return path / CHECKPOINT_NAME if is_folder(path) else path


def write_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and JSON values: complete under ``path``, or not at all."""
    text = json.dumps({"format_version": FORMAT_VERSION, **state}, allow_nan=False)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors_bytes(stored, metadata={_STATE_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and JSON values of :func:`write_checkpoint`.

    Raises:
        JoinError: ``checkpoint_missing`` or ``checkpoint_broken``.
    """
    if not is_file(path):
        raise JoinError("checkpoint_missing", f"There is no checkpoint '{path}'.", "Train first, or check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})[_STATE_KEY])
            if state["format_version"] != FORMAT_VERSION:
                raise ValueError(f"it has format {state['format_version']}")
            return {name: file.get_tensor(name) for name in file.keys()}, state  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        message = f"The checkpoint '{path}' cannot be read: {error}."
        raise JoinError("checkpoint_broken", message, "Remove it to begin anew.") from error
