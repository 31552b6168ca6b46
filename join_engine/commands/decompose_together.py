# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose several photos of one thing under other light together: one albedo, as many shadings and speculars.

For photos from a tripod, of one size; small shifts are found and undone, and the layers lie over the photo that the
others match best. --out, a folder of this result alone, gets albedo, shading-NAME, specular-NAME as EXR and PNG,
NAME.join of each photo, ``report.json``, and ``made.json``, which says what made them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ..names import free_name
from ..options import IMAGE_KINDS, add_inversion_options, as_json, expand, load_bank_for, say
from .decompose import progress_bar, say_if_unusual

_COMMAND = "decompose-together"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="PHOTO", help=f"two or more {IMAGE_KINDS}, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the result")
    add_inversion_options(parser, chooses=True)


def run(options: argparse.Namespace) -> None:
    from ..images.files import folder_of_ones_own

    paths, problems = expand(options.images, options.out)
    if problems:
        raise problems[0]
    with folder_of_ones_own(options.out, is_result=True):
        _decompose(paths, options)
    print(options.out)


def _decompose(paths: Sequence[Path], options: argparse.Namespace) -> None:
    from ..images.files import read_picture, write_text
    from ..inversion.codebook import CodeBook
    from ..inversion.presets import get_preset
    from ..layers.decomposition import save_decomposition
    from ..layers.layer_files import write_layers_together
    from ..layers.result_folder import Made, Source, check_free, result_folder
    from ..pipeline import decompose_together, with_choice
    from ..portraits import refuse_faces

    check_free(options.out, _COMMAND)
    pictures = [read_picture(path) for path in paths]
    for path, picture in zip(paths, pictures, strict=True):
        for note in picture.notes:
            say(f"{path.name}: {note}")
    photos, preset = [picture.pixels for picture in pictures], get_preset(options.preset)
    bank, choice = load_bank_for(options, photos)
    refuse_faces(bank, "Decomposing photos together")
    sources = [Source.of(path) for path in paths]
    settings = {**preset.to_json(), "seed": options.seed, "photos": [asdict(source) for source in sources]}
    with progress_bar(f"{len(paths)} photos") as monitor:
        told = [str(path) for path in paths]
        outcomes = decompose_together(photos, told, bank, preset, options.seed, monitor, CodeBook(bank))
    names: list[str] = []
    for path in paths:
        names.append(free_name(path.stem, names))
    found = dict(zip(names, (with_choice(outcome.decomposition, choice) for outcome in outcomes), strict=True))
    report = []
    for path, picture, (name, decomposition) in zip(paths, pictures, found.items(), strict=True):
        say_if_unusual(path, decomposition, bank)
        about = {"image": str(path), "name": name, "notes": list(picture.notes)}
        report.append({**about, **decomposition.summary()})
    with result_folder(options.out, Made(_COMMAND, sources[0], bank.sha256, settings)) as new:
        write_layers_together(new, found)
        for name, decomposition in found.items():
            save_decomposition(new / f"{name}.join", decomposition)
        size = next(iter(found.values())).size
        write_text(new / "report.json", as_json({"size": list(size), "photos": report}))
