# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the masks of what is foreign to a bank find a patch pasted onto renders, with and without SAMM's alignment.

Masks as they are searched for (method `samm-masks`), and told by what the generators miss in the end (`samm-residual`);
both with a flow of the features, too (`samm-aligned`); and, of a bank with an alignment module, as that one tells them
from the encoders' codes (`samm`), from the mean codes or from codes that were searched for. Several values of
--threshold show its neighbours. --out gets masks.json and masks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bank import Bank
from ...inversion.invert import invert
from ...inversion.presets import Preset
from ...inversion.stage import Stage
from ...inversion.stages.encoder_start import EncoderStart
from ...inversion.stages.joint import Joint
from ...inversion.stages.masking import Masking, suspicion
from ...inversion.stages.mean_start import MeanStart
from ...inversion.stages.samm import Samm
from ...networks.samm import REACH
from ...options import finite, natural, say
from ...renders.samples import Sample
from ..camera import squares
from ..methods.by_name import RESIDUAL
from ..options import add_pack_table_options, run_on_pack
from ..tables import interval, markdown, plus_minus

COLUMNS = ("overlap", "found", "wrong")
# Random black and white blocks; lines of stripes in two colours; a piece of another render, mirrored and with its
# channels exchanged, which a bank of materials knows half.
PATCHES = ("blocks", "letters", "render")
SEARCHES = ("still", "aligned", "network", "network from the mean codes", "network after a search")
MASKS = "masks"
_BLOCK = 4  # pixels of one square of the patch's pattern
_PART = 3 / 8  # of the picture's side
_TOGETHER = 20


