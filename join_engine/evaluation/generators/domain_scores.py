# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the in-domain and the kNN loss know codes of the generators from points beside them (JoIN's A and B).

B (version 2, Fig. 3) is a code that the generator knows: of the mapping network. A is none: it lies in a direction
drawn at random, and nearer to the mean code than B. The in-domain loss (Eq. 7), which measures the distance to the
mean, has to take A for the better one; the kNN loss (Eq. 8) need not. --out gets domain.json and domain.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...bank import Bank
from ...inversion.codebook import CodeBook
from ...inversion.losses.knn import in_domain_loss
from ...networks.stylegan2 import generate
from ...options import add_bank_option, add_device_options, load_bank_named, natural, positive
from ..options import keep
from ..tables import area_under_curve, markdown

NEARER = 0.9
"""How far A is from the mean code, in distances of B."""
_FRESH = 1  # seed: none of the codes that the losses know
_AT_ONCE = 50


@torch.no_grad()
def measure(bank: Bank, count: int, neighbours: int, seed: int) -> dict[str, Any]:
    """``count`` points of either kind, of each component.

    Returns:
        For JSON, by component and loss: ``a`` and ``b``, the mean loss of either kind; ``right``, the share of pairs
        in which the loss of A is larger; ``area``, under the ROC curve, where A's distance from the mean is that of
        another pair's B, so that the distance tells nothing. Beside them "discriminator", of a bank that has them: its
        output on what the generator makes, taken negative, says which of both looks real.
    """
    codebook, found = CodeBook(bank), {}
    rng = torch.Generator().manual_seed(seed)
    for name, part in bank.components.items():
        inside = part.sample_codes(count, _FRESH)
        away = torch.randn(inside.shape, generator=rng).to(inside)
        away = away / away.norm(dim=1, keepdim=True)
        radii = (inside - part.w_avg).norm(dim=1, keepdim=True)
        pairs = {"a": part.w_avg + NEARER * radii * away, "level": part.w_avg + radii.roll(1, 0) * away, "b": inside}
        knn = codebook.knn(name, neighbours)
        scores: dict[str, dict[str, Tensor]] = {
            "in-domain": {key: in_domain_loss(w[:, None], part.w_avg) for key, w in pairs.items()},
            "knn": {key: knn(w[:, None]) for key, w in pairs.items()},
        }
        if (judge := part.discriminator) is not None:
            scores["discriminator"] = {
                key: torch.cat(
                    [-judge(generate(part.generator, some[:, None])).flatten() for some in w.split(_AT_ONCE)]
                )
                for key, w in pairs.items()
            }
        found[name] = {loss: _figures(values) for loss, values in scores.items()}
    return {"points": count, "neighbours": neighbours, "components": found}


def _figures(values: Mapping[str, Tensor]) -> dict[str, float]:
    return {
        "a": float(values["a"].mean()),
        "b": float(values["b"].mean()),
        "right": float((values["a"] > values["b"]).float().mean()),
        "area": area_under_curve(values["b"].tolist(), values["level"].tolist()),
    }


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure`."""
    headings = "component", "loss", "of A, outside", "of B, inside", "A's is larger", "area, equally far"
    cells = [
        [name, loss, f"{one['a']:.3g}", f"{one['b']:.3g}", f"{one['right']:.0%}", f"{one['area']:.3f}"]
        for name, losses in table["components"].items()
        for loss, one in losses.items()
    ]
    return "\n".join([*markdown(headings, cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--count", type=positive, default=500, help="points of either kind (default 500)")
    parser.add_argument("--neighbours", type=positive, default=50, help="k of the kNN loss (default 50)")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    table = measure(load_bank_named(options), options.count, options.neighbours, options.seed)
    keep(options.out, "domain", table, format_table(table))
