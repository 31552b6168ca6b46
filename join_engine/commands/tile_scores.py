# SPDX-License-Identifier: GPL-3.0-or-later
"""Seam energy of layers of renders that are repeated: as they are, evened, cut, and both, which is what "tile" does.

It is the mean squared difference across a seam over that of other neighbours, of all layers: 1 where no seam can be
told. Printed are medians and geometric means.
"""

from __future__ import annotations

import argparse

from .table_options import add_pack_options, run_on_packs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 48)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.tile_scores import format_table, measure

    run_on_packs(options, measure, format_table)
