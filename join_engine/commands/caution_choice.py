# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say colour Retinex should have where the split network is unsure.

Its share in the light follows from the error that the network expects and the one that Retinex is taken to make. Prints
the figures of layer-scores with each of --errors, over the first renders of each pack, as a metering camera shows them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, load_bank_named, named, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..evaluation.caution_choice import ERRORS

    pair = named("PACK.tar")
    parser.add_argument("--data", nargs="+", type=pair, required=True, metavar="NAME=PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=40, help="renders of each at most (default: 40)")
    parser.add_argument(
        "--errors",
        nargs="+",
        type=float,
        default=ERRORS,
        help="of the logarithm of Retinex's light; inf: no say",
    )
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.caution_choice import compare
    from ..evaluation.layer_scores import format_table
    from ..renders.samples import read_samples

    bank = load_bank_named(options)
    for name, path in options.data:
        samples = list(read_samples(Path(path), bank.forward_model.components, options.count))
        rows = compare(bank, samples, options.errors)
        print(format_table({f"{name}, {error:g}": found for error, found in zip(options.errors, rows, strict=True)}))
