# SPDX-License-Identifier: GPL-3.0-or-later
"""What semantic diffusion keeps of patch and context, by the size of the crop, on renders.

--out gets diffusion.json and diffusion.md.
"""

from __future__ import annotations

import argparse

from .options import positive, say
from .table_options import add_pack_table_options, run_on_pack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 24, 100, "the masked optimisation")
    parser.add_argument("--crops", type=positive, nargs="+", default=[12, 20, 28, 40], metavar="PIXELS")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.diffusion_scores import format_table, measure

    run_on_pack(
        options,
        "diffusion",
        lambda bank, samples: measure(bank, samples, options.crops, options.steps, say),
        format_table,
    )
