# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose images.

Each image gets a folder of its own in ``--out``: layers as EXR and PNG, ``decomposition.join``, ``report.json``, and
``made.json``, which says what made them. It appears when all of it is there. It takes the place of what the same image
got before; where another thing has its name, it gets a number.

With --bank auto each image gets the bank whose pictures it is most like, where that is clear; report.json tells why.

By a bank of faces the head is decomposed as FFHQ cuts it, and all around it by the default bank. The face is found, or
--face-box or --face-points tells where it is, in pixels from the upper left corner of the picture.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import JoinError
from ..names import safe_name
from ..options import (
    BAD_INPUT,
    IMAGE_KINDS,
    add_detail_option,
    add_inversion_options,
    choose_bank_for,
    chosen_preset,
    complain,
    expand,
    load_bank_named,
    say,
)

if TYPE_CHECKING:
    import numpy as np

    from ..bank import Bank, Choice
    from ..inversion.progress import Monitor
    from ..layers.decomposition import Decomposition
    from ..portraits import Splitter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help=f"{IMAGE_KINDS}, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder; each image gets a folder of its own in it")
    add_inversion_options(parser, chooses=True)
    add_detail_option(parser)
    parser.add_argument(
        "--skip-existing",
        action="store_true",
        help="leave out what has a whole result of the same image, bank and settings",
    )
    parser.add_argument(
        "--layer", metavar="NAME", help="part or layer of an EXR (default: the picture: Combined, RGBA, beauty …)"
    )
    face = parser.add_mutually_exclusive_group()
    face.add_argument("--face-box", type=_numbers(4), metavar="LEFT,TOP,RIGHT,BOTTOM", help="around the head")
    face.add_argument(
        "--face-points",
        nargs=3,
        type=_numbers(2),
        metavar=("EYE_X,Y", "EYE_X,Y", "MOUTH_X,Y"),
        help="the eyes, and the middle of the mouth",
    )
    parser.add_argument("--confidence", action="store_true", help="also write how sure the bank is of every pixel")


def run(options: argparse.Namespace) -> int:
    from ..images.files import folder_of_ones_own

    splitters = _Splitters(options)
    images, problems = expand(options.images, options.out)
    status = BAD_INPUT if problems else 0
    for problem in problems:
        complain(problem)
    folders: list[Path] = []
    with folder_of_ones_own(options.out) if images else nullcontext():
        for path in images:
            try:
                folders.append(_decompose_one(path, folders, splitters, options))
            except JoinError as error:
                complain(error)
                status = BAD_INPUT
            else:
                print(folders[-1], flush=True)
    return status


class _Splitters:
    """What splits each picture: one for all of them, or where their banks are chosen by them, one for each bank."""

    def __init__(self, options: argparse.Namespace) -> None:
        from ..bank import AUTO

        self._options = options
        self._made: dict[str | None, Splitter] = {}
        if options.bank != AUTO:  # what is wrong with it is told before any picture is read
            self._by(options.bank)

    def of(self, image: np.ndarray) -> tuple[Splitter, Choice | None]:
        """For a linear image [H, W, 3 or 4]; and why, where its bank was chosen by it."""
        name, choice = choose_bank_for(self._options, [image])
        return self._by(name), choice

    def _by(self, name: str | None) -> Splitter:
        from ..portraits import Splitter

        if name not in self._made:
            bank, preset = load_bank_named(self._options, name), chosen_preset(self._options)
            face = {"box": self._options.face_box, "points": self._options.face_points}
            given = {key: told for key, told in face.items() if told is not None}
            self._made[name] = Splitter(bank, preset, self._options.seed, given or None)
        return self._made[name]


def _numbers(count: int) -> Callable[[str], list[float]]:
    """Type of an option: so many finite numbers with commas between."""

    def read(text: str) -> list[float]:
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if len(values) != count or not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f"'{text}' is not {count} numbers with commas between")
        return values

    return read


def _decompose_one(path: Path, taken: Sequence[Path], splitters: _Splitters, options: argparse.Namespace) -> Path:
    """The folder of the result; ``taken`` are those of the images before."""
    from ..images.files import read_picture
    from ..layers.layer_files import write_report, write_result
    from ..layers.result_folder import Made, folder_for, is_finished, read_marker, result_folder
    from ..pipeline import with_choice
    from ..portraits import suggest

    picture = read_picture(path, options.layer)
    for note in picture.notes:
        say(f"{path.name}: {note}")
    splitter, choice = splitters.of(picture.pixels)
    made = Made.decomposing(
        path,
        splitter.bank,
        splitter.preset,
        splitter.seed,
        options.layer,
        confidence=options.confidence,
        face=splitter.decides,
    )
    folder = folder_for(options.out, path.stem, made, taken)
    plain = options.out / safe_name(path.stem)
    if folder != plain and plain not in taken:  # something else has it
        say(f"{path.name}: the layers are in {folder}.")
    if options.skip_existing and is_finished(folder, made):
        say(f"{path.name}: finished already.")
        return folder
    with progress_bar(path.name) as monitor:
        outcome, notes = splitter.split(picture.pixels, f"'{path}'", monitor)
    notes += suggest(picture.pixels, options.bank)[1]
    for note in notes:
        say(f"{path.name}: {note}")
    result = with_choice(outcome.decomposition, choice)
    say_if_unusual(path, result, splitter.bank)
    if read_marker(folder) is not None:
        say(f"{path.name}: the earlier result in {folder} is replaced.")
    with result_folder(folder, made) as new:
        write_result(new, result, outcome.error if options.confidence else None)
        write_report(new, str(path), [*picture.notes, *notes], result)
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
