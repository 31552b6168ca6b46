# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that fill tables have in common (no command itself)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bank import Bank
from ..images.files import write_text
from ..inversion.codebook import CodeBook
from ..inversion.presets import get_preset
from ..options import (
    add_bank_option,
    add_bf16_option,
    add_device_options,
    add_inversion_options,
    as_json,
    load_bank_named,
    named,
    natural,
    positive,
    say,
)
from ..pipeline import Outcome, decompose
from ..renders.samples import Sample, read_samples
from .camera import photographed
from .methods import by_name
from .results import RESULTS_NAME

Rows = list[dict[str, float]]


def add_evaluation_options(parser: argparse.ArgumentParser, count: int) -> None:
    parser.add_argument("--count", type=positive, default=count, help=f"how many samples (default {count})")
    parser.add_argument("--batch", type=positive, default=10, help="images at a time (default 10)")
    add_row_options(parser)
    add_bf16_option(parser)
    parser.add_argument("--metric-features", help="that the metric E-LPIPS compares (default: the bank's trunk)")
    parser.add_argument("--figures", type=natural, default=4, help="samples that get a sheet (default 4)")
    parser.add_argument("--fresh", action="store_true", help="forget the results of an earlier run in --out")


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """What the rows of the paper's tables are (:func:`rows_of`), and the U-Net's weights."""
    parser.add_argument("--unet", type=Path, metavar="FILE", help="of train-unet, for the method 'u-net'")
    loss = "of the paper's rows: under random transforms or without"
    parser.add_argument("--loss", choices=("elpips", "lpips"), default="elpips", help=loss)
    features = "that this loss compares, such as efficientnet-lite0 (default: the bank's trunk, else random ones)"
    parser.add_argument("--features", help=features)
    parser.add_argument("--feature-weight", type=float, help="of the rows 'features-…' (default: the default preset's)")
    parser.add_argument("--steps", type=positive, default=1000, help="of the paper's optimisation (default 1000)")
    parser.add_argument("--tuning-steps", type=natural, default=350, help="of the generators' tuning (default 350)")
    parser.add_argument(
        "--steps-scale", type=float, default=1.0, metavar="PART", help="of all steps of every row, for a quick look"
    )


def rows_of(options: argparse.Namespace) -> by_name.Rows:
    return by_name.Rows(
        options.loss, options.features, options.feature_weight, options.steps, options.tuning_steps, options.steps_scale
    )


def forget(options: argparse.Namespace) -> None:
    if options.fresh:
        for path in (options.out / RESULTS_NAME, *options.out.glob(f"*/{RESULTS_NAME}")):
            path.unlink(missing_ok=True)


def add_packs(parser: argparse.ArgumentParser, count: int) -> None:
    """--data, packs with names, and --count, how many renders of each."""
    pair = named("PACK.tar")
    parser.add_argument("--data", nargs="+", type=pair, required=True, metavar="NAME=PACK.tar", help="packs of renders")
    parser.add_argument("--count", type=positive, default=count, help=f"renders of each at most (default: {count})")


def add_pack_options(parser: argparse.ArgumentParser, count: int) -> None:
    """Of :func:`run_on_packs`."""
    add_packs(parser, count)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every render")
    add_inversion_options(parser, "draft")


def add_pack_table_options(parser: argparse.ArgumentParser, count: int, steps: int, what: str) -> None:
    """Of :func:`run_on_pack`; ``what`` the steps are of."""
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack of renders")
    parser.add_argument("--count", type=positive, default=count, help=f"how many renders (default {count})")
    parser.add_argument("--steps", type=positive, default=steps, help=f"of {what} (default {steps})")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_bank_option(parser)
    add_device_options(parser)


def run_on_pack(
    options: argparse.Namespace, name: str, measure: Callable[[Bank, Any], Any], format_table: Callable[..., str]
) -> None:
    """Measure a pack's first renders, keep the table under that name in the folder, and print it."""
    bank = load_bank_named(options)
    table = measure(bank, read_samples(options.data, bank.forward_model.components, options.count))
    keep(options.out, name, table, format_table(table))


def keep(folder: Path, name: str, table: Any, text: str) -> None:
    """A table under that name in the folder, as JSON and as Markdown, which is printed, too."""
    write_text(folder / f"{name}.json", as_json(table))
    write_text(folder / f"{name}.md", text)
    print(text)


@dataclass(frozen=True)
class Shot:
    """A render as a metering camera shows it, and what became of that.

    Attributes:
        photo: linear [H, W, 4] in [0, 1], transparent where it shows nothing.
        truth: the render's components at the camera's exposure, linear [H, W, 3].
    """

    sample: Sample
    photo: np.ndarray
    truth: Mapping[str, np.ndarray]
    outcome: Outcome

    @property
    def layers(self) -> Mapping[str, np.ndarray]:
        """What was found."""
        return self.outcome.decomposition.layers


def run_on_packs(
    options: argparse.Namespace,
    measure: Callable[[Shot], dict[str, float] | None],
    format_table: Callable[[dict[str, Rows]], str],
    more: Sequence[str] = (),
) -> None:
    """Decompose and measure the renders of each pack, keep the figures where they are wanted, and print the table.

    Args:
        measure: the figures of one; None where it does not count.
        more: what a sample needs beside the components of the bank's forward model.
    """
    bank, preset, found = load_bank_named(options), get_preset(options.preset), dict[str, Rows]()
    codebook, components = CodeBook(bank), bank.forward_model.components
    for name, path in options.data:
        rows = found[name] = []
        for sample in read_samples(Path(path), [*components, *more], options.count):
            photo, truth = photographed(bank, {part: sample.components[part] for part in components})
            outcome = decompose(photo, bank, preset, options.seed, codebook=codebook)
            row = measure(Shot(sample, photo, truth, outcome))
            if row is not None:
                rows.append(row)
        say(f"{name}: {len(rows)} renders")
    if options.out is not None:
        write_text(options.out, as_json(found))
    print(format_table(found))
