# SPDX-License-Identifier: GPL-3.0-or-later
"""Which share and radius of the detail suit a bank.

Prints mean PSNR of every component with the detail split in each of the ways, over renders of the validation split.
What is best goes into the bank by make-bank --detail-share --detail-radius.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..inversion.presets import PRESETS, Detail, get_preset
from .options import add_threads_option, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..evaluation.detail_choice import RADII, SHARES

    parser.add_argument("--bank", required=True, help="name or path")
    parser.add_argument("--data", required=True, type=Path, help="a pack of validation renders")
    parser.add_argument("--count", type=positive, default=200, help="how many of them (default: 200)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="draft", help="makes the layers")
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--radii", nargs="+", type=float, default=RADII, help="in pixels of the bank")
    parser.add_argument(
        "--brightness", action=argparse.BooleanOptionalAction, default=True, help="as the bank's network tells it"
    )
    add_threads_option(parser)


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..device import set_up_torch
    from ..evaluation.detail_choice import compare
    from ..renders.samples import read_samples

    ways = [(radius, share) for radius in options.radii for share in options.shares]
    settings = [Detail(radius, share, options.brightness) for radius, share in ways]
    bank = load_bank(find_bank(options.bank), set_up_torch("auto", options.threads))
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    print(f"| radius | share | {' | '.join(bank.components)} |")
    print("|---|---|" + "---|" * len(bank.components))
    for setting, psnr in zip(settings, compare(bank, samples, get_preset(options.preset), settings), strict=True):
        print(f"| {setting.radius:g} | {setting.share:g} | {' | '.join(f'{psnr[name]:.2f}' for name in psnr)} |")
