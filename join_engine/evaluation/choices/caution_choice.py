# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say colour Retinex should have where the split network is unsure.

Its share in the light follows from the error that the network expects and the one that Retinex is taken to make. Prints
the figures of layer-scores with each of --errors, over the first renders of each pack, as a metering camera shows them.
"""

from __future__ import annotations

import argparse
import math

from .split_ways import add_options, run_ways

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument(
        "--errors", nargs="+", type=float, default=ERRORS, help="of the logarithm of Retinex's light; inf: no say"
    )


def run(options: argparse.Namespace) -> None:
    run_ways(options, {f"{error:g}": {"retinex_error": error} for error in options.errors})
