# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bank's generators make between two decompositions, as a sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_device_options, load_bank_named, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first", type=Path, metavar="FIRST.join")
    parser.add_argument("last", type=Path, metavar="LAST.join", help="of the same bank")
    parser.add_argument("--steps", type=positive, default=5, help="both ends included (default 5)")
    parser.add_argument("--out", type=Path, required=True, metavar="SHEET.png")
    parser.add_argument("--bank", help="name or path of the bank that both were made with (default: by its name)")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.sheets.sheet import write_sheet
    from ..images.files import display_encode
    from ..layers.decomposition import load_decomposition
    from ..relighting.mixing import interpolate, shown

    first, last = load_decomposition(options.first), load_decomposition(options.last)
    bank = load_bank_named(options, options.bank or first.bank_name)
    frames = [shown(layers, bank) for layers in interpolate(first, last, bank, options.steps)]
    rows = [
        [
            (f"{name}\n{index / (len(frames) - 1):.2f}", display_encode(name, frame[name]))
            for index, frame in enumerate(frames)
        ]
        for name in frames[0]
    ]
    write_sheet(options.out, rows)
    print(options.out)
