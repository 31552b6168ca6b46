# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that makes a dataset of other people's passes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dataset_tools.commands.arguments import command
from dataset_tools.imports import importer as imports
from dataset_tools.imports import mapping
from dataset_tools.inspection import cards


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's command to the parser."""
    parser = command(commands, "import", "make a dataset of other people's passes; run again to resume")
    parser.add_argument("mapping", type=Path, metavar="MAPPING.json", help="see dataset_tools/mappings for examples")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of the passes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the new dataset")
    parser.add_argument("--crop", action="store_true", help="keep the middle of pictures that are not square")
    parser.add_argument("--skip-incomplete", action="store_true", help="leave out samples that lack a pass")
    parser.set_defaults(run=_import)


def _import(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    described = mapping.read_mapping(options.mapping)
    done = imports.import_passes(
        described, options.source, options.out, crop=options.crop, skip_incomplete=options.skip_incomplete
    )
    skipped = f", {done.skipped} incomplete ones left out" if done.skipped else ""
    print(f"{done.count} samples in {options.out}{skipped}; {done.valid:.1%} of their pixels are valid")
    if done.largest_error is not None:
        print(f"albedo × shading + specular differs from '{described.image}' by {done.largest_error:.3g} at most")
    trouble = cards.write_if_possible(options.out)
    if trouble:
        print(trouble)
