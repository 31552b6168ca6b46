# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells in which latent space what of a photo can be inverted (for the method `sam`).

First the components of some renders are inverted into each space, which takes most of the time and is kept in the
folder; then the network learns from that. May be killed at any moment; the same command goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from . import training_options as training
from .options import natural, positive, say

if TYPE_CHECKING:
    from torch import Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..training.invertibility import Inversions, InvertibilitySettings

    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    training.add_run_options(parser)
    parser.add_argument(
        "--spaces", nargs="+", type=natural, metavar="PIXELS", help="resolutions of feature spaces (default: 8 16 32 …)"
    )
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of the backbone, fine to coarse")
    training.add_settings(parser, Inversions())
    parser.add_argument("--unseen", type=positive, default=24, help="validation renders to invert (default: 24)")
    training.add_settings(parser, InvertibilitySettings())


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..images.files import folder_of_ones_own
    from ..networks.invertibility import InvertibilityConfig
    from ..renders.compose import ComponentSets, read_component_sets, read_validation
    from ..training.invertibility import (
        Inversions,
        InvertibilityLearner,
        InvertibilitySettings,
        measure,
        measured_once,
    )

    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    validation = read_validation(options.validation, data)
    given = {"spaces": options.spaces, "widths": options.widths}
    with training.checked_architecture():
        generators = {name: bank.components[name].generator.config for name in data.sets}
        config = InvertibilityConfig.of(
            generators, **{key: tuple(value) for key, value in given.items() if value is not None}
        )
    identity = training.identity_through(bank, "invertibility", config.to_dict(), data.sets)
    how, unseen = training.settings_of(options, Inversions), None
    about = {**identity, **asdict(how)}

    def measured(name: str, renders: ComponentSets, how: Inversions) -> Tensor:
        packs = [[pack.file, pack.dataset, pack.split, pack.count] for pack in renders.packs]
        path = options.out / f"inversions-{name}.safetensors"
        return measured_once(
            path, {**about, **asdict(how), "packs": packs}, lambda: measure(bank, config, renders, how, say)
        )

    options.out.mkdir(parents=True, exist_ok=True)
    with folder_of_ones_own(options.out):
        errors = measured("train", data, how)
        if validation is not None:
            unseen = measured("validation", validation, Inversions(options.unseen, how.steps, how.rate))
    settings = training.settings_of(options, InvertibilitySettings)
    learner = InvertibilityLearner(config, settings, options.kimg, errors, unseen, device)
    training.train(learner, identity, data, options)
