# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs that training and evaluation read without bpy and OpenEXR.

A training pack holds 8-bit tone-mapped PNGs, ``{index:08d}.albedo.png``; a float pack holds float32 linear arrays,
``{index:08d}.albedo.npy`` ([R, R, 3]). Both are made from the finished shards, also while rendering goes on.

Where a sample's light is known, ``{index:08d}.json`` tells it: ``light`` and ``held`` of
:mod:`dataset_tools.specs.relighting`, from which relighting by name is learned. Where it shows a person,
``{index:08d}.person.json`` tells the ``tone`` of the skin and its ``ita`` (:mod:`dataset_tools.specs.tones`).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import packages
from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.packs.writer import PackWriter
from dataset_tools.progress import steps
from dataset_tools.specs.relighting import held_attributes, is_told, light_attributes
from dataset_tools.storage import contents, layers, shards
from join_engine.components import COMPONENTS

# Of a dataset that no bank was trained on, every split is held out.
ALL_SPLITS = "all"


@dataclass(frozen=True)
class Export:
    """What to pack: split or ALL_SPLITS, layers, their resolution, tone-mapped or float, how many at most.

    ``components`` are names of :data:`layers.NAMES`; ``max_mib`` divides the pack into files of at most that size.
    """

    resolution: int
    components: tuple[str, ...]
    split: str
    floats: bool = False
    limit: int | None = None
    max_mib: float | None = None


@dataclass(frozen=True)
class Exported:
    """What was written: number of samples and the files, in order."""

    count: int
    files: tuple[Path, ...]


def export(folder: Path, wanted: Export, out: Path) -> Exported:
    """Write a pack of samples. Raises UserError when there are none, and for sizes that do not fit."""
    header = shards.read_header(folder)
    chosen = choose(shards.entries(folder), wanted.split)[: wanted.limit]
    if not chosen:
        raise UserError(f"{folder} has no finished '{wanted.split}' samples yet: wait for more shards or render more.")
    max_bytes = None if wanted.max_mib is None else int(wanted.max_mib * 2**20)
    with PackWriter(out, _pack(header, wanted), max_bytes) as pack, steps(len(chosen), "export") as advance:
        for index, found, stored in layers.load(folder, chosen, wanted.components, wanted.resolution):
            pack.add(
                [
                    *members(index, found, wanted.floats),
                    *light_member(index, contents.scene(stored), stored.get("exposure", 1.0)),
                    *person_member(index, contents.scene(stored)),
                ]
            )
            advance()
    return Exported(len(chosen), tuple(pack.written))


def choose(entries: list[dict[str, Any]], split: str) -> list[dict[str, Any]]:
    """The manifest entries of one split, or all of them."""
    return [entry for entry in entries if split in (ALL_SPLITS, entry["split"])]


def _pack(header: dict[str, Any], wanted: Export) -> dict[str, Any]:
    """What a reader has to know; ``transform`` names the tone map of ``join_engine.color``, None for linear floats."""
    transforms: dict[str, dict[str, Any]] = {
        name: {"transform": None if wanted.floats else COMPONENTS[name].transform}
        for name in wanted.components
        if name in COMPONENTS
    }
    if layers.IMAGE in wanted.components:
        parts = list(layers.parts_of_image(wanted.components))
        transforms[layers.IMAGE] = {"transform": None if wanted.floats else "srgb", "made_of": parts}
    # No component: nothing to tone-map and nothing to train on.
    told = {layers.MASK: "share of valid pixels", layers.ALPHA: "share that is not background; colours are over black"}
    single = {name: text for name, text in told.items() if name in wanted.components}
    return {
        "resolution": wanted.resolution,
        "components": transforms,
        "split": wanted.split,
        "dataset": header["dataset"],
        "seed": header["seed"],
        **single,
    }


def members(index: int, found: dict[str, np.ndarray], floats: bool) -> Iterator[tuple[str, bytes]]:
    """Names and contents of one sample's files."""
    for name, linear in found.items():
        stream = io.BytesIO()
        if floats:
            np.save(stream, linear.astype(np.float32), allow_pickle=False)
        else:
            pixels = layers.as_bytes(name, linear)
            # Pillow knows one-channel pictures without a last axis only.
            packages.load_pillow().fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0]).save(stream, "PNG")
        yield f"{index:08d}.{name}.{'npy' if floats else 'png'}", stream.getvalue()


def light_member(index: int, scene: Scene | None, exposure: float = 1.0) -> Iterator[tuple[str, bytes]]:
    """Name and contents of the file that tells a sample's light; none for a sample without a scene of ours, nor for
    one whose light is the sky's or a picture's as well: the five numbers would tell only a part of it."""
    if scene is not None and is_told(scene):
        told = {"light": light_attributes(scene, exposure), "held": held_attributes(scene, exposure)}
        yield f"{index:08d}.json", shards.json_bytes(told)


def person_member(index: int, scene: Scene | None) -> Iterator[tuple[str, bytes]]:
    """Name and contents of the file that tells a sample's person; none for a sample that shows none."""
    if scene is not None and scene.portrait is not None:
        skin = scene.portrait.person.skin
        yield f"{index:08d}.person.json", shards.json_bytes({"tone": skin.tone, "ita": skin.ita})
