# SPDX-License-Identifier: GPL-3.0-or-later
"""How far generated images are from real ones."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, as_json, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of real renders")
    parser.add_argument("--component", help="default: all of the bank")
    parser.add_argument("--count", type=positive, default=5000, help="images of either kind (default 5000)")
    parser.add_argument("--inception", type=Path, metavar="inception-2015-12-05.pt", help="gives FID and KID as well")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there too")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..device import set_up_torch
    from ..evaluation.distances import report
    from ..images.files import write_text
    from ..renders.packs import read_packs

    bank = load_bank(find_bank(options.bank), set_up_torch(options.device, options.threads))
    names = [options.component] if options.component else list(bank.components)
    found = [
        report(bank, name, read_packs(options.data, name), options.count, options.seed, options.inception)
        for name in names
    ]
    text = as_json({"bank": {"name": bank.header.name, "sha256": bank.sha256}, "distances": found})
    if options.out is not None:
        write_text(options.out, text)
    print(text, end="")
