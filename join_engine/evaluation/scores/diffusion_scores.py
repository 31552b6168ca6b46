# SPDX-License-Identifier: GPL-3.0-or-later
"""What semantic diffusion keeps of patch and context, by the size of the crop, on renders.

Zhu et al., ECCV 2020, supplement, Fig. 12 and 13, as figures. --out gets diffusion.json and diffusion.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...bank import Bank
from ...images.metrics import psnr
from ...inversion.diffusion import crop, diffuse
from ...inversion.stage import Stage
from ...inversion.stages.encoder_start import EncoderStart
from ...inversion.stages.mean_start import MeanStart
from ...options import positive, say
from ...renders.samples import Sample
from ..camera import squares
from ..options import add_pack_table_options, run_on_pack
from ..tables import interval, markdown, plus_minus

STARTS: Mapping[str, Stage] = {"in-domain": EncoderStart(space="w+"), "Image2StyleGAN": MeanStart()}
COLUMNS = ("patch", "context", "seam")


def measure(bank: Bank, samples: Sequence[Sample], crops: Sequence[int], steps: int) -> dict[str, Any]:
    """Each render's middle laid into the next one.

    ``patch``: PSNR in dB of what the generators make against the patch, inside; ``context``: against the context,
    outside; ``seam``: mean step between neighbours on both sides of the crop's border, in parts of the mean step
    between all other neighbours: 1 where no seam is to be seen. Beside the start in the encoders' codes one at the mean
    code. Returns for JSON: crop → start → column → mean and interval over the renders. ``pasted`` is the pasted picture
    itself.
    """
    patch = squares(bank, samples)
    context, found = patch.roll(-1, dims=0), {}
    for side in crops:
        mask = crop(bank.header.resolution, side).to(patch)
        rows = {"pasted": _scores(torch.lerp(context, patch, mask), context, patch, mask)}
        for name, start in STARTS.items():
            made = diffuse(bank, context, patch, mask.expand(len(patch), -1, -1, -1), steps, start=start).image
            rows[name] = _scores(made, context, patch, mask)
        found[str(side)] = {
            name: {column: interval(values) for column, values in scores.items()} for name, scores in rows.items()
        }
        say(f"crops of {side} pixels are done")
    return {"samples": len(samples), "steps": steps, "crops": found}


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure`."""
    cells = [
        [side, name, *(plus_minus(scores[column]) for column in COLUMNS)]
        for side, rows in table["crops"].items()
        for name, scores in rows.items()
    ]
    headings = "crop", "from", "patch, dB ↑", "context, dB ↑", "seam, 1 is none"
    return "\n".join([*markdown(headings, cells), ""])


def _scores(made: Tensor, context: Tensor, patch: Tensor, mask: Tensor) -> dict[str, list[float]]:
    scores: dict[str, list[float]] = {column: [] for column in COLUMNS}
    seams = _seams(made.clamp(0.0, 1.0), mask)
    for one, around, inside, seam in zip(made.clamp(0.0, 1.0), context, patch, seams, strict=True):
        scores["patch"].append(psnr(_mean_square(one - inside, mask[0])))
        scores["context"].append(psnr(_mean_square(one - around, 1.0 - mask[0])))
        scores["seam"].append(float(seam))
    return scores


def _mean_square(difference: Tensor, where: Tensor) -> float:
    return float((difference.square() * where).sum() / (where.sum() * len(difference)))


def _seams(made: Tensor, mask: Tensor) -> Tensor:
    """[B]."""
    across, along = [], []
    for dim in (2, 3):
        step, border = made.diff(dim=dim).abs().mean(dim=1), mask.diff(dim=dim)[0, 0].abs() > 0.5
        across.append(step[:, border])
        along.append(step[:, ~border])
    return torch.cat(across, dim=1).mean(dim=1) / torch.cat(along, dim=1).mean(dim=1).clamp_min(1e-6)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 24, 100, "the masked optimisation")
    parser.add_argument("--crops", type=positive, nargs="+", default=[12, 20, 28, 40], metavar="PIXELS")


def run(options: argparse.Namespace) -> None:
    run_on_pack(
        options,
        "diffusion",
        lambda bank, samples: measure(bank, samples, options.crops, options.steps),
        format_table,
    )
