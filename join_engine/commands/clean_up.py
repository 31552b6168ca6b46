# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose a photo without what a mask covers: a sticker, a seam, the photographer's shadow.

Nothing of what is covered is looked at; its albedo and its light are filled from around, grain and all. --mask is a
picture of the photo's size, white (or anything but black) where something shall go. --out, a folder of this result
alone, gets what `decompose` writes: recomposed.png is the photo without it.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..options import IMAGE_KINDS, add_inversion_options, load_bank_for, say
from .decompose import progress_bar, say_if_unusual

_COMMAND = "clean-up"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, metavar="PHOTO", help=IMAGE_KINDS)
    parser.add_argument("--mask", type=Path, required=True, help="a picture of the same size, black where all is well")
    parser.add_argument("--out", type=Path, required=True, help="folder of the result")
    add_inversion_options(parser, chooses=True)


def run(options: argparse.Namespace) -> None:
    from ..images.files import read_picture
    from ..inversion.presets import get_preset
    from ..layers.clean_up import mask_of
    from ..layers.layer_files import write_report, write_result
    from ..layers.result_folder import Made, Source, check_free, result_folder
    from ..pipeline import clean_up, with_choice
    from ..portraits import refuse_faces

    check_free(options.out, _COMMAND)
    picture, mask = read_picture(options.image), mask_of(read_picture(options.mask).pixels)
    for note in picture.notes:
        say(f"{options.image.name}: {note}")
    (bank, choice), preset = load_bank_for(options, [picture.pixels]), get_preset(options.preset)
    refuse_faces(bank, "Cleaning up")
    source, settings = Source.of(options.image), {**preset.to_json(), "seed": options.seed}
    settings["mask"] = asdict(Source.of(options.mask))
    with progress_bar(options.image.name) as monitor:
        outcome = clean_up(picture.pixels, mask, bank, preset, options.seed, monitor)
    found = with_choice(outcome.decomposition, choice)
    say_if_unusual(options.image, found, bank)
    with result_folder(options.out, Made(_COMMAND, source, bank.sha256, settings)) as new:
        write_result(new, found)
        write_report(new, str(options.image), picture.notes, found)
    print(options.out)
