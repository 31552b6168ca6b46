# SPDX-License-Identifier: GPL-3.0-or-later
"""Seam energy of the layers of renders, as they are and made tileable in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ..bank import Bank
from ..inversion.codebook import CodeBook
from ..inversion.presets import Preset
from ..layers.tileable import all_evened, seam, tileable
from ..pipeline import decompose
from ..renders.samples import read_samples
from .confidence_scores import metered

COLUMNS = ("as they are", "evened", "cut", "both")

Row = dict[str, float]


def measure(pack: Path, bank: Bank, preset: Preset, count: int, seed: int = 0) -> list[Row]:
    """:data:`COLUMNS` of the first ``count`` renders of a pack, see :func:`join_engine.layers.tileable.seam`.

    Raises:
        JoinError: ``data_missing``, ``data_broken``, ``image_too_small``; as :func:`decompose`.
    """
    codebook, rows = CodeBook(bank), []
    for sample in read_samples(pack, bank.forward_model.components, count):
        photo, _ = metered(bank, sample.components)
        rows.append(row_of(dict(decompose(photo, bank, preset, seed, codebook=codebook).decomposition.layers)))
    return rows


def row_of(layers: Mapping[str, np.ndarray]) -> Row:
    """:data:`COLUMNS` of one picture's layers."""
    cut, both = tileable(layers, even=False), tileable(layers)
    found = (seam(layers), seam(all_evened(layers)), seam(cut.layers, cut), seam(both.layers, both))
    return dict(zip(COLUMNS, found, strict=True))


def format_table(found: Mapping[str, Sequence[Row]]) -> str:
    """Markdown: of each set and column the median, and the geometric mean."""
    lines = [f"| set | renders | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * (1 + len(COLUMNS))]
    for title, rows in found.items():
        cells = []
        for name in COLUMNS:
            values = np.array([row[name] for row in rows])
            cells.append(f"{np.median(values):.2f}, {np.exp(np.log(values.clip(1e-3, None)).mean()):.2f}")
        lines.append(f"| {title} | {len(rows)} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])
