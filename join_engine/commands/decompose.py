# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose images.

Each image gets a folder of its own in ``--out``: layers as EXR and PNG, ``decomposition.join``, ``report.json``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import JoinError
from .options import (
    BAD_INPUT,
    add_detail_option,
    add_inversion_options,
    as_json,
    chosen_preset,
    complain,
    expand,
    folders,
    load_bank_named,
    say,
)

if TYPE_CHECKING:
    from ..bank import Bank
    from ..inversion.codebook import CodeBook
    from ..inversion.progress import Monitor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="PNG, JPEG, TIFF, EXR or NPY, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder; each image gets a folder of its own in it")
    add_inversion_options(parser)
    add_detail_option(parser)
    parser.add_argument("--confidence", action="store_true", help="also write how sure the bank is of every pixel")


def run(options: argparse.Namespace) -> int:
    from ..inversion.codebook import CodeBook

    bank = load_bank_named(options)
    codebook = CodeBook(bank)
    images, problems = expand(options.images)
    status = BAD_INPUT if problems else 0
    for problem in problems:
        complain(problem)
    for path, folder in zip(images, folders(images, options.out), strict=True):
        try:
            _decompose_one(path, folder, bank, codebook, options)
        except JoinError as error:
            complain(error)
            status = BAD_INPUT
        else:
            print(folder)
    return status


def _decompose_one(path: Path, folder: Path, bank: Bank, codebook: CodeBook, options: argparse.Namespace) -> None:
    from ..images.files import read_image, write_text
    from ..layers.decomposition import save_decomposition
    from ..layers.layer_files import write_confidence, write_layers
    from ..pipeline import decompose

    image = read_image(path)
    with _progress_bar(path.name) as monitor:
        preset = chosen_preset(options)
        outcome = decompose(image, bank, preset, options.seed, monitor, codebook=codebook)
    result = outcome.decomposition
    write_layers(folder, result)
    if options.confidence and outcome.error is not None:
        write_confidence(folder, outcome.error, result.size)
    if result.metrics.get("unusual"):
        say(f"{path.name} is unlike what the bank '{bank.header.name}' knows: look at its layers before you use them.")
    save_decomposition(folder / "decomposition.join", result)
    report = {"image": str(path), "size": list(result.size), **result.summary()}
    write_text(folder / "report.json", as_json(report))  # last: who finds it finds all the rest complete


@contextmanager
def _progress_bar(name: str) -> Iterator[Monitor]:
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
