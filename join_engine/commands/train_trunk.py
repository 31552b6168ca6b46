# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the perceptual trunk on composed renders.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse

from ..errors import JoinError
from .options import positive
from .training_options import add_run_options, add_settings, pick, train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.trunk import TrunkConfig
    from ..training.trunk import TrunkSettings

    add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = TrunkConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--depths", nargs="+", type=positive, default=list(default.depths), help="convolutions of each")
    add_settings(parser, TrunkSettings())


def run(options: argparse.Namespace) -> None:
    from ..device import keep_freed_memory, set_up_torch
    from ..networks.trunk import TrunkConfig
    from ..renders.compose import read_component_sets, read_validation
    from ..training.run import Run
    from ..training.trunk import TrunkLearner, TrunkSettings

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    data = read_component_sets(options.data, options.forward_model)
    try:
        config = TrunkConfig(tuple(options.widths), tuple(options.depths))
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    if data.resolution < config.smallest_image:
        message = f"The packs have {data.resolution} pixels a side, the trunk needs {config.smallest_image}."
        raise JoinError("settings_invalid", message, "Give fewer --widths and --depths.")
    learner = TrunkLearner(config, len(data.sets), TrunkSettings(**pick(options, TrunkSettings)), device)
    identity = {"kind": "trunk", "forward_model": data.model.name, "architecture": config.to_dict()}
    run = Run(learner, identity, data, read_validation(options.validation, data), options.out)
    train(run, options)
