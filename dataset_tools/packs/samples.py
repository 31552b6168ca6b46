# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample as files that a person looks at: the image, its true layers, and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import packages
from dataset_tools.errors import UserError
from dataset_tools.storage import layers, shards
from join_engine import exr_codec
from join_engine.color import srgb_encode


def write_sample(folder: Path, index: int, resolution: int, out: Path) -> str:
    """Write image.png, the layers (.exr linear float32, .png tone-mapped) and sample.json; returns the split.

    The image is that of the averaged layers, in 8 bits: albedo × shading + specular (Eq. 6), but for Primeshapes
    albedo × shading, without the glossy layers (Eq. 5, section 8.1).
    """
    entry = next((e for e in shards.entries(folder) if e["index"] == index), None)
    if entry is None:
        raise UserError(f"{folder} has no finished sample {index}: render it, or choose another --index.")
    names: tuple[str, ...] = ("albedo", "shading")
    if shards.read_header(folder)["dataset"] != "primeshapes":
        names += ("specular",)
    _, found, stored = next(layers.load(folder, [entry], names, resolution))
    for name in names:
        _write_exr(out / f"{name}.exr", found[name])
        _write_png(out / f"{name}.png", layers.tone_mapped(name, found[name]))
    _write_png(out / "image.png", layers.to_bytes(srgb_encode(layers.compose(found, names))))
    formula = "albedo * shading + specular" if "specular" in names else "albedo * shading"
    stored["split"] = entry["split"]
    stored["written_as"] = {
        "resolution": resolution,
        "commands": [
            _render_command(stored),
            f"render.py sample DIR --index {index} --resolution {resolution} --out HERE",
        ],
        "image.png": f"8-bit sRGB({formula}) of the averaged layers",
        "*.exr": "float32 scene-linear Rec.709, area average of the render",
        "*.png": "8-bit, albedo by the sRGB curve, the others by Reinhard's x / (1 + x)",
    }
    with shards.atomic(out / "sample.json") as partial:
        partial.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n", "utf-8")
    return str(entry["split"])


def _render_command(stored: Mapping[str, Any]) -> str:
    """The command that renders just this sample again."""
    quality = f"--resolution {stored['resolution']} --samples {stored['samples']}"
    place = f"--seed {stored['seed']} --start {stored['index']} --count 1 --out DIR"
    return f"render.py {stored['scene']['dataset']} {quality} {place}"


def _write_png(path: Path, pixels: np.ndarray) -> None:
    with shards.atomic(path) as partial:
        packages.load_pillow().fromarray(pixels).save(partial, "PNG")


def _write_exr(path: Path, linear: np.ndarray) -> None:
    """Channels R, G, B as float32."""
    channels = {letter: linear[..., n].astype(np.float32) for n, letter in enumerate("RGB")}
    with shards.atomic(path) as partial:
        partial.write_bytes(exr_codec.write_channels(channels))
