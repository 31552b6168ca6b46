# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN's figures of faces as sheets: renders of two and three components, photos, relighting, other methods, ablation.

--only portraits draws a sheet of each photo at its own resolution: its layers, and the photo with its key light from
the left, from the right, and warm from above. --data is a float pack of renders. --tables is the folder of
`paper-tables` for the same renders: what it has kept of the first ones (its --figures) is shown. --photos are pictures
of your own. What cannot be drawn without one of them is left out, and said.
"""

from __future__ import annotations

import argparse
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from .options import BAD_INPUT, add_inversion_options, expand, load_bank_named, positive, say
from .table_options import add_row_options, rows_of, unet_of

if TYPE_CHECKING:
    from ..renders.samples import Sample


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="PACK.tar", help="renders, for figures 5, 6 and 12")
    parser.add_argument("--split", help="only a folder's packs of this split, such as test")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder of paper-tables")
    parser.add_argument("--photos", nargs="+", default=[], metavar="IMAGE", help="images, or folders of them")
    parser.add_argument("--count", type=positive, default=4, help="renders that are shown (default 4)")
    figures = ("5", "6", "7", "8", "9", "12", "13", "portraits")
    parser.add_argument(
        "--only", nargs="+", choices=figures, default=list(figures), help="these figures (default: all)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_row_options(parser)
    add_inversion_options(parser)
    parser.set_defaults(preset="portrait")


def run(options: argparse.Namespace) -> int:
    from ..evaluation.paper_figures import PaperFigures, write_figures
    from ..inversion.presets import get_preset
    from ..renders.samples import read_samples

    photos, problems = expand(options.photos, options.out) if options.photos else ([], [])
    if problems:
        raise problems[0]
    bank = load_bank_named(options)
    unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
    samples: list[Sample] = []
    if options.data is not None:
        samples = read_samples(options.data, bank.forward_model.components, options.count, options.split)
    preset, rows = get_preset(options.preset), rows_of(options)
    figures = PaperFigures(bank, samples, options.tables, photos, rows, preset, unet, options.seed, say)
    written = write_figures(figures, options.out, options.only)
    for path in chain.from_iterable(written.values()):
        print(path)
    return 0 if len(written) == len(options.only) else BAD_INPUT
