# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn the named directions of a bank's materials from pairs of renders that differ in one property.

--data are folders that `dataset_tools/render.py restyle` has written. Each direction is tried on every scene by what
was learned of all others, against the true render; those that do what their names say go into --out, for
`make-bank --materials`. The table tells in dB what each gains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_bank_option, add_device_options, load_bank_named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="RESTYLED", help="folders of restyle")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..bank.card import materials_table
    from ..relighting.directions_file import write_directions
    from ..renders.restyled import read_restyled
    from ..training.materials import learn

    bank = load_bank_named(options)
    learned = learn(bank, read_restyled(options.data, bank.forward_model.components))
    write_directions(options.out, learned)
    print("\n".join(materials_table(learned.header)))
