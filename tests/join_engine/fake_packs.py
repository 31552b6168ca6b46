# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs of coloured rectangles, for tests of the training."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

TRANSFORMS = {"image": "srgb", "albedo": "srgb", "shading": "reinhard", "specular": "reinhard"}


def add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    """Add a file with this content."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def rectangles(rng: np.random.Generator, resolution: int) -> Image.Image:
    """A plain background with three rectangles."""
    image = Image.new("RGB", (resolution, resolution), tuple(int(value) for value in rng.integers(0, 256, 3)))
    draw = ImageDraw.Draw(image)
    for _ in range(3):
        left, top = (int(value) for value in rng.integers(0, resolution - 2, 2))
        width, height = (int(value) for value in rng.integers(2, resolution // 2, 2))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.rectangle([left, top, left + width, top + height], fill=colour)
    return image


def write_pack(
    path: Path,
    count: int = 24,
    resolution: int = 16,
    components: Sequence[str] = ("albedo", "shading"),
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> Path:
    """Write a pack; ``changes`` replace values of its header, whether they are true or not."""
    rng = np.random.default_rng(seed)
    header = {
        "resolution": resolution,
        "components": {name: {"transform": TRANSFORMS[name]} for name in components},
        "split": "train",
        "count": count,
        "dataset": "rectangles",
        "seed": seed,
    }
    with tarfile.open(path, "w") as tar:
        add_member(tar, "pack.json", json.dumps(header | dict(changes or {})).encode())
        for index in range(count):
            for name in components:
                buffer = io.BytesIO()
                rectangles(rng, resolution).save(buffer, format="PNG")
                add_member(tar, f"{index:08d}.{name}.png", buffer.getvalue())
    return path
