# SPDX-License-Identifier: GPL-3.0-or-later
"""What semantic diffusion keeps of patch and context, by the size of the crop, on renders.

--out gets diffusion.json and diffusion.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, as_json, load_bank_named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack of renders")
    parser.add_argument("--count", type=positive, default=24, help="how many renders (default 24)")
    parser.add_argument("--crops", type=positive, nargs="+", default=[12, 20, 28, 40], metavar="PIXELS")
    parser.add_argument("--steps", type=positive, default=100, help="of the masked optimisation (default 100)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.diffusion_scores import format_table, measure
    from ..images.files import write_text
    from ..renders.samples import read_samples

    bank = load_bank_named(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    table = measure(bank, samples, options.crops, options.steps, say)
    write_text(options.out / "diffusion.json", as_json(table))
    write_text(options.out / "diffusion.md", format_table(table))
    print(format_table(table))
