# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN's Tables 2 and 3 on held-out renders, beside what the paper prints.

--data is a float pack, of heads for a bank of faces. --out gets table2.md, table3.md and paper.json, and what
`evaluate` writes: all metrics, sheets, and the figures of every render. May be killed at any moment; the same command
goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from .options import add_inversion_options, as_json, load_bank_named, say
from .table_options import add_evaluation_options, forget, rows_of, run_settings, unet_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack, or a folder of packs")
    parser.add_argument("--split", help="only the folder's packs of this split, such as test")
    parser.add_argument("--rows", nargs="+", metavar="METHOD", help="as --methods of evaluate (default: all of both)")
    parser.add_argument("--single-bank", metavar="BANK", help="bank of a single GAN, for the first row of Table 2")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_evaluation_options(parser, count=50)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.evaluate import evaluate
    from ..evaluation.methods import make_methods
    from ..evaluation.paper_tables import METHODS, compare, format_table_2, format_table_3
    from ..evaluation.results import RESULTS_NAME, read_results
    from ..evaluation.tables import write_tables
    from ..images.files import write_text
    from ..renders.samples import read_samples

    bank = load_bank_named(options)
    single = None if options.single_bank is None else load_bank_named(options, options.single_bank)
    unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
    methods = make_methods(options.rows or METHODS, rows_of(options), bank, single, unet)
    forget(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count, options.split)
    run = run_settings(options, asdict(rows_of(options)))
    table = evaluate(bank, samples, methods, run, options.out, single, say)
    write_tables(options.out, table)
    compared = compare(table, read_results(options.out / RESULTS_NAME), methods)
    write_text(options.out / "paper.json", as_json(compared))
    for name, text in (
        ("table2.md", format_table_2(table, compared, methods)),
        ("table3.md", format_table_3(table, methods)),
    ):
        write_text(options.out / name, text)
        print(text)
