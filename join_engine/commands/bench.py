# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimiser steps per second and peak memory."""

from __future__ import annotations

import argparse

from ..errors import JoinError
from ..inversion.presets import get_preset
from .options import add_bf16_option, add_inversion_options, as_json, load_bank_named, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=positive, default=100)
    parser.add_argument("--batch", type=positive, nargs="+", default=[1], help="images at once; may be several")
    parser.add_argument("--method", help="time a row of the table, such as opt-knn, instead of --preset")
    parser.add_argument("--card", action="store_true", help="write the figures into the bank's card")
    add_bf16_option(parser)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.bench import bench, write_speed
    from ..evaluation.methods import Rows, make_methods
    from ..inversion.stages.joint import Joint

    bank, preset = load_bank_named(options), get_preset(options.preset)
    if options.method:
        (method,) = make_methods([options.method], Rows(), bank)
        if method.preset is None or not any(isinstance(stage, Joint) for stage in method.preset.stages):
            message = f"'{options.method}' optimises nothing{': ' + method.lacks if method.lacks else ''}."
            raise JoinError("method_unknown", message, "Name one that does, such as opt-knn.")
        preset = method.preset
    measured = bench(bank, preset, options.steps, options.seed, options.batch, options.bf16)
    if options.card:
        write_speed(bank.path.with_suffix(".md"), measured)
    print(as_json(measured))
