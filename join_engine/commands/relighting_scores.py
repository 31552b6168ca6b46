# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the directions of a bank's light do what their names say, against true renders under a moved light.

--data is a folder that `dataset_tools/render.py relit` has written. Each scene's image is decomposed, its light is
moved by as much as that of the render was, and what has changed is compared with what has changed between the two
renders; once on the layers that the bank found in the image, and once on the true ones, where only the edit can be
wrong. --out gets relighting.json, relighting.md and sheet.png; --card writes the table into the bank's card, and
--image draws a sheet of a photo, too.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..inversion.presets import PRESETS, get_preset
from .options import add_bank_option, add_device_options, load_bank_named, natural, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", type=Path, metavar="RELIT", help="folder of dataset_tools/render.py relit")
    parser.add_argument("--directions", type=Path, metavar="FILE", help="of learn-directions: reads lights off images")
    parser.add_argument("--count", type=positive, default=100, help="how many scenes (default 100)")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="default: draft; without encoders standard")
    parser.add_argument("--card", action="store_true", help="write the table into the bank's card")
    parser.add_argument("--scene", metavar="INDEX", help="of the sheet (default: the first one)")
    parser.add_argument("--image", type=Path, nargs="+", default=[], help="photos to draw a sheet of")
    parser.add_argument("--amount", type=float, default=1.5, help="of the photos' moves, in SD (default 1.5)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--seed", type=natural, default=0)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.relighting_scores import format_table, measure, show_scores
    from ..evaluation.sheets.relighting import write_photo_sheet, write_render_sheet
    from ..images.files import read_image, write_text
    from ..relighting.directions_file import read_directions
    from ..renders.relit import read_relit

    bank = load_bank_named(options)
    preset = get_preset(options.preset or ("draft" if bank.has_encoders else "standard"))
    if options.data is not None:
        learned = None if options.directions is None else read_directions(options.directions)
        scenes = read_relit(options.data, bank.forward_model.components, options.count)
        table = measure(bank, scenes, preset, options.seed, learned, say)
        text = format_table(table)
        write_text(options.out / "relighting.json", json.dumps(table, indent=1) + "\n")
        write_text(options.out / "relighting.md", text)
        if options.card:
            show_scores(bank.path.with_suffix(".md"), text)
        write_render_sheet(options.out / "sheet.png", bank, scenes, options.scene, preset, options.seed)
        print(text)
    for image in options.image:
        sheet = options.out / f"{image.stem}.png"
        write_photo_sheet(sheet, bank, read_image(image), options.amount, preset, options.seed)
        print(sheet)
