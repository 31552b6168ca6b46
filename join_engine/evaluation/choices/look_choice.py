# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the split network should look at photos.

What it says is brought to the photo's own size, so that a smaller look is a faster one. Prints the figures of
layer-scores and the processor's seconds with each of --sizes, over the first renders of each pack, as a metering camera
shows them; --cut leaves their upper left parts alone, as photos have sides of any length.
"""

from __future__ import annotations

import argparse

from ...options import positive
from .split_ways import add_options, run_ways

SIZES = (512, 768, 1024)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--sizes", nargs="+", type=positive, default=SIZES, metavar="PIXELS", help="longest sides")
    parser.add_argument(
        "--cut", nargs=2, type=positive, default=(None, None), metavar=("ROWS", "COLUMNS"), help="of each render"
    )


def run(options: argparse.Namespace) -> None:
    run_ways(options, {str(size): {"seen_at": size} for size in options.sizes}, tuple(options.cut), timed=True)
