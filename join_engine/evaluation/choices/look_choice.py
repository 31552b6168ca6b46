# SPDX-License-Identifier: GPL-3.0-or-later
"""How large the split network should look at photos.

What it says is brought to the photo's own size, so that a smaller look is a faster one. Prints the figures of
layer-scores and the processor's seconds with each of --sizes, over the first renders of each pack, as a metering camera
shows them; --cut leaves their upper left parts alone, as photos have sides of any length.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...bank import Bank
from ...images.files import opaque
from ...images.frame import Frame
from ...layers.split import encoders_say, split
from ...layers.subject import subject_of
from ...options import add_bank_option, add_device_options, load_bank_named, positive
from ...renders.samples import Sample, read_samples
from ..camera import photographed
from ..options import add_packs
from ..scores.layer_scores import Row, format_table, scores
from .caution_choice import refuse_unsplit

SIZES = (512, 768, 1024)


def compare(
    bank: Bank, samples: Sequence[Sample], sizes: Sequence[int], cut: tuple[int | None, int | None] = (None, None)
) -> tuple[list[list[Row]], list[float]]:
    """The figures of :mod:`..scores.layer_scores` of each render that shows enough paint, and the mean seconds of
    processor time that its layers take, for each longest side of what the network looks at. Of a render the first rows
    and columns count, ``cut`` of each. Raises JoinError ``settings_invalid`` for a bank without a split network and
    encoders."""
    network, subject = refuse_unsplit(bank), subject_of(bank.header)
    found: list[list[Row]] = [[] for _ in sizes]
    seconds: list[list[float]] = [[] for _ in sizes]
    for sample in samples:
        rows_of, columns_of = (slice(side) for side in cut)
        photo, exposed = photographed(bank, {n: part[rows_of, columns_of] for n, part in sample.components.items()})
        colour = opaque(photo)
        frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
        told = encoders_say(bank, torch.as_tensor(frame.fit(colour)))
        for size, rows, taken in zip(sizes, found, seconds, strict=True):
            start = time.process_time()
            error, faces = subject.retinex_error, subject.white_things
            layers, _ = split(network, colour, photo[..., 3], told, frame, None, error, faces=faces, seen_at=size)
            whole = layers.whole()
            taken.append(time.process_time() - start)
            row = scores(whole, exposed, photo)
            if row is not None:
                rows.append(row)
    return found, [float(np.mean(each)) for each in seconds]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packs(parser, 40)
    parser.add_argument("--sizes", nargs="+", type=positive, default=SIZES, metavar="PIXELS", help="longest sides")
    parser.add_argument(
        "--cut", nargs=2, type=positive, default=(None, None), metavar=("ROWS", "COLUMNS"), help="of each render"
    )
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    for name, path in options.data:
        samples = list(read_samples(Path(path), bank.forward_model.components, options.count))
        found, seconds = compare(bank, samples, options.sizes, tuple(options.cut))
        print(format_table({f"{name}, {size}": rows for size, rows in zip(options.sizes, found, strict=True)}))
        print(", ".join(f"{size}: {mean:.2f} s" for size, mean in zip(options.sizes, seconds, strict=True)))
