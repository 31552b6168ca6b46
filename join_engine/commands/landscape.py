# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the in-domain and the kNN loss over two-dimensional codes."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import JoinError
from .options import add_bank_option, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--component", default="albedo")
    parser.add_argument("--count", type=positive, default=100, help="codes (default 100)")
    parser.add_argument("--neighbours", type=positive, default=5)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="FIG.png")
    parser.add_argument("--card", action="store_true", help="show the picture in the bank's card")


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..evaluation.landscape import planar_codes, show_landscape, write_landscape

    bank = load_bank(find_bank(options.bank))
    if not 1 <= options.neighbours <= options.count:
        raise JoinError("settings_invalid", "There must be as many codes as neighbours.", "Raise --count.")
    write_landscape(options.out, planar_codes(bank, options.component, options.count, options.seed), options.neighbours)
    if options.card:
        show_landscape(bank.path.with_suffix(".md"), options.out)
    print(options.out)
