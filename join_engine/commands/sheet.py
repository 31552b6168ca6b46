# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose photos into one picture, to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_detail_option, add_inversion_options, chosen_preset, expand, load_bank_named, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="images, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, metavar="SHEET.png")
    add_detail_option(parser)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.sheets.photos import write_photo_sheet

    photos, problems = expand(options.images, options.out)
    if problems:
        raise problems[0]
    write_photo_sheet(options.out, photos, load_bank_named(options), chosen_preset(options), options.seed, say)
    print(options.out)
