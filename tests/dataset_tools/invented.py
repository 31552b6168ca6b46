# SPDX-License-Identifier: GPL-3.0-or-later
"""Invented passes and the EXRs that Blender would have written of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

SEED = 5
RESOLUTION = 16

# Channel names of the passes before and since Blender 5.0.
OLD_NAMES = {
    "combined": "Combined",
    "diffuse_direct": "DiffDir",
    "diffuse_indirect": "DiffInd",
    "diffuse_color": "DiffCol",
    "glossy_direct": "GlossDir",
    "glossy_indirect": "GlossInd",
    "glossy_color": "GlossCol",
    "transmission_direct": "TransDir",
    "transmission_indirect": "TransInd",
    "transmission_color": "TransCol",
    "emission": "Emit",
    "environment": "Env",
}
NEW_NAMES = {name: name.replace("_", " ").title() for name in OLD_NAMES}


def invented_passes(index: int, size: int = RESOLUTION) -> dict[str, np.ndarray]:
    """Passes that add up to their combined image, all representable as half floats or nearly so."""
    rng = np.random.default_rng(index)
    made = {name: np.zeros((size, size, 3), np.float32) for name in OLD_NAMES}
    for name in ("diffuse_direct", "diffuse_indirect", "diffuse_color", "glossy_direct", "glossy_indirect"):
        made[name] = rng.uniform(0.05, 0.9, (size, size, 3)).astype(np.float16).astype(np.float32)
    made["glossy_color"] += 0.5
    diffuse = made["diffuse_color"] * (made["diffuse_direct"] + made["diffuse_indirect"])
    made["combined"] = diffuse + 0.5 * (made["glossy_direct"] + made["glossy_indirect"])
    return made


def exr_bytes(made: dict[str, np.ndarray], names: dict[str, str], folder: Path) -> bytes:
    """The passes as one multilayer half-float EXR with channels such as 'ViewLayer.DiffCol.R'."""
    openexr = pytest.importorskip("OpenEXR")
    channels = {
        f"ViewLayer.{names[name]}.{letter}": np.ascontiguousarray(image[..., n], np.float16)
        for name, image in made.items()
        for n, letter in enumerate("RGB")
    }
    path = folder / "sample.exr"
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, channels) as file:
        file.write(str(path))
    return path.read_bytes()
