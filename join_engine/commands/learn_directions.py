# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn the named directions of a bank's light from renders whose light is known."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_device_options, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from ..training.directions import Settings

    parser.add_argument("--bank", required=True, help="name or path of the bank")
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of training renders")
    parser.add_argument("--validation", nargs="+", required=True, metavar="PACK.tar", help="packs to be judged by")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors")
    defaults = Settings()
    parser.add_argument("--count", type=positive, default=defaults.count, help="training samples (default %(default)s)")
    parser.add_argument("--checked", type=positive, default=defaults.checked, help="validation samples (%(default)s)")
    parser.add_argument(
        "--steps",
        type=natural,
        default=0,
        help="find codes by so many steps of inversion (default: the encoders' codes)",
    )
    parser.add_argument(
        "--least-r2",
        type=float,
        default=defaults.least_r2,
        help="an attribute told worse gets no direction (%(default)s)",
    )
    parser.add_argument("--no-mirror", dest="mirror", action="store_false", help="do not look at mirrored samples")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..bank.card import directions_table
    from ..device import set_up_torch
    from ..relighting.directions_file import write_directions
    from ..renders.compose import read_component_sets, read_validation
    from ..renders.lights import read_lights
    from ..training.directions import Settings, learn
    from ..training.encoder import check_fit

    device = set_up_torch(options.device, options.threads)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    for name in bank.components:
        check_fit(bank, name, data)
    validation = read_validation(options.validation, data)
    assert validation is not None  # --validation is required
    lights = read_lights(options.data), read_lights(options.validation)
    settings = Settings(options.count, options.checked, options.steps, options.mirror, least_r2=options.least_r2)
    learned = learn(bank, data, lights[0], (validation, lights[1]), settings)
    write_directions(options.out, learned)
    print("\n".join(directions_table(learned.header)))
