# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay another material's paint into one's light: a patch of its albedo where a mask is.

Shading and specular stay as they are, and the albedo does outside of the mask. --mask is a picture of the layers' size,
white (or anything but black) where the patch goes; the middle of the other's albedo comes to the middle of that.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..options import add_device_options, finite, load_bank_named, natural, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument("patch", type=Path, metavar="OTHER.join", help="of any bank, or a linear image of an albedo")
    parser.add_argument("--mask", type=Path, required=True, help="a picture of the layers' size, black outside")
    parser.add_argument("--scale", type=finite, default=1.0, help="of the patch (default 1: pixel for pixel)")
    parser.add_argument("--feather", type=finite, default=4.0, help="how soft its edge is, in pixels (default 4)")
    parser.add_argument("--steps", type=natural, default=60, help="of the search for the albedo's codes (default 60)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the layers and decomposition.join")
    parser.add_argument("--bank", help="name or path of the bank that FILE.join was made with (default: by its name)")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..images.files import opaque, read_picture
    from ..layers.clean_up import mask_of
    from ..layers.decomposition import load_decomposition
    from ..layers.layer_files import write_result
    from ..layers.result_folder import Made, Source, check_free, read_marker, result_folder
    from ..relighting.pasting import ALBEDO, paste

    mine, mask = load_decomposition(options.decomposition), mask_of(read_picture(options.mask).pixels)
    if options.patch.suffix == ".join":
        patch = load_decomposition(options.patch).layers[ALBEDO]
    else:
        patch = opaque(read_picture(options.patch).pixels)
    check_free(options.out, "paste")
    bank = load_bank_named(options, options.bank or mine.bank_name)
    found = paste(mine, patch, mask, bank, options.scale, options.feather, options.steps)
    settings = {
        "patch": asdict(Source.of(options.patch)),
        "mask": asdict(Source.of(options.mask)),
        **{name: getattr(options, name) for name in ("scale", "feather", "steps")},
    }
    made = Made("paste", Source.of(options.decomposition), mine.bank_sha256, settings)
    if read_marker(options.out) is not None:
        say(f"The earlier result in {options.out} is replaced.")
    with result_folder(options.out, made) as new:
        write_result(new, found)
    print(options.out)
