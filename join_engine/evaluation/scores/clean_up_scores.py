# SPDX-License-Identifier: GPL-3.0-or-later
"""What *Clean Up* gives below stickers and shadows on renders, beside nothing done and a smooth inpainting.

--data are packs of renders with true layers; every other one gets a sticker, every other one a shadow. --out gets
clean-up.json and clean-up.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...bank import Bank
from ...images.files import display_encode
from ...images.metrics import best_scale, mse, psnr
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...layers.clean_up import covered, without
from ...options import add_inversion_options, load_bank_named, positive, say
from ...pipeline import clean_up, decompose
from ...renders.samples import Sample, read_samples
from ..options import keep
from ..tables import interval, markdown, plus_minus

Layers = Mapping[str, np.ndarray]
KINDS = ("sticker", "shadow")
METHODS = ("nothing", "inpainted photo", "clean-up")
COLUMNS = ("albedo", "albedo, any brightness", "shading", "shading, any brightness")
_SHADOW = 0.35  # of the light that is left in it
_TRIES = 100


@dataclass(frozen=True)
class Spoiled:
    """A render with something on it.

    Attributes:
        kind: one of :data:`KINDS`.
        photo: what of it lies below 1, linear [H, W, 3].
        mask: bool [H, W], where the thing is.
        truth: the components without it.
    """

    kind: str
    photo: np.ndarray
    mask: np.ndarray
    truth: Layers


def spoil(bank: Bank, sample: Sample, other: Sample, kind: str, rng: np.random.Generator) -> Spoiled | None:
    """A sticker with the paint of another render, matt and in the light of this one; or a shadow.

    None where there is no place for it.
    """
    truth = sample.components
    mask = _region(truth["albedo"], rng)
    if mask is None:
        return None
    if kind == "sticker":
        turned = np.rot90(other.components["albedo"], 2)[: mask.shape[0], : mask.shape[1]]
        parts = {name: np.where(mask[..., None], 0.0, part) for name, part in truth.items()}
        parts["albedo"] = np.where(mask[..., None], turned, truth["albedo"])
        parts["shading"] = truth["shading"]
        image = np.asarray(bank.forward_model.compose(parts))
    else:
        light = np.where(mask, np.float32(_SHADOW), np.float32(1.0))[..., None]
        image = np.asarray(bank.forward_model.compose(truth)) * light
    return Spoiled(kind, image.clip(0.0, 1.0).astype(np.float32), mask, truth)


def _region(albedo: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """An ellipse or a turned rectangle of 2 to 12 % of the picture, on the thing."""
    height, width = albedo.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    for _ in range(_TRIES):
        row, column = rng.uniform(0.2, 0.8, 2) * (height, width)
        one, two = rng.uniform(0.08, 0.2, 2) * min(height, width)
        angle, round_ = rng.uniform(0.0, np.pi), rng.random() < 0.5
        u = ((y - row) * np.cos(angle) + (x - column) * np.sin(angle)) / one
        v = ((x - column) * np.cos(angle) - (y - row) * np.sin(angle)) / two
        mask = u**2 + v**2 < 1.0 if round_ else np.maximum(abs(u), abs(v)) < 1.0
        if mask.any() and albedo.sum(axis=2)[mask].min() > 0.0:
            return np.asarray(mask)
    return None


def measure(bank: Bank, samples: Sequence[Sample], preset: Preset, seed: int) -> dict[str, Any]:
    """PSNR in dB inside of the masks, in the domains of :mod:`join_engine.images.metrics`, of three methods: nothing is
    done; the photo is filled smoothly from around and then decomposed; *Clean Up*.

    *Any brightness*: times the factor that suits best outside of the mask, so that only what was filled counts. Returns
    for JSON: kind → method → column → mean and interval over the renders; the count of each kind.
    """
    rng, codebook = np.random.default_rng(seed), CodeBook(bank)
    rows: dict[str, dict[str, list[dict[str, float]]]] = {kind: {method: [] for method in METHODS} for kind in KINDS}
    for number, sample in enumerate(samples):
        spoiled = spoil(bank, sample, samples[number - 1], KINDS[number % len(KINDS)], rng)
        if spoiled is None:
            continue
        for method in METHODS:
            layers = layers_by(method, spoiled, bank, preset, codebook)
            rows[spoiled.kind][method].append(scores(layers, spoiled))
        if (number + 1) % 10 == 0:
            say(f"{number + 1} of {len(samples)} renders")
    return {
        "counts": {kind: len(own[METHODS[0]]) for kind, own in rows.items()},
        "scores": {
            kind: {
                method: {column: interval([row[column] for row in found]) for column in COLUMNS}
                for method, found in own.items()
            }
            for kind, own in rows.items()
            if own[METHODS[0]]
        },
    }


def layers_by(method: str, spoiled: Spoiled, bank: Bank, preset: Preset, codebook: CodeBook) -> Layers:
    """What one of :data:`METHODS` makes of a photo."""
    mask = spoiled.mask.astype(np.float32)
    if method == "clean-up":
        return clean_up(spoiled.photo, mask, bank, preset, codebook=codebook).decomposition.layers
    photo = spoiled.photo if method == "nothing" else without(spoiled.photo, covered(mask))
    return decompose(photo, bank, preset, codebook=codebook).decomposition.layers


def scores(layers: Layers, spoiled: Spoiled) -> dict[str, float]:
    """The columns of one render."""
    found = {}
    for name in ("albedo", "shading"):
        truth, layer = spoiled.truth[name], layers[name]
        around = ~spoiled.mask & (truth.sum(axis=2) > 0.0)
        factor = best_scale(layer[around], truth[around])
        for column, scale in ((name, 1.0), (f"{name}, any brightness", factor)):
            made = display_encode(name, (layer * np.float32(scale))[spoiled.mask])
            found[column] = psnr(mse(made, display_encode(name, truth[spoiled.mask])))
    return found


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure`."""
    lines = []
    for kind, methods in table["scores"].items():
        rows = ([method, *(plus_minus(found[column]) for column in COLUMNS)] for method, found in methods.items())
        lines += [*markdown([f"{kind}, {table['counts'][kind]} renders", *COLUMNS], rows), ""]
    return "\n".join(lines)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=40, help="renders of each pack at most (default: 40)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser, "draft")


def run(options: argparse.Namespace) -> None:
    bank, preset = load_bank_named(options), get_preset(options.preset)
    components = bank.forward_model.components
    samples = [sample for pack in options.data for sample in read_samples(pack, components, options.count)]
    table = measure(bank, samples, preset, options.seed)
    keep(options.out, "clean-up", table, format_table(table))
