# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a bank notices pictures of a kind that it has not learned from.

--known and --unknown name sets: packs of renders, which are shown as a metering camera shows them, or folders of
photos. Printed is how many of each are called unusual, and for each figure of confidence the area under the ROC curve
between the known sets together and each unknown one: 1 for always told apart, 0.5 for guessing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .options import add_inversion_options, load_bank_named, named, positive, say

if TYPE_CHECKING:
    import numpy as np

    from ..bank import Bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pair = named("PACK.tar|FOLDER")
    for option, words in (("--known", "of kinds that the bank has learned from"), ("--unknown", "of other kinds")):
        parser.add_argument(option, nargs="+", type=pair, required=True, metavar="NAME=SET", help=words)
    parser.add_argument("--count", type=positive, default=100, help="pictures of each set at most (default: 100)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every picture")
    add_inversion_options(parser)
    parser.set_defaults(preset="draft")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.confidence_scores import figures_of, format_table
    from ..images.files import write_text
    from ..inversion.codebook import CodeBook
    from ..inversion.presets import get_preset

    bank = load_bank_named(options)
    codebook, preset = CodeBook(bank), get_preset(options.preset)

    def measured(sets: Sequence[tuple[str, str]]) -> dict[str, list[dict[str, float]]]:
        found = {}
        for name, path in sets:
            found[name] = figures_of(bank, _pictures(bank, Path(path), options.count), preset, options.seed, codebook)
            say(f"{name}: {len(found[name])} pictures")
        return found

    known, unknown = measured(options.known), measured(options.unknown)
    if options.out is not None:
        write_text(options.out, json.dumps({"known": known, "unknown": unknown}, indent=1) + "\n")
    print(format_table(known, unknown))


def _pictures(bank: Bank, path: Path, count: int) -> list[np.ndarray]:
    """Evenly chosen among a folder's photos, or the first renders of a pack."""
    from ..evaluation.confidence_scores import photograph_of
    from ..images.files import images_in, read_image
    from ..renders.samples import read_samples

    if path.is_dir():
        files = images_in(path).images
        every = max(1, -(-len(files) // count))
        return [read_image(file) for file in files[::every]]
    samples = read_samples(path, bank.forward_model.components, count)
    return [photograph_of(bank, sample.components) for sample in samples]
