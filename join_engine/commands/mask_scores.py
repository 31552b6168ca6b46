# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the masks of what is foreign to a bank (method `samm-masks`) find a patch pasted onto renders.

--out gets masks.json and masks.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, as_json, load_bank_named, natural, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack of renders")
    parser.add_argument("--count", type=positive, default=40, help="how many renders (default 40)")
    parser.add_argument("--steps", type=positive, default=60, help="of the search (default 60)")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.mask_scores import format_table, measure
    from ..images.files import write_text
    from ..renders.samples import read_samples

    bank = load_bank_named(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    table = measure(bank, samples, options.steps, options.seed, say)
    write_text(options.out / "masks.json", as_json(table))
    write_text(options.out / "masks.md", format_table(table))
    print(format_table(table))
