# SPDX-License-Identifier: GPL-3.0-or-later
"""Which loss knows where a generator's codes lie: JoIN's points A and B (version 2, Fig. 3), as figures.

B is a code that the generator knows: of the mapping network. A is none: it lies in a direction drawn at random, and
nearer to the mean code than B. The in-domain loss (Eq. 7), which measures the distance to the mean, has to take A for
the better one; the kNN loss (Eq. 8) need not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..bank import Bank
from ..inversion.codebook import CodeBook
from ..inversion.losses.knn import in_domain_loss
from ..networks.stylegan2 import generate
from .confidence_scores import area_under_curve

NEARER = 0.9
"""How far A is from the mean code, in distances of B."""
_FRESH = 1  # seed: none of the codes that the losses know
_AT_ONCE = 50
LOSSES = ("in-domain", "knn")


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
    lines = [
        "| component | loss | of A, outside | of B, inside | A's is larger | area, equally far |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, losses in table["components"].items():
        for loss, one in losses.items():
            cells = f"{one['a']:.3g} | {one['b']:.3g} | {one['right']:.0%} | {one['area']:.3f}"
            lines.append(f"| {name} | {loss} | {cells} |")
    return "\n".join(lines) + "\n"
