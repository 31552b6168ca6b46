# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the masks of what is foreign to a bank find a patch pasted onto renders, with and without SAMM's alignment.

Masks as they are searched for (method `samm-masks`), and told by what the generators miss in the end (`samm-residual`);
both with a flow of the features, too (`samm-aligned`). --out gets masks.json and masks.md.
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
from ...inversion.stages.encoder_start import EncoderStart
from ...inversion.stages.masking import Masking, suspicion
from ...options import finite, natural, say
from ...renders.samples import Sample
from ..camera import squares
from ..methods.by_name import REACH, RESIDUAL
from ..options import add_pack_table_options, run_on_pack
from ..tables import interval, markdown, plus_minus

COLUMNS = ("overlap", "found", "wrong")
# Random black and white blocks; lines of stripes in two colours; a piece of another render, mirrored and with its
# channels exchanged, which a bank of materials knows half.
PATCHES = ("blocks", "letters", "render")
_BLOCK = 4  # pixels of one square of the patch's pattern
_PART = 3 / 8  # of the picture's side
_TOGETHER = 20


def measure(
    bank: Bank,
    samples: Sequence[Sample],
    steps: int,
    seed: int,
    threshold: float,
    kind: str,
) -> dict[str, Any]:
    """A square of one of :data:`PATCHES`, 3/8 of the side, is pasted onto each photo at a random place.

    ``overlap``: intersection over union of the mask with the patch, the mask being α > 0.5 of the masks that were
    searched for, or where :func:`join_engine.inversion.stages.masking.suspicion` is above ``threshold``; ``found``: the
    share of the patch that is in it; ``wrong``: the share of everything else that is; ``around``: PSNR in dB of what
    the generators make, outside of the patch, against the photo: what is out of place there shows twice where the two
    are blended. Returns for JSON: search → way of telling → column → mean and interval over the renders; and search →
    ``around``.
    """
    features = "random" if bank.trunk is None else "trunk"
    plain = Masking(steps, 0.05, knn_weight=0.0, features=features, space="w+")
    found: dict[str, dict[str, Any]] = {}
    for search, stage in {"still": plain, "aligned": replace(plain, reach=REACH)}.items():
        rng, photos = np.random.default_rng(seed), squares(bank, samples)
        rows: dict[str, dict[str, list[float]]] = {}
        around: list[float] = []
        for first in range(0, len(samples), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            others = photos.roll(7, dims=0)[part]
            pairs = [pasted(photo, rng, kind, other) for photo, other in zip(photos[part], others, strict=True)]
            target, truth = (torch.stack(parts) for parts in zip(*pairs, strict=True))
            state = invert(bank, target, Preset("masks", (EncoderStart(space="w+"), stage)), seed)
            alpha = state.foreign
            assert alpha is not None
            with torch.no_grad():
                missed = state.render(state.synthesize()).clamp(0.0, 1.0) - target
            told = {"masks": alpha > 0.5, "residual": suspicion(state) > threshold}
            for way, masks in told.items():
                for mine, patch in zip(masks[:, 0], truth > 0.5, strict=True):
                    scores = _scores(mine, patch)
                    for column in COLUMNS:
                        rows.setdefault(way, {}).setdefault(column, []).append(scores[column])
            errors = (missed.square().mean(dim=1) * (1.0 - truth)).sum(dim=(1, 2)) / (1.0 - truth).sum(dim=(1, 2))
            around += (-10.0 * errors.clamp_min(1e-10).log10()).tolist()
            say(f"{search}: {first + len(pairs)} of {len(samples)} renders")
        found[search] = {
            "ways": {way: {name: interval(values) for name, values in own.items()} for way, own in rows.items()},
            "around": interval(around),
        }
    return {"samples": len(samples), "steps": steps, "threshold": threshold, "patch": kind, "searches": found}


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
    """Markdown of :func:`measure`."""
    cells = [
        [search, way, *(plus_minus(scores[column], ".3f") for column in COLUMNS), plus_minus(found["around"])]
        for search, found in table["searches"].items()
        for way, scores in found["ways"].items()
    ]
    told = "intersection over union ↑", "of the patch, found ↑", "of the rest, taken for foreign ↓"
    lines = markdown(("features", "told by", *told, "generators around it, dB ↑"), cells)
    return "\n".join(
        [*lines, "", f"{table['samples']} renders, {table['steps']} steps, patches of {table['patch']}.", ""]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 40, 60, "the search")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--patch", choices=PATCHES, default=PATCHES[0], help="what is pasted (default: %(default)s)")
    parser.add_argument("--threshold", type=finite, default=RESIDUAL, help=f"of the residual (default {RESIDUAL})")


def run(options: argparse.Namespace) -> None:
    given = options.steps, options.seed, options.threshold, options.patch
    run_on_pack(options, "masks", lambda bank, samples: measure(bank, samples, *given), format_table)
