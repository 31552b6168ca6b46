# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the plain U-Net that the banks are held against.

May be killed at any moment; the same command goes on from the last checkpoint. At its end it writes unet.safetensors,
which `scorecard`, `evaluate` and `method-layers` read.
"""

from __future__ import annotations

import argparse

from . import training_options as training
from .options import positive

NAME = "unet.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.unet import UNetConfig
    from ..training.unet import UNetSettings

    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian_specular")
    default = UNetConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels, fine to coarse"
    )
    parser.add_argument(
        "--resolution", type=positive, default=default.resolution, help="larger renders are averaged down"
    )
    training.add_settings(parser, UNetSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    from ..networks.unet import UNetConfig, write_unet
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.unet import UNetLearner, UNetSettings

    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    training.need_albedo_and_shading(data)
    with training.checked_architecture():
        config = UNetConfig(tuple(data.sets), tuple(options.widths), options.resolution)
    hint = "Give another --resolution, or export the packs again."
    training.need_doubled(data, config.resolution, "settings_invalid", hint)
    settings, ranges = training.settings_of(options, UNetSettings), training.settings_of(options, PhotoRanges)
    learner = UNetLearner(config, settings, ranges, options.kimg, device)
    identity = {"kind": "unet", "forward_model": options.forward_model, "architecture": config.to_dict()}
    run = training.train(learner, identity, data, options, ranges)
    told = {"images_shown": learner.images, "seconds": round(run.seconds), "stretches": run.history}
    write_unet(options.out / NAME, learner.average, {**told, "scores": run.scores})
    print(options.out / NAME)