def measure(
    bank: Bank,
    samples: Sequence[Sample],
    steps: int,
    seed: int,
    thresholds: Sequence[float],
    kind: str,
    searches: Sequence[str] | None = None,
) -> dict[str, Any]:
    """A square of one of :data:`PATCHES`, 3/8 of the side, is pasted onto each photo at a random place.

    ``overlap``: intersection over union of the mask with the patch, the mask being α > 0.5, or where
    :func:`join_engine.inversion.stages.masking.suspicion` is above one of ``thresholds``; ``found``: the share of the
    patch that is in it; ``wrong``: the share of everything else that is; ``around``: PSNR in dB of what the generators
    make, outside of the patch, against the photo: what is out of place there shows twice where the two are blended.
    ``searches``: of :data:`SEARCHES`; default: all that the bank can do. Returns for JSON: search → way of telling →
    column → mean and interval over the renders; and search → ``around``.
    """
    found: dict[str, dict[str, Any]] = {}
    presets = {name: preset for name, preset in _presets(bank, steps).items() if name in (searches or SEARCHES)}
    for search, preset in presets.items():
        if any(stage.lacks(bank) for stage in preset.stages):
            continue
        rng, photos = np.random.default_rng(seed), squares(bank, samples)
        rows: dict[str, dict[str, list[float]]] = {}
        around: list[float] = []
        for first in range(0, len(samples), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            others = photos.roll(7, dims=0)[part]
            pairs = [pasted(photo, rng, kind, other) for photo, other in zip(photos[part], others, strict=True)]
            target, truth = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            state = invert(bank, target, preset, seed)
            alpha, evidence = state.foreign, suspicion(state)
            assert alpha is not None
            with torch.no_grad():
                missed = state.render(state.synthesize()).clamp(0.0, 1.0) - target
            told = {MASKS: alpha > 0.5, **{f"residual {limit:g}": evidence > limit for limit in thresholds}}
            for way, masks in told.items():
                for mine, patch in zip(masks[:, 0], truth > 0.5, strict=True):
                    scores = _scores(mine, patch)
                    for column in COLUMNS:
                        rows.setdefault(way, {}).setdefault(column, []).append(scores[column])
            errors = (missed.square().mean(dim=1) * (1.0 - truth)).sum(dim=(1, 2)) / (1.0 - truth).sum(dim=(1, 2))
            around += (-10.0 * errors.clamp_min(1e-10).log10()).tolist()
            say(f"{kind}, {search}: {first + len(pairs)} of {len(samples)} renders")
        found[search] = {
            "ways": {way: {name: interval(values) for name, values in own.items()} for way, own in rows.items()},
            "around": interval(around),
        }
    return {"samples": len(samples), "steps": steps, "patch": kind, "searches": found}


def _presets(bank: Bank, steps: int) -> dict[str, Preset]:
    features = "random" if bank.trunk is None else "trunk"
    plain = Masking(steps, 0.05, knn_weight=0.0, features=features, space="w+")
    codes = Joint(steps, 0.05, knn_weight=0.0, features=features, space="w+")
    encoders = EncoderStart(space="w+")
    stages: dict[str, tuple[Stage, ...]] = {
        "still": (encoders, plain),
        "aligned": (encoders, replace(plain, reach=REACH)),
        "network": (encoders, Samm()),
        "network from the mean codes": (MeanStart(), Samm()),
        "network after a search": (encoders, codes, Samm()),
    }
    assert tuple(stages) == SEARCHES
    return {name: Preset("masks", own) for name, own in stages.items()}


def _scores(mine: Tensor, patch: Tensor) -> dict[str, float]:
    both, either = (mine & patch).sum(), (mine | patch).sum()
    wrong = (mine & ~patch).sum() / (~patch).sum()
    return {"overlap": float(both / either), "found": float(both / patch.sum()), "wrong": float(wrong)}


def pasted(
    photo: Tensor, rng: np.random.Generator, kind: str = "blocks", other: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """A photo [3, R, R] with a patch on it, and where that is, [R, R] of 0 and 1. ``other``: photo that a patch of the
    kind "render" is cut out of."""
    resolution = photo.shape[-1]
    blocks = max(1, round(_PART * resolution / _BLOCK))
    side = min(blocks * _BLOCK, resolution - 1)
    pattern = np.kron(rng.integers(0, 2, (blocks, blocks)), np.ones((_BLOCK, _BLOCK)))[:side, :side]
    top, left = rng.integers(0, resolution - side + 1, 2)
    patch = torch.from_numpy(pattern).to(photo).expand(3, -1, -1)
    if kind == "letters":
        ink, paper = torch.from_numpy(rng.random((2, 3, 1, 1))).to(photo)
        rows, columns = np.mgrid[:side, :side]
        patch = torch.lerp(paper, ink, torch.from_numpy((rows // 3 % 2) * (columns // 2 % 2)).to(photo))
    place = (slice(top, top + side), slice(left, left + side))
    if kind == "render":
        assert other is not None
        patch = other.flip(2)[[1, 2, 0]][:, *place]
    with_patch, truth = photo.clone(), photo.new_zeros(photo.shape[1:])
    with_patch[:, *place] = patch
    truth[place] = 1.0
    return with_patch, truth


def format_table(table: dict[str, Any]) -> str:
    """Markdown of several of :func:`measure`, by patch, and the mean over the patches of each way's overlap."""
    cells, means = [], dict[tuple[str, str], list[float]]()
    for kind, scores in table["patches"].items():
        for search, found in scores["searches"].items():
            for way, own in found["ways"].items():
                shown = (plus_minus(own[column], ".3f") for column in COLUMNS)
                cells.append([kind, search, way, *shown, plus_minus(found["around"])])
                means.setdefault((search, way), []).append(own["overlap"]["mean"])
    told = "intersection over union ↑", "of the patch, found ↑", "of the rest, taken for foreign ↓"
    lines = markdown(("patch", "features", "told by", *told, "generators around it, dB ↑"), cells)
    if len(table["patches"]) > 1:
        over = [[search, way, f"{sum(values) / len(values):.3f}"] for (search, way), values in means.items()]
        lines += ["", *markdown(("features", "told by", "intersection over union, mean of the patches ↑"), over)]
    return "\n".join([*lines, "", f"{table['samples']} renders, {table['steps']} steps.", ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 40, 60, "the search")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument(
        "--patch", nargs="+", choices=PATCHES, default=[PATCHES[0]], help=f"what is pasted (default: {PATCHES[0]})"
    )
    parser.add_argument(
        "--threshold", nargs="+", type=finite, default=[RESIDUAL], help=f"of the residual (default {RESIDUAL})"
    )
    parser.add_argument("--searches", nargs="+", choices=SEARCHES, help="default: all that the bank can do")


def run(options: argparse.Namespace) -> None:
    def measured(bank: Bank, samples: Sequence[Sample]) -> dict[str, Any]:
        given = options.steps, options.seed, options.threshold
        patches = {kind: measure(bank, samples, *given, kind, options.searches) for kind in options.patch}
        return {"samples": len(samples), "steps": options.steps, "patches": patches}

    run_on_pack(options, "masks", measured, format_table)
