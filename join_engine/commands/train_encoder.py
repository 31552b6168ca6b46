# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the encoder of one component.

May be killed at any moment; the same command goes on from the last checkpoint. --start-from BANK begins a new training
with that bank's encoder of the component: of generators that began from that bank's, it knows much of the codes.
"""

from __future__ import annotations

import argparse

from . import training_options as training
from .options import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..networks.encoder import SPACES
    from ..renders.photo_augment import PhotoRanges
    from ..training.encoder import EncoderSettings

    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    parser.add_argument("--component", required=True, help="albedo, shading, …")
    parser.add_argument(
        "--start-from", metavar="BANK", help="name or path of a bank with whose encoder a new run begins"
    )
    training.add_run_options(parser)
    parser.add_argument("--space", choices=SPACES, default="w", help="one code, or one per layer (default: w)")
    parser.add_argument("--encoder-widths", nargs=4, type=positive, help="channels at 1/2 to 1/16 of the resolution")
    parser.add_argument("--encoder-depths", nargs=4, type=positive, help="residual blocks at each of these")
    parser.add_argument("--pyramid", type=positive, help="channels of the feature pyramid")
    training.add_settings(parser, EncoderSettings())
    training.add_settings(parser, PhotoRanges())


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, fingerprint, load_bank
    from ..networks.features import RandomFeatures
    from ..renders.compose import read_component_sets
    from ..renders.photo_augment import PhotoRanges
    from ..training.encoder import EncoderLearner, EncoderSettings, architecture, check_fit

    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    check_fit(bank, options.component, data)
    given = {
        "space": options.space,
        "widths": options.encoder_widths,
        "depths": options.encoder_depths,
        "pyramid": options.pyramid,
    }
    config = architecture(bank, options.component, {key: value for key, value in given.items() if value is not None})
    component = bank.components[options.component]
    learner = EncoderLearner(
        bank,
        component,
        bank.trunk or RandomFeatures().to(device),
        config,
        training.settings_of(options, EncoderSettings),
        training.settings_of(options, PhotoRanges),
    )
    if options.start_from is not None:
        learner.begin_with_encoder_of(load_bank(find_bank(options.start_from), device))
    identity = {
        "kind": "encoder",
        "component": component.name,
        "generator": fingerprint(component.generator),
        "features": "random" if bank.trunk is None else fingerprint(bank.trunk),
        "architecture": config.to_dict(),
    }
    training.train(learner, identity, data, options, learner.ranges, learner.sheet)
