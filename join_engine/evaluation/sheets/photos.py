# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose photos into one picture, to look at."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...bank import Bank
from ...images.files import display_encode, opaque, read_image, validate_image
from ...images.metrics import component_scores
from ...inversion.presets import Preset
from ...options import add_detail_option, add_inversion_options, chosen_preset, expand, load_bank_named, say
from ...portraits import Splitter
from .sheet import Panel, write_sheet

ERROR_GAIN = 4.0


def write_photo_sheet(
    path: Path,
    photos: Sequence[Path],
    bank: Bank,
    preset: Preset,
    seed: int = 0,
) -> None:
    """Decompose photos and write one PNG with a line for each.

    A line: the photo; its layers, with the detail if the preset adds any; what the generators alone recombine to; and
    by how much that misses the photo, as :data:`ERROR_GAIN` times the absolute difference of the sRGB-encoded pixels.
    With the detail, the layers recombine to the photo itself, which is not worth a picture. Raises JoinError from
    reading the photos; ``output_unwritable``.
    """
    splitter, rows = Splitter(bank, preset, seed), []
    for photo in photos:
        say(photo.name)
        rows.append(_row(photo, splitter))
    write_sheet(path, rows)


def _row(photo: Path, splitter: Splitter) -> list[Panel]:
    colour, bank = opaque(validate_image(read_image(photo))), splitter.bank
    outcome, notes = splitter.split(colour, f"'{photo}'")
    for note in notes:
        say(note)
    layers, alone = outcome.decomposition.layers, np.asarray(bank.forward_model.compose(outcome.generated))
    image, made = display_encode("image", colour), display_encode("image", alone)
    psnr = component_scores("image", alone, colour)["psnr"]
    panels: list[Panel] = [(f"{photo.stem}\n{bank.header.name}, {splitter.preset.name}", image)]
    panels += [(f"{name}\n", display_encode(name, pixels)) for name, pixels in layers.items()]
    panels.append((f"generators alone\n{psnr:.1f} dB to the photo", made))
    panels.append((f"error\n{ERROR_GAIN:g} times", np.abs(made - image) * ERROR_GAIN))
    return panels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="images, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, metavar="SHEET.png")
    add_detail_option(parser)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    photos, problems = expand(options.images, options.out)
    if problems:
        raise problems[0]
    write_photo_sheet(options.out, photos, load_bank_named(options), chosen_preset(options), options.seed)
    print(options.out)
