# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs that training and evaluation read without bpy and OpenEXR: one tar, ``pack.json`` first, then the samples.

A training pack holds 8-bit tone-mapped PNGs, ``{index:08d}.albedo.png``; a float pack holds float32 linear arrays,
``{index:08d}.albedo.npy`` ([R, R, 3]). Both are made from the finished shards, also while rendering goes on.
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import components, packages, passes, shards
from dataset_tools.errors import UserError
from dataset_tools.progress import progress
from dataset_tools.specs.seeds import SPLITS
from join_engine.color import DEFAULT_TRANSFORMS

# Of a dataset that no bank was trained on, every split is held out.
ALL_SPLITS = "all"


@dataclass(frozen=True)
class Export:
    """What to pack: split or ALL_SPLITS, components, their resolution, tone-mapped or float, how many at most."""

    resolution: int
    components: tuple[str, ...]
    split: str
    floats: bool = False
    limit: int | None = None


def export(folder: Path, wanted: Export, out: Path) -> int:
    """Write a pack of samples; returns their number. Raises UserError when there are none."""
    _check(wanted)
    header = shards.read_header(folder)
    chosen = [entry for entry in shards.entries(folder) if wanted.split in (ALL_SPLITS, entry["split"])][: wanted.limit]
    if not chosen:
        raise UserError(f"{folder} has no finished '{wanted.split}' samples yet: wait for more shards or render more.")
    with shards.atomic(out) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        shards.add_member(archive, "pack.json", shards.json_bytes(_pack(header, wanted, len(chosen))))
        with progress(len(chosen), "export") as advance:
            for index, layers, _ in components.load(folder, chosen, wanted.components, wanted.resolution):
                for name in wanted.components:
                    ending, data = _encode(name, layers[name], wanted.floats)
                    shards.add_member(archive, f"{index:08d}.{name}.{ending}", data)
                advance()
    return len(chosen)


def _check(wanted: Export) -> None:
    unknown = set(wanted.components) - set(passes.COMPONENTS)
    if unknown:
        raise UserError(f"There is no component '{unknown.pop()}'; choose among: {', '.join(passes.COMPONENTS)}.")
    known = (*SPLITS, ALL_SPLITS)
    if wanted.split not in known:
        raise UserError(f"There is no split '{wanted.split}'; choose one of: {', '.join(known)}.")


def _pack(header: dict[str, Any], wanted: Export, count: int) -> dict[str, Any]:
    """What a reader has to know; ``transform`` names the tone map of ``join_engine.color``, None for linear floats."""
    transforms = {
        name: {"transform": None if wanted.floats else DEFAULT_TRANSFORMS[name]} for name in wanted.components
    }
    return {
        "resolution": wanted.resolution,
        "components": transforms,
        "split": wanted.split,
        "count": count,
        "dataset": header["dataset"],
        "seed": header["seed"],
    }


def _encode(name: str, linear: np.ndarray, floats: bool) -> tuple[str, bytes]:
    """File ending and contents of one component."""
    stream = io.BytesIO()
    if floats:
        np.save(stream, linear.astype(np.float32), allow_pickle=False)
        return "npy", stream.getvalue()
    packages.load_pillow().fromarray(components.tone_mapped(name, linear)).save(stream, "PNG")
    return "png", stream.getvalue()
