# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the maps made of layers are from those of renders, beside a flat surface and a constant roughness.

The packs are those of dataset_tools/render.py maps. Angles are means over all pixels, roughness errors root mean
squares; "true" are the maps of the render's own layers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .options import add_inversion_options, load_bank_named, named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pair = named("PACK.tar")
    parser.add_argument("--data", nargs="+", type=pair, required=True, metavar="NAME=PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=1000, help="renders of each at most (default: 1000)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every render")
    add_inversion_options(parser)
    parser.set_defaults(preset="draft")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.maps_scores import format_table, measure
    from ..images.files import write_text
    from ..inversion.presets import get_preset

    bank, preset, found = load_bank_named(options), get_preset(options.preset), {}
    for name, path in options.data:
        found[name] = measure(Path(path), bank, preset, options.count, options.seed)
        say(f"{name}: {len(found[name])} renders")
    if options.out is not None:
        write_text(options.out, json.dumps(found, indent=1) + "\n")
    print(format_table(found))
