# SPDX-License-Identifier: GPL-3.0-or-later
"""How well held-out heads are decomposed, and their faces found, by the tone of their skin.

--data is a float pack of the dataset heads. --out gets tones.json, with the figures of every head, and tones.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_inversion_options, as_json, finite, load_bank_named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack of heads")
    parser.add_argument("--count", type=positive, default=300, help="how many heads at most (default 300)")
    metered = "mean luminance of the photos that are taken of them (default 0.18); more is brighter, and clips more"
    parser.add_argument("--metered", type=finite, default=0.18, metavar="LUMINANCE", help=metered)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..errors import JoinError
    from ..evaluation.tone_scores import format_table, measure, summarise
    from ..images.files import write_text
    from ..inversion.presets import get_preset
    from ..renders.samples import read_samples, read_tones

    bank = load_bank_named(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    tones = read_tones(options.data)
    told = [sample for sample in samples if sample.name in tones]
    if not told:
        message = f"'{options.data}' does not tell the tone of anybody's skin."
        raise JoinError("data_broken", message, "Export renders of heads with this version of dataset_tools.")
    rows = measure(bank, told, tones, get_preset(options.preset), options.seed, say, options.metered)
    table = summarise(rows)
    about = {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        "preset": options.preset,
        "metered": options.metered,
    }
    write_text(options.out / "tones.json", as_json({**about, **table, "heads": rows}))
    write_text(options.out / "tones.md", format_table(table))
    print(format_table(table))
