# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the encoder that tells a bank's generators codes and residual features of a photo.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from .options import natural, positive
from .training_options import add_run_options, add_settings, identity_through, pick, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.seeing import SPACES
    from ..renders.photo_augment import PhotoRanges
    from ..training.seeing import SeeingSettings

    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    add_run_options(parser)
    parser.add_argument(
        "--spaces",
        nargs="*",
        type=natural,
        metavar="PIXELS",
        help=f"resolutions of residual features (default: those of {', '.join(map(str, SPACES))} that there are)",
    )
    parser.add_argument(
        "--masks", action=argparse.BooleanOptionalAction, default=True, help="soft masks before the features"
    )
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of the backbone, fine to coarse")
    add_settings(parser, SeeingSettings())
    # As for the split network.
    add_settings(parser, PhotoRanges(vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0))


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..device import keep_freed_memory, set_up_torch
    from ..networks.seeing import SeeingConfig
    from ..renders.compose import read_component_sets, read_validation
    from ..renders.photo_augment import PhotoRanges
    from ..training.run import Run
    from ..training.seeing import SeeingLearner, SeeingSettings

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    bank = load_bank(find_bank(options.bank), device, with_discriminators=True)
    data = read_component_sets(options.data, bank.header.forward_model)
    if not {"albedo", "shading"} <= set(data.sets):
        message = f"The forward model '{data.model.name}' has no albedo and shading to tell apart."
        raise JoinError("settings_invalid", message, "Only a bank with both has use for this network.")
    given = {"spaces": options.spaces, "widths": options.widths, "masks": options.masks}
    try:
        generators = {name: bank.components[name].generator.config for name in data.sets}
        config = SeeingConfig.of(generators, **{key: value for key, value in given.items() if value is not None})
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    if data.resolution not in (config.resolution << halvings for halvings in range(16)):
        message = (
            f"The packs have {data.resolution} pixels a side, which is not the bank's {config.resolution} doubled."
        )
        raise JoinError("pack_mismatch", message, "Export the packs again.")
    settings, ranges = SeeingSettings(**pick(options, SeeingSettings)), PhotoRanges(**pick(options, PhotoRanges))
    learner = SeeingLearner(bank, config, settings, ranges, options.kimg)
    identity = identity_through(bank, "seeing", config.to_dict(), data.sets)
    run = Run(learner, identity, data, read_validation(options.validation, data), options.out)
    train(run, options, ranges)
