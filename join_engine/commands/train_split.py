# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells paint, light and gloss apart.

May be killed at any moment; the same command goes on from the last checkpoint, with --retinex, --chromatic, --inner or
a deeper one, and without one with more --blocks, too: what is new changes nothing at first. --start-from BANK begins
a new training with that bank's network.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from ..options import positive
from ..training import options as training

_ARCHITECTURE = ("widths", "width", "blocks", "inner", "retinex", "chromatic")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..training.split import SplitSettings

    training.add_run_options(parser)
    parser.add_argument("--bank", help="whose generators it shall know; none: it knows of none")
    parser.add_argument(
        "--start-from",
        metavar="BANK",
        help="name or path of a bank with whose split network (with --cut-out that of what is cut out) a new run "
        "begins, in its architecture or a larger one",
    )
    parser.add_argument("--forward-model", help="left out, that of a bank named here, or lambertian_specular")
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of the U-Net")
    parser.add_argument("--width", type=positive, help="channels at the finer levels")
    parser.add_argument("--blocks", type=positive, help="residual blocks there")
    parser.add_argument("--inner", nargs="*", type=positive, help="channels of a U-Net inside them, at 1/2, 1/4 …")
    parser.add_argument(
        "--retinex", action=argparse.BooleanOptionalAction, help="it sees what colour Retinex makes of each level"
    )
    parser.add_argument(
        "--chromatic", action=argparse.BooleanOptionalAction, help="and what Retinex by chromaticity alone makes of it"
    )
    training.add_settings(parser, SplitSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..networks.split import SplitConfig
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.split import SplitLearner, SplitSettings, read_cut_out

    device = training.device(options)
    bank = None if options.bank is None else load_bank(find_bank(options.bank), device)
    begun = None if options.start_from is None else load_bank(find_bank(options.start_from), device)
    named = bank or begun
    model = options.forward_model or (named.header.forward_model if named else "lambertian_specular")
    settings, ranges = training.settings_of(options, SplitSettings), training.settings_of(options, PhotoRanges)
    read = read_cut_out if settings.cut_out else read_component_sets
    data = read(options.data, model)
    training.need_albedo_and_shading(data)
    first = begun.split_for(settings.cut_out)[0] if begun else None
    usual = first.config if first else SplitConfig(specular="specular" in data.sets)
    with training.checked_architecture():
        config = replace(usual, **training.given(options, *_ARCHITECTURE))
    learner = SplitLearner(bank, config, settings, ranges, options.kimg, device)
    if begun is not None:
        hint = "Leave the options of the architecture out"
        learner.begin_with(first, "split network", begun.path.name, "split_missing", hint)
    name = None if bank is None else bank.header.name
    identity = {"kind": "split", "forward_model": model, "architecture": config.to_dict(), "bank": name}
    training.train(learner, identity, data, options, ranges, read=read)
