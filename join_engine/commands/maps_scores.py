# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the maps made of layers are from those of renders, beside a flat surface and a constant roughness.

The packs are those of dataset_tools/render.py maps. Angles are means over all pixels, roughness errors root mean
squares; "true" are the maps of the render's own layers.
"""

from __future__ import annotations

import argparse

from .table_options import add_pack_options, run_on_packs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 1000)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.maps_scores import format_table, measure

    run_on_packs(options, measure, format_table)
