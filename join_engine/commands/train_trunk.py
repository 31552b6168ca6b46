# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the perceptual trunk on composed renders.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from . import training_options as training
from .options import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.trunk import TrunkConfig
    from ..training.trunk import TrunkSettings

    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = TrunkConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--depths", nargs="+", type=positive, default=list(default.depths), help="convolutions of each")
    training.add_settings(parser, TrunkSettings())


def run(options: argparse.Namespace) -> None:
    from ..networks.trunk import TrunkConfig
    from ..renders.compose import read_component_sets
    from ..training.trunk import TrunkLearner, TrunkSettings

    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    with training.checked_architecture():
        config = TrunkConfig(tuple(options.widths), tuple(options.depths))
    training.need_side(data, config.smallest_image, "Give fewer --widths and --depths.")
    learner = TrunkLearner(config, len(data.sets), training.settings_of(options, TrunkSettings), device)
    identity = {"kind": "trunk", "forward_model": data.model.name, "architecture": config.to_dict()}
    training.train(learner, identity, data, options)
