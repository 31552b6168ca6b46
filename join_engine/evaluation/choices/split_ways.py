# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of the split network, asked in several ways about the same renders (no command itself)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...bank import Bank
from ...errors import JoinError
from ...images.files import opaque
from ...images.frame import Frame
from ...layers.split import encoders_say, is_cut_out, split
from ...layers.subject import subject_of
from ...options import add_bank_option, add_device_options, load_bank_named
from ...renders.samples import Sample, read_samples
from ..camera import METERED, photographed
from ..options import add_packs
from ..scores.layer_scores import Row, format_table, scores


def compare(
    bank: Bank,
    samples: Iterable[Sample],
    ways: Sequence[Mapping[str, Any]],
    cut: tuple[int | None, int | None] = (None, None),
    luminance: float | None = METERED,
) -> tuple[list[list[Row]], list[float]]:
    """The figures of :mod:`..scores.layer_scores` of each render that shows enough paint, and the mean seconds of
    processor time that its layers take, for each of the ways: arguments of :func:`join_engine.layers.split.split`. Of
    a render the first rows and columns count, ``cut`` of each. ``luminance``: see :func:`..camera.metered`. Raises
    JoinError ``settings_invalid`` for a bank without a split network and encoders."""
    if bank.split is None or not (bank.seeing or bank.has_encoders):
        message = f"The bank '{bank.header.name}' has no split network beside encoders."
        raise JoinError("settings_invalid", message, "Give one that has both.")
    subject = subject_of(bank.header)
    usual = {
        "retinex_error": subject.retinex_error,
        "few_paints_error": subject.few_paints_error,
    }
    found: list[list[Row]] = [[] for _ in ways]
    seconds: list[list[float]] = [[] for _ in ways]
    for sample in samples:
        rows_of, columns_of = (slice(side) for side in cut)
        photo, exposed = photographed(
            bank, {n: part[rows_of, columns_of] for n, part in sample.components.items()}, luminance
        )
        colour = opaque(photo)
        frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
        told = encoders_say(bank, torch.as_tensor(frame.fit(colour)))
        network, _ = bank.split_for(is_cut_out(photo[..., 3]))
        assert network is not None
        for way, rows, taken in zip(ways, found, seconds, strict=True):
            start = time.process_time()
            layers, _ = split(network, colour, photo[..., 3], told, frame, None, **{**usual, **way})
            whole = layers.whole()
            taken.append(time.process_time() - start)
            row = scores(whole, exposed, photo)
            if row is not None:
                rows.append(row)
    return found, [sum(each) / max(1, len(each)) for each in seconds]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of :func:`run_ways`."""
    add_packs(parser, 40)
    add_bank_option(parser)
    add_device_options(parser)


def run_ways(
    options: argparse.Namespace,
    ways: Mapping[str, Mapping[str, Any]],
    cut: tuple[int | None, int | None] = (None, None),
    timed: bool = False,
    seen_as: Callable[[Sample], Sample | None] | None = None,
    luminance: float | None = METERED,
) -> None:
    """Print :func:`compare` of the first renders of each pack, by the names of the ways; ``seen_as`` changes them
    before, or leaves them out."""
    bank = load_bank_named(options)
    for name, path in options.data:
        samples = read_samples(Path(path), bank.forward_model.components, options.count)
        samples = [seen for sample in samples if (seen := seen_as(sample))] if seen_as else samples
        found, seconds = compare(bank, samples, list(ways.values()), cut, luminance)
        print(format_table({f"{name}, {way}": rows for way, rows in zip(ways, found, strict=True)}))
        if timed:
            print(", ".join(f"{way}: {mean:.2f} s" for way, mean in zip(ways, seconds, strict=True)))
