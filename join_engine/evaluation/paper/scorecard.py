# SPDX-License-Identifier: GPL-3.0-or-later
"""All methods for banks, written into their cards.

The scorecard's part of a card lies between two markers of its own; what stands around it stays.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...bank import Bank, find_bank, list_banks, load_bank
from ...bank.card import put_part
from ...device import keep_freed_memory, set_up_torch
from ...errors import JoinError
from ...networks.unet import UNet
from ...options import BAD_INPUT, add_device_options, complain, natural, say
from ...renders.samples import read_samples
from ..methods.by_name import GROUPS, Rows, make_methods
from ..methods.unet import unet_of
from ..options import add_evaluation_options, forget, rows_of
from ..tables import format_table, markdown, write_tables
from .evaluate import Run, evaluate

BEGIN = "<!-- scorecard, written by `python -m join_engine scorecard`: begin -->"
END = "<!-- scorecard: end -->"
# The GANs that the paper compares a bank NAME with, in a folder of such banks.
_SINGLE, _IMAGE = "-single", "-image"


@dataclass(frozen=True)
class Wanted:
    """What to measure.

    Args:
        data: folder with ``NAME.tar`` or a folder ``NAME`` of packs for each bank.
        count: samples per bank.
        split: only packs of this split; None takes all.
        methods: as on the command line.
        rows: common settings of the paper's rows.
        compared: folder with ``NAME-single.safetensors``, a bank of the single GAN for Table 2, and
            ``NAME-image.safetensors``, a GAN of composed images for Table 4; None leaves both out.
        unet: for the method of that name; None leaves it out.
    """

    data: Path
    count: int
    split: str | None
    methods: tuple[str, ...]
    rows: Rows
    compared: Path | None = None
    unet: UNet | None = None

    def other(self, name: str) -> Path | None:
        """The file of this name in the folder of compared banks; None where there is none."""
        path = None if self.compared is None else self.compared / f"{name}.safetensors"
        return path if path is not None and path.is_file() else None


def make_scorecards(
    names: Sequence[str] | None, wanted: Wanted, run: Run, out: Path, device: torch.device
) -> list[JoinError]:
    """Tables, sheets and cards of banks (None: the shipped ones); what went wrong with any of them."""
    problems = []
    paths = [find_bank(name) for name in names] if names else list_banks()
    for path in paths:
        try:
            _one(path, wanted, run, out / path.stem, device)
        except JoinError as error:
            problems.append(error)
    return problems


def _one(path: Path, wanted: Wanted, run: Run, out: Path, device: torch.device) -> None:
    bank = load_bank(path, device, with_discriminators=True)
    data = wanted.data / path.stem
    data = data if data.is_dir() else wanted.data / f"{path.stem}.tar"
    single_path = wanted.other(path.stem + _SINGLE)
    single_bank = None if single_path is None else load_bank(single_path, device, with_discriminators=True)
    methods = make_methods(wanted.methods, wanted.rows, bank, single_bank, wanted.unet)
    samples = read_samples(data, bank.forward_model.components, wanted.count, wanted.split)
    say(f"{path.stem}: {len(samples)} samples, {sum(not method.lacks for method in methods)} methods")
    table = evaluate(bank, samples, methods, run, out, single_bank)
    write_tables(out, table)
    fourth = _table4(path, bank, data, wanted, run, out / "table4", device)
    write_scores(path.with_suffix(".md"), table, fourth)


def _table4(
    path: Path,
    bank: Bank,
    data: Path,
    wanted: Wanted,
    run: Run,
    out: Path,
    device: torch.device,
) -> dict[str, Any] | str:
    """The experiment of Table 4 on a GAN of composed images, or why there is none."""
    image_path = wanted.other(path.stem + _IMAGE)
    if image_path is None:
        return f"no bank '{path.stem}{_IMAGE}' of a GAN of composed images was given"
    image_bank = load_bank(image_path, device, with_discriminators=True)
    if image_bank.forward_model.components != ("image",):
        return f"'{image_path.name}' is no GAN of composed images"
    composed = []
    for sample in read_samples(data, bank.forward_model.components, wanted.count, wanted.split):
        image = bank.forward_model.compose(sample.components)
        composed.append(type(sample)(sample.name, {"image": image}))
    methods = make_methods(GROUPS["table4"], wanted.rows, image_bank)
    table = evaluate(image_bank, composed, methods, run, out, None)
    write_tables(out, table)
    return table


def write_scores(card: Path, table: Mapping[str, Any], fourth: Mapping[str, Any] | str) -> None:
    """Put the tables between the markers of a card, or at its end where there are none. Raises JoinError
    ``output_unwritable``."""
    table4 = f"Not available: {fourth}.\n" if isinstance(fourth, str) else format_table(fourth)
    lines = [BEGIN, "", "## Scorecard", "", format_table(table), *_ahead(table)]
    lines += ["### kNN loss against in-domain loss on a single GAN (JoIN's Table 4)", "", table4.rstrip(), "", END]
    put_part(card, BEGIN, END, "\n".join(lines))


def _ahead(table: Mapping[str, Any]) -> list[str]:
    """Each row against ours, sample by sample."""
    if not table["differences"]:
        return []
    lines = [f"### PSNR of each row less that of '{table['reference']}', sample by sample", ""]
    columns = list(next(iter(table["differences"].values())))
    rows = []
    for title, scores in table["differences"].items():
        cells = []
        for column in columns:
            low, high = scores[column]["psnr"]["interval"]
            cells.append(f"{scores[column]['psnr']['mean']:+.2f} [{low:+.2f}, {high:+.2f}]")
        rows.append([title, *cells])
    return [
        *lines,
        *markdown(["method", *columns], rows),
        "",
        "In dB, with the 95 % interval of the mean: a row is ahead where 0 lies outside.",
        "",
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder with BANK.tar or a folder BANK of packs")
    parser.add_argument("--split", help="only packs of this split")
    parser.add_argument("--methods", nargs="+", default=["all"], metavar="METHOD", help="default: all")
    parser.add_argument("--banks", nargs="+", metavar="BANK", help="names or paths (default: the shipped ones)")
    parser.add_argument("--out", type=Path, required=True, help="folder; each bank gets a folder of its own in it")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument(
        "--compared", type=Path, metavar="DIR", help="folder with BANK-single and BANK-image, the GANs to compare with"
    )
    add_evaluation_options(parser, count=100)
    add_device_options(parser)


def run(options: argparse.Namespace) -> int:
    forget(options)
    run = Run.of(options, asdict(rows_of(options)))
    methods, rows = tuple(options.methods), rows_of(options)
    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    unet = unet_of(options, device)
    wanted = Wanted(options.data, options.count, options.split, methods, rows, options.compared, unet)
    problems = make_scorecards(options.banks, wanted, run, options.out, device)
    for problem in problems:
        complain(problem)
    return BAD_INPUT if problems else 0
