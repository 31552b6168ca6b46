# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from . import training_options as training
from .options import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.brightness import BrightnessConfig
    from ..renders.photo_augment import PhotoRanges
    from ..training.brightness import BrightnessSettings

    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = BrightnessConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--hidden", type=positive, default=default.hidden, help="units before the answer")
    parser.add_argument("--dropout", type=float, default=default.dropout, help="of these")
    training.add_settings(parser, BrightnessSettings())
    # Vignetting only ever darkens: what takes it into account finds every photo without it too dark.
    training.add_settings(parser, PhotoRanges(share=0.3, vignetting=0.0))


def run(options: argparse.Namespace) -> None:
    from ..networks.brightness import BrightnessConfig
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.brightness import ALBEDO, BrightnessLearner, BrightnessSettings

    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    if ALBEDO not in data.sets:
        message = f"The forward model '{options.forward_model}' has no albedo."
        raise JoinError("settings_invalid", message, "Only a bank with an albedo has use for this network.")
    with training.checked_architecture():
        config = BrightnessConfig(tuple(options.widths), options.hidden, options.dropout)
    training.need_side(data, config.smallest_image, "Give fewer --widths.")
    settings, ranges = training.settings_of(options, BrightnessSettings), training.settings_of(options, PhotoRanges)
    learner = BrightnessLearner(config, settings, ranges, device)
    identity = {"kind": "brightness", "forward_model": data.model.name, "architecture": config.to_dict()}
    training.train(learner, identity, data, options, ranges)
