# SPDX-License-Identifier: GPL-3.0-or-later
"""Invented renders, for tests of what learns from composed images: patterns of paint under smooth lights."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from join_engine.bank import Bank
from join_engine.renders.packs import to_pixels

from .fake_packs import TRANSFORMS, add_member


def paint(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two colours in stripes, checks or dots: [size, size, 3] in the generator's range."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(2, 8)
    along = np.cos(angle) * columns + np.sin(angle) * rows
    across = np.cos(angle) * rows - np.sin(angle) * columns
    waves = np.sin(2 * np.pi * frequency * along + rng.uniform(0, 6))
    other = np.sin(2 * np.pi * frequency * across + rng.uniform(0, 6))
    mask = (waves, waves * other, waves + other)[rng.integers(3)] > 0
    first, second = rng.uniform(-0.8, 0.9, (2, 3))
    return np.where(mask[..., None], first, second)


def light(rng: np.random.Generator, size: int) -> np.ndarray:
    """A soft spot on a slope: [size, size, 3] in the generator's range."""
    rows, columns = np.mgrid[0:size, 0:size] / size
    middle = rng.uniform(0, 1, 2)
    distance = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2
    spot = np.exp(-distance / rng.uniform(0.05, 0.5))
    value = rng.uniform(-0.9, -0.3) + rng.uniform(0.4, 1.0) * spot
    tint = rng.uniform(-0.06, 0.06, 3)
    return value[..., None] + tint


def write_renders(path: Path, count: int, size: int = 32, seed: int = 0, cut_out: int = 0) -> Path:
    """A pack of invented albedo and shading; the first ``cut_out`` show nothing in a quarter of their picture."""
    rng = np.random.default_rng(seed)
    images = {
        "albedo": np.stack([paint(rng, size) for _ in range(count)]),
        "shading": np.stack([light(rng, size) for _ in range(count)]),
    }
    for values in images.values():
        for index in range(cut_out):
            np.rot90(values[index], index)[: size // 4] = -1.0
    return write_pack(path, {name: torch.from_numpy(value).permute(0, 3, 1, 2) for name, value in images.items()}, seed)


@torch.no_grad()
def write_samples_of(bank: Bank, path: Path, count: int, seed: int) -> Path:
    """A pack of what a bank's generators make, each component from codes of its own."""
    images = {}
    for index, (name, component) in enumerate(bank.components.items()):
        codes = component.sample_codes(count, seed * 10 + index)
        images[name] = component.generator.synthesis(codes)
    return write_pack(path, images, seed)


def write_pack(path: Path, images: Mapping[str, torch.Tensor], seed: int) -> Path:
    """A pack of components [N, 3, H, W] in the generator's range."""
    first = next(iter(images.values()))
    header = {
        "resolution": first.shape[-1],
        "components": {name: {"transform": TRANSFORMS[name]} for name in images},
        "split": "train",
        "count": len(first),
        "dataset": "invented",
        "seed": seed,
    }
    with tarfile.open(path, "w") as tar:
        add_member(tar, "pack.json", json.dumps(header).encode())
        for name, values in images.items():
            for index, pixels in enumerate(to_pixels(values).permute(0, 2, 3, 1).numpy()):
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, format="PNG")
                add_member(tar, f"{index:08d}.{name}.png", buffer.getvalue())
    return path
