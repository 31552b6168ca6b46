# SPDX-License-Identifier: GPL-3.0-or-later
"""Seam energy of layers of renders that are repeated: as they are, evened, cut, both, and healed, too, as by "tile".

It is the mean squared difference across a seam over that of other neighbours, of all layers: 1 where no seam can be
told. Printed are medians and geometric means.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from ...layers.tileable import evened, seam, tileable
from ..options import add_pack_options, run_on_packs
from ..tables import markdown

COLUMNS = ("as they are", "evened", "cut", "both", "healed")

Row = dict[str, float]


def row_of(layers: Mapping[str, np.ndarray]) -> Row:
    """:data:`COLUMNS` of one picture's layers, see :func:`join_engine.layers.tileable.seam`."""
    tiles = tileable(layers, even=False, heal=False), tileable(layers, heal=False), tileable(layers)
    even = {name: evened(layer) for name, layer in layers.items()}
    found = (seam(layers), seam(even), *(seam(tile.layers, tile) for tile in tiles))
    return dict(zip(COLUMNS, found, strict=True))


def format_table(found: Mapping[str, Sequence[Row]]) -> str:
    """Markdown: of each set and column the median, and the geometric mean."""
    cells = []
    for title, rows in found.items():
        columns = (np.array([row[name] for row in rows]) for name in COLUMNS)
        means = (f"{np.median(v):.2f}, {np.exp(np.log(v.clip(1e-3, None)).mean()):.2f}" for v in columns)
        cells.append([title, str(len(rows)), *means])
    return "\n".join([*markdown(["set", "renders", *COLUMNS], cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 48)


def run(options: argparse.Namespace) -> None:
    run_on_packs(options, lambda shot: row_of(dict(shot.layers)), format_table)
