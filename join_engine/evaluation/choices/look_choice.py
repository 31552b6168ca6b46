# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the split network should look at photos.

What it says is brought to the photo's own size, so that a smaller look is a faster one. Prints the figures of
layer-scores and the processor's seconds with each of --sizes, over the first renders of each pack, as a metering camera
shows them; --cut leaves their upper left parts alone, as photos have sides of any length.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ...options import add_bank_option, add_device_options, load_bank_named, positive
from ...renders.samples import read_samples
from ..options import add_packs
from ..scores.layer_scores import format_table
from .split_ways import compare

SIZES = (512, 768, 1024)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packs(parser, 40)
    parser.add_argument("--sizes", nargs="+", type=positive, default=SIZES, metavar="PIXELS", help="longest sides")
    parser.add_argument(
        "--cut", nargs=2, type=positive, default=(None, None), metavar=("ROWS", "COLUMNS"), help="of each render"
    )
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    for name, path in options.data:
        samples = read_samples(Path(path), bank.forward_model.components, options.count)
        found, seconds = compare(bank, samples, [{"seen_at": size} for size in options.sizes], tuple(options.cut))
        print(format_table({f"{name}, {size}": rows for size, rows in zip(options.sizes, found, strict=True)}))
        print(", ".join(f"{size}: {mean:.2f} s" for size, mean in zip(options.sizes, seconds, strict=True)))
