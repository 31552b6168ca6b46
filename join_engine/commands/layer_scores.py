# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the layers of renders are at the renders' own size, as a metering camera shows them.

The packs' validation split decides about everything between the generators and the layers. Printed are mean errors, how
bright the albedo is not counting.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .options import add_inversion_options, load_bank_named, named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pair = named("PACK.tar")
    parser.add_argument("--data", nargs="+", type=pair, required=True, metavar="NAME=PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=40, help="renders of each at most (default: 40)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every render")
    add_inversion_options(parser)
    parser.set_defaults(preset="draft")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.layer_scores import format_table, measure
    from ..images.files import write_text
    from ..inversion.presets import get_preset

    bank, preset, found = load_bank_named(options), get_preset(options.preset), {}
    for name, path in options.data:
        found[name] = measure(Path(path), bank, preset, options.count, options.seed)
        say(f"{name}: {len(found[name])} renders")
    if options.out is not None:
        write_text(options.out, json.dumps(found, indent=1) + "\n")
    print(format_table(found))
