# SPDX-License-Identifier: GPL-3.0-or-later
"""All methods for banks, written into their cards."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from .options import BAD_INPUT, add_device_options, complain, natural, say
from .table_options import add_evaluation_options, forget, rows_of, run_settings, unet_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder with BANK.tar or a folder BANK of packs")
    parser.add_argument("--split", help="only packs of this split")
    parser.add_argument("--methods", nargs="+", default=["all"], metavar="METHOD", help="default: all")
    parser.add_argument("--banks", nargs="+", metavar="BANK", help="names or paths (default: the shipped ones)")
    parser.add_argument("--out", type=Path, required=True, help="folder; each bank gets a folder of its own in it")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument(
        "--compared", type=Path, metavar="DIR", help="folder with BANK-single and BANK-image, the GANs to compare with"
    )
    add_evaluation_options(parser, count=100)
    add_device_options(parser)


def run(options: argparse.Namespace) -> int:
    from ..device import keep_freed_memory, set_up_torch
    from ..evaluation.scorecard import Wanted, make_scorecards

    forget(options)
    run = run_settings(options, asdict(rows_of(options)))
    methods, rows = tuple(options.methods), rows_of(options)
    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    unet = unet_of(options, device)
    wanted = Wanted(options.data, options.count, options.split, methods, rows, options.compared, unet)
    problems = make_scorecards(options.banks, wanted, run, options.out, device, say)
    for problem in problems:
        complain(problem)
    return BAD_INPUT if problems else 0
