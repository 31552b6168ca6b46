# SPDX-License-Identifier: GPL-3.0-or-later
"""How large, and in how many orientations, the split network should look at photos.

What it says is brought to the photo's own size, so that a smaller look is a faster one. Prints the figures of
layer-scores and the processor's seconds with each of --sizes and of --ways, over the first renders of each pack, as a
metering camera shows them; --cut leaves their upper left parts alone, as photos have sides of any length.
"""

from __future__ import annotations

import argparse
from itertools import product

from ...options import positive
from .split_ways import add_options, run_ways

SIZES = (512, 768, 1024)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--sizes", nargs="+", type=positive, default=SIZES, metavar="PIXELS", help="longest sides")
    parser.add_argument(
        "--ways", nargs="+", type=positive, help="orientations (default: as many as a preset that looks so takes)"
    )
    parser.add_argument(
        "--cut", nargs=2, type=positive, default=(None, None), metavar=("ROWS", "COLUMNS"), help="of each render"
    )


def run(options: argparse.Namespace) -> None:
    ways = {
        str(size) + ("" if count is None else f", {count} ways"): {"seen_at": size, "ways": count}
        for size, count in product(options.sizes, options.ways or (None,))
    }
    run_ways(options, ways, tuple(options.cut), timed=True)
