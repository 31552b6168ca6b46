# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that take samples out of a dataset: packs and single ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dataset_tools.commands.arguments import command, mebibytes, natural, positive
from dataset_tools.description.seeds import SPLITS
from dataset_tools.packs import exports, samples
from dataset_tools.storage import layers


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    parser = command(commands, "export", "pack one split of the finished shards for training or evaluation")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--resolution", type=positive, required=True, help="width and height; divides the rendered one")
    parser.add_argument("--components", nargs="+", default=["albedo", "shading"], choices=layers.NAMES)
    parser.add_argument("--split", default="train", choices=(*SPLITS, exports.ALL_SPLITS))
    parser.add_argument("--float", action="store_true", dest="floats", help="float32 linear .npy instead of 8-bit PNG")
    parser.add_argument("--limit", type=positive, help="take this many samples at most")
    parser.add_argument("--max-mib", type=mebibytes, metavar="M", help="several files of at most M MiB each")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.tar")
    parser.set_defaults(run=_export)

    parser = command(commands, "sample", "write one sample as an image with its true layers")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--index", type=natural, required=True)
    parser.add_argument("--resolution", type=positive, required=True, help="width and height; divides the rendered one")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=_sample)


def _export(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    # Each component once, in the order given.
    components = tuple(dict.fromkeys(options.components))
    wanted = exports.Export(
        options.resolution, components, options.split, options.floats, options.limit, options.max_mib
    )
    written = exports.export(options.folder, wanted, options.out)
    print(f"{written.count} samples (split: {options.split}) in {', '.join(map(str, written.files))}")


def _sample(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    split = samples.write_sample(options.folder, options.index, options.resolution, options.out)
    print(f"sample {options.index} ({split}) in {options.out}")
