# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from .options import positive
from .training_options import add_run_options, add_settings, pick, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.brightness import BrightnessConfig
    from ..renders.photo_augment import PhotoRanges
    from ..training.brightness import BrightnessSettings

    add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = BrightnessConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--hidden", type=positive, default=default.hidden, help="units before the answer")
    parser.add_argument("--dropout", type=float, default=default.dropout, help="of these")
    add_settings(parser, BrightnessSettings())
    # Vignetting only ever darkens: what takes it into account finds every photo without it too dark.
    add_settings(parser, PhotoRanges(share=0.3, vignetting=0.0))


def run(options: argparse.Namespace) -> None:
    from ..device import keep_freed_memory, set_up_torch
    from ..networks.brightness import BrightnessConfig
    from ..renders.compose import read_component_sets, read_validation
    from ..renders.photo_augment import PhotoRanges
    from ..training.brightness import ALBEDO, BrightnessLearner, BrightnessSettings
    from ..training.run import Run

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    data = read_component_sets(options.data, options.forward_model)
    if ALBEDO not in data.sets:
        message = f"The forward model '{options.forward_model}' has no albedo."
        raise JoinError("settings_invalid", message, "Only a bank with an albedo has use for this network.")
    try:
        config = BrightnessConfig(tuple(options.widths), options.hidden, options.dropout)
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    if data.resolution < config.smallest_image:
        message = f"The packs have {data.resolution} pixels a side, the network needs {config.smallest_image}."
        raise JoinError("settings_invalid", message, "Give fewer --widths.")
    settings, ranges = (
        BrightnessSettings(**pick(options, BrightnessSettings)),
        PhotoRanges(**pick(options, PhotoRanges)),
    )
    learner = BrightnessLearner(config, settings, ranges, device)
    identity = {"kind": "brightness", "forward_model": data.model.name, "architecture": config.to_dict()}
    run = Run(learner, identity, data, read_validation(options.validation, data), options.out)
    train(run, options, ranges)
