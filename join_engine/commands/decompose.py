# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose images.

Each image gets a folder of its own in ``--out``: layers as EXR and PNG, ``decomposition.join``, ``report.json``, and
``made.json``, which says what made them. It appears when all of it is there. It takes the place of what the same image
got before; where another thing has its name, it gets a number.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import JoinError
from ..names import safe_name
from .options import (
    BAD_INPUT,
    IMAGE_KINDS,
    add_detail_option,
    add_inversion_options,
    chosen_preset,
    complain,
    expand,
    load_bank_named,
    say,
)

if TYPE_CHECKING:
    from ..bank import Bank
    from ..inversion.codebook import CodeBook
    from ..inversion.progress import Monitor
    from ..layers.decomposition import Decomposition


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help=f"{IMAGE_KINDS}, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder; each image gets a folder of its own in it")
    add_inversion_options(parser)
    add_detail_option(parser)
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what has a whole result of the same image, bank and settings",
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="part or layer of an EXR (default: the picture: Combined, RGBA, beauty …)"
    )
    parser.add_argument("--confidence", action="store_true", help="also write how sure the bank is of every pixel")


def run(options: argparse.Namespace) -> int:
    from ..images.files import folder_of_ones_own
    from ..inversion.codebook import CodeBook

    bank = load_bank_named(options)
    codebook = CodeBook(bank)
    images, problems = expand(options.images, options.out)
    status = BAD_INPUT if problems else 0
    for problem in problems:
        complain(problem)
    folders: list[Path] = []
    with folder_of_ones_own(options.out) if images else nullcontext():
        for path in images:
            try:
                folders.append(_decompose_one(path, folders, bank, codebook, options))
            except JoinError as error:
                complain(error)
                status = BAD_INPUT
            else:
                print(folders[-1], flush=True)
    return status


def _decompose_one(
    path: Path, taken: Sequence[Path], bank: Bank, codebook: CodeBook, options: argparse.Namespace
) -> Path:
    """The folder of the result; ``taken`` are those of the images before."""
    from ..images.files import read_picture
    from ..layers.layer_files import write_report, write_result
    from ..layers.result_folder import Made, folder_for, is_finished, read_marker, result_folder
    from ..pipeline import decompose

    picture, preset = read_picture(path, options.layer), chosen_preset(options)
    for note in picture.notes:
        say(f"{path.name}: {note}")
    made = Made.decomposing(path, bank, preset, options.seed, options.layer, confidence=options.confidence)
    folder = folder_for(options.out, path.stem, made, taken)
    plain = options.out / safe_name(path.stem)
    if folder != plain and plain not in taken:  # something else has it
        say(f"{path.name}: the layers are in {folder}.")
    if options.skip_existing and is_finished(folder, made):
        say(f"{path.name}: finished already.")
        return folder
    with progress_bar(path.name) as monitor:
        outcome = decompose(picture.pixels, bank, preset, options.seed, monitor, codebook=codebook)
    result = outcome.decomposition
    say_if_unusual(path, result, bank)
    if read_marker(folder) is not None:
        say(f"{path.name}: the earlier result in {folder} is replaced.")
    with result_folder(folder, made) as new:
        write_result(new, result, outcome.error if options.confidence else None)
        write_report(new, str(path), picture.notes, result)
    return folder


def say_if_unusual(path: Path, decomposition: Decomposition, bank: Bank) -> None:
    """Warn of layers that are likely to be wrong."""
    if decomposition.metrics.get("unusual"):
        share = f"a simple method has a share of {decomposition.metrics['caution']:.0%} in its light"
        say(f"{path.name} is unlike what the bank '{bank.header.name}' knows, {share}: look at its layers first.")


@contextmanager
def progress_bar(name: str) -> Iterator[Monitor]:
    """A bar on stderr, which shows nothing where stderr is no terminal."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    from ..inversion.progress import Monitor, Progress
    from ..inversion.stage import STAGES

    with tqdm(desc=name, leave=False, disable=None) as bar:

        def report(progress: Progress) -> None:
            loss = "" if progress.loss is None else f", loss {progress.loss:.4f}"
            bar.total, bar.n = progress.of, progress.step
            bar.set_description_str(f"{name}: {STAGES[progress.stage].words}{loss}")

        yield Monitor(report)
