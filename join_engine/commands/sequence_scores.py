# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the albedo of a sequence flickers, frame by frame and as decompose-sequence makes it.

--data is a folder that `dataset_tools/render.py relit` has written: of each scene and moved light a sequence is made in
which the one fades into the other while something passes through the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_inversion_options, as_json, load_bank_named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="RELIT", help="folder of packs")
    parser.add_argument("--count", type=positive, default=4, help="sequences (default 4)")
    parser.add_argument("--frames", type=positive, default=100, help="of each (default 100)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every sequence")
    add_inversion_options(parser)
    parser.set_defaults(preset="draft")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.sequence_scores import format_table, measure
    from ..images.files import write_text
    from ..inversion.presets import get_preset
    from ..renders.relit import read_relit

    bank = load_bank_named(options)
    scenes = read_relit(options.data, bank.forward_model.components, options.count)
    preset = get_preset(options.preset)
    rows = measure(bank, scenes, preset, options.count, options.frames, options.seed, say)
    if options.out is not None:
        write_text(options.out, as_json(rows))
    print(format_table(rows, options.frames))
