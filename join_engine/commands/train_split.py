# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells paint, light and gloss apart.

May be killed at any moment; the same command goes on from the last checkpoint, with more --blocks, with --inner or
--retinex too: what is new changes nothing at first.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from .options import positive
from .training_options import add_run_options, add_settings, pick, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.split import SplitConfig
    from ..renders.photo_augment import PhotoRanges
    from ..training.split import SplitSettings

    add_run_options(parser)
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
    add_settings(parser, SplitSettings())
    # What changes the light itself is drawn with the components: the layers that are to be found change with it.
    add_settings(parser, PhotoRanges(vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0))


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..device import keep_freed_memory, set_up_torch
    from ..networks.split import SplitConfig
    from ..renders.compose import read_component_sets, read_validation
    from ..renders.photo_augment import PhotoRanges
    from ..training.run import Run
    from ..training.split import SplitLearner, SplitSettings

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    bank = None if options.bank is None else load_bank(find_bank(options.bank), device)
    model = options.forward_model or (bank.header.forward_model if bank else "lambertian_specular")
    data = read_component_sets(options.data, model)
    if not {"albedo", "shading"} <= set(data.sets):
        message = f"The forward model '{model}' has no albedo and shading to tell apart."
        raise JoinError("settings_invalid", message, "Only a bank with both has use for this network.")
    try:
        specular = "specular" in data.sets
        sizes = tuple(options.widths), options.width, options.blocks
        config = SplitConfig(*sizes, specular=specular, inner=tuple(options.inner), retinex=options.retinex)
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    settings, ranges = SplitSettings(**pick(options, SplitSettings)), PhotoRanges(**pick(options, PhotoRanges))
    learner = SplitLearner(bank, config, settings, ranges, options.kimg, device)
    name = None if bank is None else bank.header.name
    identity = {"kind": "split", "forward_model": model, "architecture": config.to_dict(), "bank": name}
    run = Run(learner, identity, data, read_validation(options.validation, data), options.out)
    train(run, options, ranges)
