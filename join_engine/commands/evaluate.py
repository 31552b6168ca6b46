# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of methods against ground truth."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..inversion.presets import get_preset
from .options import add_inversion_options, load_bank_named, say
from .table_options import add_evaluation_options, forget, rows_of, run_settings, unet_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a pack, or a folder of packs")
    parser.add_argument("--split", help="only the folder's packs of this split, such as test")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="rows or groups of rows, such as table2 baselines best (default: --preset and the baselines)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for table.md, table.json, sheets and results")
    parser.add_argument("--single-bank", metavar="BANK", help="bank of a single GAN, for the method 'single'")
    add_evaluation_options(parser, count=50)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.evaluate import evaluate
    from ..evaluation.methods import make_methods, preset_methods, scaled
    from ..evaluation.tables import write_tables
    from ..renders.samples import read_samples
    from ..single_gan import base_model

    bank = load_bank_named(options)
    single = None if options.single_bank is None else load_bank_named(options, options.single_bank)
    if options.methods:
        unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
        methods = make_methods(options.methods, rows_of(options), bank, single, unet)
    else:
        methods = preset_methods(get_preset(options.preset), bank)
        methods = [scaled(method, options.steps_scale) for method in methods]
    forget(options)
    own = {"preset": options.preset, "steps_scale": options.steps_scale}
    run = run_settings(options, asdict(rows_of(options)) if options.methods else own)
    samples = read_samples(options.data, base_model(bank.forward_model).components, options.count, options.split)
    table = evaluate(bank, samples, methods, run, options.out, single, say)
    print(write_tables(options.out, table))
