# SPDX-License-Identifier: GPL-3.0-or-later
"""A decomposition's layers as files for other programs."""

from __future__ import annotations

from pathlib import Path

from .decomposition import Decomposition
from .images import display_encode, write_exr, write_png


def write_layers(folder: Path, decomposition: Decomposition) -> dict[str, Path]:
    """Write every layer as EXR (linear) and PNG (for looking at), and ``recomposed.png``; returns the files by name.

    Each file is written under a temporary name first. Raises JoinError ``output_unwritable``.
    """
    files = {}
    for name, pixels in decomposition.layers.items():
        files[f"{name}.exr"] = folder / f"{name}.exr"
        files[f"{name}.png"] = folder / f"{name}.png"
        write_exr(files[f"{name}.exr"], pixels)
        write_png(files[f"{name}.png"], display_encode(name, pixels))
    files["recomposed.png"] = folder / "recomposed.png"
    write_png(files["recomposed.png"], display_encode("image", decomposition.recomposed))
    return files
