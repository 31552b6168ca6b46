# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a public StyleGAN2 checkpoint, whichever of the two formats it has."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import JoinError
from ..names import is_file
from ..networks.stylegan2 import Discriminator, Generator
from . import nvlabs, rosinality
from .published import build_networks
from .unpickle import OLD_TORCH, ZIP, RefusedPickleError, load_inert


@dataclass(frozen=True)
class PublicCheckpoint:
    """What a file held.

    Attributes:
        format: "rosinality" or "nvlabs".
        generator: float32, with its mean code, in evaluation mode.
        discriminator: likewise, or None.
    """

    format: str
    generator: Generator
    discriminator: Discriminator | None


def read_public_checkpoint(path: str | os.PathLike[str]) -> PublicCheckpoint:
    """Read a ``.pt`` of rosinality's or a ``.pkl`` of NVlabs' StyleGAN2; nothing in it is executed. Raises JoinError
    ``checkpoint_missing``, ``checkpoint_broken`` (damaged, or of another network), or ``checkpoint_unsafe`` when it
    asks for more than tensors."""
    path = Path(path)
    if not is_file(path):
        raise JoinError("checkpoint_missing", f"There is no checkpoint '{path}'.", "Check the path.")
    try:
        data = path.read_bytes()
        values = load_inert(data)
        if not isinstance(values, Mapping):
            raise ValueError("it is not a collection of networks")
        if data.startswith((ZIP, OLD_TORCH)):
            kind, parts = "rosinality", rosinality.networks_from(values)
        else:
            kind, parts = "nvlabs", nvlabs.networks_from(values)
        return PublicCheckpoint(kind, *build_networks(*parts))
    except RefusedPickleError as error:
        message = f"The checkpoint '{path}' was refused: {_first_sentence(error)}. Nothing in it was executed."
        raise JoinError("checkpoint_unsafe", message, "Use a file from its first source.") from error
    except (OSError, ValueError, RuntimeError, EOFError, TypeError, IndexError, KeyError) as error:
        message = f"The checkpoint '{path}' cannot be imported: {_first_sentence(error)}."
        hint = "Give a .pt of rosinality's stylegan2-pytorch or a .pkl of stylegan2-ada-pytorch."
        raise JoinError("checkpoint_broken", message, hint) from error


def _first_sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0].rstrip(". ")
