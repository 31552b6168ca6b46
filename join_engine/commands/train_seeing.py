# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the encoder that tells a bank's generators codes and residual features of a photo.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from . import training_options as training
from .options import natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.seeing import SPACES
    from ..training.seeing import SeeingSettings

    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    training.add_run_options(parser)
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
    training.add_settings(parser, SeeingSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..networks.seeing import SeeingConfig
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.seeing import SeeingLearner, SeeingSettings

    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device, with_discriminators=True)
    data = read_component_sets(options.data, bank.header.forward_model)
    training.need_albedo_and_shading(data)
    given = {"spaces": options.spaces, "widths": options.widths, "masks": options.masks}
    with training.checked_architecture():
        generators = {name: bank.components[name].generator.config for name in data.sets}
        config = SeeingConfig.of(generators, **{key: value for key, value in given.items() if value is not None})
    training.need_doubled(data, config.resolution, "pack_mismatch", "Export the packs again.")
    settings, ranges = training.settings_of(options, SeeingSettings), training.settings_of(options, PhotoRanges)
    learner = SeeingLearner(bank, config, settings, ranges, options.kimg)
    identity = training.identity_through(bank, "seeing", config.to_dict(), data.sets)
    training.train(learner, identity, data, options, ranges)
