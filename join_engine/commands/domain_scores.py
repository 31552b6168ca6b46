# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the in-domain and the kNN loss know codes of the generators from points beside them (JoIN's A and B).

--out gets domain.json and domain.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, as_json, load_bank_named, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--count", type=positive, default=500, help="points of either kind (default 500)")
    parser.add_argument("--neighbours", type=positive, default=50, help="k of the kNN loss (default 50)")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.domain_scores import format_table, measure
    from ..images.files import write_text

    table = measure(load_bank_named(options), options.count, options.neighbours, options.seed)
    write_text(options.out / "domain.json", as_json(table))
    write_text(options.out / "domain.md", format_table(table))
    print(format_table(table))
