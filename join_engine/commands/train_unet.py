# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the plain U-Net that the banks are held against.

May be killed at any moment; the same command goes on from the last checkpoint. At its end it writes unet.safetensors,
which `scorecard`, `evaluate` and `method-layers` read.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from .options import positive
from .training_options import add_run_options, add_settings, pick, train

NAME = "unet.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.unet import UNetConfig
    from ..renders.photo_augment import PhotoRanges
    from ..training.unet import UNetSettings

    add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian_specular")
    default = UNetConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels, fine to coarse"
    )
    parser.add_argument(
        "--resolution", type=positive, default=default.resolution, help="larger renders are averaged down"
    )
    add_settings(parser, UNetSettings())
    # As for the split network.
    add_settings(parser, PhotoRanges(vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0))


def run(options: argparse.Namespace) -> None:
    from ..device import keep_freed_memory, set_up_torch
    from ..networks.unet import UNetConfig, write_unet
    from ..renders.compose import read_component_sets, read_validation
    from ..renders.photo_augment import PhotoRanges
    from ..training.run import Run
    from ..training.unet import UNetLearner, UNetSettings

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    data = read_component_sets(options.data, options.forward_model)
    if not {"albedo", "shading"} <= set(data.sets):
        message = f"The forward model '{options.forward_model}' has no albedo and shading to tell apart."
        raise JoinError("settings_invalid", message, "Choose one with both.")
    try:
        config = UNetConfig(tuple(data.sets), tuple(options.widths), options.resolution)
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    if data.resolution not in (config.resolution << halvings for halvings in range(16)):
        message = f"The packs have {data.resolution} pixels a side, which is not {config.resolution} doubled."
        raise JoinError("settings_invalid", message, "Give another --resolution, or export the packs again.")
    settings, ranges = UNetSettings(**pick(options, UNetSettings)), PhotoRanges(**pick(options, PhotoRanges))
    learner = UNetLearner(config, settings, ranges, options.kimg, device)
    identity = {"kind": "unet", "forward_model": options.forward_model, "architecture": config.to_dict()}
    run = Run(learner, identity, data, read_validation(options.validation, data), options.out)
    train(run, options, ranges)
    training = {"images_shown": learner.images, "seconds": round(run.seconds), "stretches": run.history}
    write_unet(options.out / NAME, learner.average, {**training, "scores": run.scores})
    print(options.out / NAME)
