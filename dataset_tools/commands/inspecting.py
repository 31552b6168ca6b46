# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that look at a dataset: verify, preview, stats, card."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dataset_tools.commands.arguments import command, natural, positive
from dataset_tools.description.seeds import SPLITS
from dataset_tools.errors import UserError
from dataset_tools.inspection import cards, preview, stats, stats_plot, stats_text, verify
from dataset_tools.packs.exports import ALL_SPLITS
from dataset_tools.storage import shards


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    parser = command(commands, "verify", "check every sample: hashes, identity, counts, splits, descriptions")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--quick", action="store_true", help="read no pixels: hashes, counts, splits, descriptions only"
    )
    parser.set_defaults(run=_verify)

    parser = command(commands, "preview", "draw a contact sheet of random samples with their layers")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--count", type=positive, default=64, help="number of samples")
    parser.add_argument("--columns", type=positive, default=8, help="samples in a row")
    parser.add_argument("--resolution", type=positive, default=128, help="width and height of one tile")
    parser.add_argument("--split", default=ALL_SPLITS, choices=(*SPLITS, ALL_SPLITS))
    parser.add_argument("--seed", type=natural, default=0, help="which samples are drawn")
    parser.add_argument("--out", type=Path, required=True, metavar="SHEET.png", help="PNG, JPEG or WebP")
    parser.set_defaults(run=_preview)

    parser = command(commands, "stats", "print what is in a dataset: values, highlights, materials, lights, errors")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--count", type=positive, default=1000, help="random samples whose pixels are read")
    parser.add_argument("--split", default=ALL_SPLITS, choices=(*SPLITS, ALL_SPLITS))
    parser.add_argument(
        "--photos", type=Path, nargs="+", default=[], metavar="DIR", help="compare the images with those of folders"
    )
    parser.add_argument("--out", type=Path, nargs="+", default=[], metavar="FILE", help="also as .json, .md or .png")
    parser.set_defaults(run=_stats)

    parser = command(commands, "card", "write the dataset card, README.md with an example sheet, into its folder")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--count", type=positive, default=1000, help="random samples whose pixels are read")
    parser.set_defaults(run=_card)


def _verify(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    report = verify.verify(options.folder, options.quick)
    for note in report.notes:
        print(f"note: {note}")
    for finding in report.findings:
        print(finding)
    splits = ", ".join(f"{count} {name}" for name, count in report.splits.items())
    error = "" if report.largest_error is None else f"; largest identity error as stored {report.largest_error:.2g}"
    looked_at = (
        f"{report.samples} samples ({splits}) in {report.shards} shard{'s' if report.shards != 1 else ''}{error}"
    )
    if report.findings:
        print(f"{len(report.findings)} finding{'s' if len(report.findings) > 1 else ''} in {looked_at}")
        return 1
    print(f"All well: {looked_at}")
    return 0


def _preview(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    wanted = preview.Sheet(options.count, options.columns, options.resolution, options.split, options.seed)
    print(f"{preview.write(options.folder, wanted, options.out)} samples on {options.out}")


def _stats(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    for out in options.out:
        if out.suffix.lower() not in _WRITERS:
            raise UserError(f"{out.name} has no known ending: name it .json, .md or .png.")
    numbers = stats.measure(options.folder, options.count, options.split, photo_folders=options.photos)
    print(stats_text.markdown(numbers), end="")
    for out in options.out:
        with shards.atomic(out) as partial:
            _WRITERS[out.suffix.lower()](numbers, partial)


_WRITERS: dict[str, Callable[[dict[str, Any], Path], object]] = {
    ".json": lambda numbers, path: path.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8"),
    ".md": lambda numbers, path: path.write_text(stats_text.markdown(numbers), "utf-8"),
    ".png": lambda numbers, path: stats_plot.draw(numbers).save(path, "PNG", optimize=True),
}


def _card(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    print(f"dataset card: {cards.write(options.folder, options.count)}")
