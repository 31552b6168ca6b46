# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the masks of what is foreign to a bank (method `samm-masks`) find a patch pasted onto renders.

--out gets masks.json and masks.md.
"""

from __future__ import annotations

import argparse

from .options import natural, say
from .table_options import add_pack_table_options, run_on_pack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 40, 60, "the search")
    parser.add_argument("--seed", type=natural, default=0)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.mask_scores import format_table, measure

    run_on_pack(
        options,
        "masks",
        lambda bank, samples: measure(bank, samples, options.steps, options.seed, say),
        format_table,
    )
