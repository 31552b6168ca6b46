# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the layers of a stored decomposition tileable: seams are taken out of all of them together.

The layers get smaller by a sixth of each side, and lose what differs between opposite edges by large. Printed is the
seam energy before and after: 1 where no seam can be told from the picture's own texture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument("--out", type=Path, required=True, help="folder for the layers")


def run(options: argparse.Namespace) -> None:
    from dataclasses import replace

    from ..layers.decomposition import load_decomposition
    from ..layers.layer_files import write_layers
    from ..layers.result_folder import Made, Source, check_free, result_folder
    from ..layers.tileable import seam, tileable

    decomposition = load_decomposition(options.decomposition)
    check_free(options.out, "tile")
    layers = dict(decomposition.layers)
    tile = tileable(layers)
    made = Made("tile", Source.of(options.decomposition), decomposition.bank_sha256, {})
    with result_folder(options.out, made) as new:
        write_layers(new, replace(decomposition, layers=tile.layers))
    say(f"Seam energy: {seam(layers):.2f} before, {seam(tile.layers, tile):.2f} after.")
    print(options.out)
