# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the masks of what is foreign to a bank (method `samm-masks`) find a patch pasted onto renders.

--out gets masks.json and masks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bank import Bank
from ..inversion.invert import invert
from ..inversion.presets import Preset
from ..inversion.stages.encoder_start import EncoderStart
from ..inversion.stages.masking import Masking
from ..options import natural, say
from ..renders.samples import Sample
from .camera import squares
from .options import add_pack_table_options, run_on_pack
from .tables import interval, markdown, plus_minus

COLUMNS = ("overlap", "found", "wrong")
_BLOCK = 4  # pixels of one square of the patch's pattern
_PART = 3 / 8  # of the picture's side
_TOGETHER = 20


def measure(bank: Bank, samples: Sequence[Sample], steps: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """A square of random black and white blocks, 3/8 of the side, is pasted onto each photo at a random place.

    ``overlap``: intersection over union of α > 0.5 with the patch; ``found``: the share of the patch that is in it;
    ``wrong``: the share of everything else that is.

    Returns:
        For JSON: column → mean and interval over the renders.
    """
    rng = np.random.default_rng(seed)
    rows: dict[str, list[float]] = {column: [] for column in COLUMNS}
    features = "random" if bank.trunk is None else "trunk"
    stage = Masking(steps, 0.05, knn_weight=0.0, features=features, space="w+")
    preset = Preset("masks", (EncoderStart(space="w+"), stage))
    for first in range(0, len(samples), _TOGETHER):
        pairs = [pasted(photo, rng) for photo in squares(bank, samples[first : first + _TOGETHER])]
        target, truth = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        alpha = invert(bank, target, preset, seed).foreign
        assert alpha is not None
        for mine, patch in zip((alpha > 0.5)[:, 0], truth > 0.5, strict=True):
            both, either = (mine & patch).sum(), (mine | patch).sum()
            rows["overlap"].append(float(both / either))
            rows["found"].append(float(both / patch.sum()))
            rows["wrong"].append(float((mine & ~patch).sum() / (~patch).sum()))
        say(f"{first + len(pairs)} of {len(samples)} renders")
    scores = {column: interval(values) for column, values in rows.items()}
    return {"samples": len(samples), "steps": steps, "scores": scores}


def pasted(photo: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A photo [3, R, R] with a patch on it, and where that is, [R, R] of 0 and 1."""
    resolution = photo.shape[-1]
    blocks = max(1, round(_PART * resolution / _BLOCK))
    side = min(blocks * _BLOCK, resolution - 1)
    pattern = np.kron(rng.integers(0, 2, (blocks, blocks)), np.ones((_BLOCK, _BLOCK)))[:side, :side]
    top, left = rng.integers(0, resolution - side + 1, 2)
    with_patch, truth = photo.clone(), photo.new_zeros(photo.shape[1:])
    place = (slice(top, top + side), slice(left, left + side))
    with_patch[:, place[0], place[1]] = torch.from_numpy(pattern).to(photo)
    truth[place] = 1.0
    return with_patch, truth


def format_table(table: dict[str, Any]) -> str:
    """Markdown of :func:`measure`."""
    cells = [str(table["samples"]), *(plus_minus(table["scores"][column], ".3f") for column in COLUMNS)]
    headings = "renders", "intersection over union ↑", "of the patch, found ↑", "of the rest, taken for foreign ↓"
    return "\n".join([*markdown(headings, [cells]), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 40, 60, "the search")
    parser.add_argument("--seed", type=natural, default=0)


def run(options: argparse.Namespace) -> None:
    run_on_pack(
        options,
        "masks",
        lambda bank, samples: measure(bank, samples, options.steps, options.seed, say),
        format_table,
    )
