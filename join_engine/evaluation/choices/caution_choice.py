# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say colour Retinex should have where the split network is unsure.

Its share in the light follows from the error that the network expects and the one that Retinex is taken to make. Prints
the figures of layer-scores with each of --errors, over the first renders of each pack, as a metering camera shows them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import torch

from ...bank import Bank
from ...errors import JoinError
from ...images.files import opaque
from ...images.frame import Frame
from ...layers.split import encoders_say, split
from ...layers.subject import subject_of
from ...networks.split import Split
from ...options import add_bank_option, add_device_options, load_bank_named
from ...renders.samples import Sample, read_samples
from ..camera import photographed
from ..options import add_packs
from ..scores.layer_scores import Row, format_table, scores

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)


def compare(bank: Bank, samples: Sequence[Sample], errors: Sequence[float]) -> list[list[Row]]:
    """The figures of :mod:`..scores.layer_scores` of each render that shows enough paint, for each error that Retinex
    is taken to make (infinite: it has no say). Raises JoinError ``settings_invalid`` for a bank without a split network
    and encoders."""
    network, faces = refuse_unsplit(bank), subject_of(bank.header).white_things
    found: list[list[Row]] = [[] for _ in errors]
    for sample in samples:
        photo, exposed = photographed(bank, sample.components)
        colour = opaque(photo)
        frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
        told = encoders_say(bank, torch.as_tensor(frame.fit(colour)))
        for error, rows in zip(errors, found, strict=True):
            layers, _ = split(network, colour, photo[..., 3], told, frame, None, error, faces=faces)
            row = scores(layers.whole(), exposed, photo)
            if row is not None:
                rows.append(row)
    return found


def refuse_unsplit(bank: Bank) -> Split:
    """A bank's split network. Raises JoinError ``settings_invalid`` where there is none, or no encoders beside it."""
    if bank.split is None or not (bank.seeing or bank.has_encoders):
        message = f"The bank '{bank.header.name}' has no split network beside encoders."
        raise JoinError("settings_invalid", message, "Give one that has both.")
    return bank.split


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packs(parser, 40)
    parser.add_argument(
        "--errors", nargs="+", type=float, default=ERRORS, help="of the logarithm of Retinex's light; inf: no say"
    )
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    for name, path in options.data:
        samples = list(read_samples(Path(path), bank.forward_model.components, options.count))
        rows = compare(bank, samples, options.errors)
        print(format_table({f"{name}, {error:g}": found for error, found in zip(options.errors, rows, strict=True)}))
