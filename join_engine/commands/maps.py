# SPDX-License-Identifier: GPL-3.0-or-later
"""Make roughness, normal and height maps of a stored decomposition, for a material.

They are guesses: see "maps-scores" for how good. Written are 16-bit PNGs, which are data and no colours, and EXRs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument("--out", type=Path, required=True, help="folder for the maps")
    parser.add_argument("--bank", help="whose network tells roughness (default: the default bank's)")
    parser.add_argument(
        "--relief",
        type=_amount,
        default=0.0,
        metavar="PIXELS",
        help="also guess height and normals from the shading: so many pixels for each natural logarithm of it, such as "
        "1. On renders they are no better than a flat surface (default: 0, none)",
    )


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..errors import JoinError
    from ..images.files import png_writer, write_exr
    from ..layers.decomposition import load_decomposition
    from ..layers.maps import maps_of, network_of
    from ..layers.result_folder import Made, Source, check_free, result_folder

    decomposition = load_decomposition(options.decomposition)
    check_free(options.out, "maps")
    network = network_of(load_bank(find_bank(options.bank)))
    found, span = maps_of(network, decomposition.layers, relief=options.relief)
    if not found:
        message = "These layers have no specular, which roughness is told from."
        raise JoinError("maps_none", message, "Ask for --relief, or choose another bank.")
    made = Made("maps", Source.of(options.decomposition), decomposition.bank_sha256, {"relief": options.relief})
    with result_folder(options.out, made) as new:
        for name, pixels in found.items():
            write_exr(new / f"{name}.exr", pixels)
            with png_writer(new / f"{name}.png", decomposition.size, 3, 16) as write:
                write(pixels)
    if span:
        say(f"A height of 1 lies {span:.2f} pixels above one of 0.")
    print(options.out)


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1000.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1000")
    return value
