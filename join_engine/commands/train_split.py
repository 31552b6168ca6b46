# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells paint, light and gloss apart.

May be killed at any moment; the same command goes on from the last checkpoint, with more --blocks, with --inner or
--retinex too: what is new changes nothing at first.
"""

from __future__ import annotations

import argparse

from . import training_options as training
from .options import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.split import SplitConfig
    from ..training.split import SplitSettings

    training.add_run_options(parser)
    parser.add_argument("--bank", help="whose generators it shall know; none: it knows of none")
    parser.add_argument("--forward-model", help="left out, the bank's, or lambertian_specular")
    default = SplitConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of the U-Net"
    )
    parser.add_argument("--width", type=positive, default=default.width, help="channels at the finer levels")
    parser.add_argument("--blocks", type=positive, default=default.blocks, help="residual blocks there")
    parser.add_argument(
        "--inner", nargs="*", type=positive, default=[], help="channels of a U-Net inside them, at 1/2, 1/4 …"
    )
    parser.add_argument(
        "--retinex",
        action=argparse.BooleanOptionalAction,
        default=default.retinex,
        help="it sees what colour Retinex makes of each level",
    )
    training.add_settings(parser, SplitSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..networks.split import SplitConfig
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.split import SplitLearner, SplitSettings

    device = training.device(options)
    bank = None if options.bank is None else load_bank(find_bank(options.bank), device)
    model = options.forward_model or (bank.header.forward_model if bank else "lambertian_specular")
    data = read_component_sets(options.data, model)
    training.need_albedo_and_shading(data)
    with training.checked_architecture():
        specular = "specular" in data.sets
        sizes = tuple(options.widths), options.width, options.blocks
        config = SplitConfig(*sizes, specular=specular, inner=tuple(options.inner), retinex=options.retinex)
    settings, ranges = training.settings_of(options, SplitSettings), training.settings_of(options, PhotoRanges)
    learner = SplitLearner(bank, config, settings, ranges, options.kimg, device)
    name = None if bank is None else bank.header.name
    identity = {"kind": "split", "forward_model": model, "architecture": config.to_dict(), "bank": name}
    training.train(learner, identity, data, options, ranges)
