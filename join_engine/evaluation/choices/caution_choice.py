# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say colour Retinex should have where the split network is unsure.

Its share in the light follows from the error that the network expects and the one that Retinex is taken to make. Prints
the figures of layer-scores with each of --errors, over the first renders of each pack, as a metering camera shows them.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ...options import add_bank_option, add_device_options, load_bank_named
from ...renders.samples import read_samples
from ..options import add_packs
from ..scores.layer_scores import format_table
from .split_ways import compare

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packs(parser, 40)
    parser.add_argument(
        "--errors", nargs="+", type=float, default=ERRORS, help="of the logarithm of Retinex's light; inf: no say"
    )
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    for name, path in options.data:
        samples = read_samples(Path(path), bank.forward_model.components, options.count)
        rows, _ = compare(bank, samples, [{"retinex_error": error} for error in options.errors])
        print(format_table({f"{name}, {error:g}": found for error, found in zip(options.errors, rows, strict=True)}))
