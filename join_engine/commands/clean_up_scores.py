# SPDX-License-Identifier: GPL-3.0-or-later
"""What *Clean Up* gives below stickers and shadows on renders, beside nothing done and a smooth inpainting.

--data are packs of renders with true layers; every other one gets a sticker, every other one a shadow. --out gets
clean-up.json and clean-up.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_inversion_options, as_json, load_bank_named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=40, help="renders of each pack at most (default: 40)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser)
    parser.set_defaults(preset="draft")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.clean_up_scores import format_table, measure
    from ..images.files import write_text
    from ..inversion.presets import get_preset
    from ..renders.samples import read_samples

    bank, preset = load_bank_named(options), get_preset(options.preset)
    components = bank.forward_model.components
    samples = [sample for pack in options.data for sample in read_samples(pack, components, options.count)]
    table = measure(bank, samples, preset, options.seed, say)
    write_text(options.out / "clean-up.json", as_json(table))
    write_text(options.out / "clean-up.md", format_table(table))
    print(format_table(table))
