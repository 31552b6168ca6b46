# SPDX-License-Identifier: GPL-3.0-or-later
"""Invented passes and the EXRs that Blender would have written of them."""

from __future__ import annotations

import numpy as np

from dataset_tools.storage import passes
from join_engine import exr_codec

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


def stored_exr(made: dict[str, np.ndarray]) -> bytes:
    """The passes as this tool stores them, with their mask."""
    return passes.encode({**made, passes.MASK: passes.validity(made)})


def blender_exr(made: dict[str, np.ndarray], names: dict[str, str]) -> bytes:
    """The passes as Blender writes them for us: float32 channels such as 'ViewLayer.DiffCol.R'."""
    return exr_codec.write_channels(
        {
            f"ViewLayer.{names[name]}.{letter}": image[..., n]
            for name, image in made.items()
            for n, letter in enumerate("RGB")
        }
    )
