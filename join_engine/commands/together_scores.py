# SPDX-License-Identifier: GPL-3.0-or-later
"""What decomposing several photos together gains over one photo: on renders, and on registered photographs.

--renders are folders that `dataset_tools/render.py relit --lights N` has written; --photographs is a folder of
THING.0.jpg, THING.1.jpg …, photographs of one thing under other lights. --out gets together.json and together.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import add_inversion_options, as_json, load_bank_named, positive, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--renders", type=Path, nargs="+", default=[], metavar="RELIT", help="folders of packs")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder of registered photographs")
    parser.add_argument(
        "--counts", type=positive, nargs="+", default=[1, 2, 3, 5], metavar="N", help="photos (1 2 3 5)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.together_scores import format_photographs, format_renders, measure_photographs, measure_renders
    from ..images.files import write_text
    from ..inversion.presets import get_preset

    bank, preset = load_bank_named(options), get_preset(options.preset)
    tables, text = {}, ""
    for folder in options.renders:
        tables[folder.name] = measure_renders(folder, bank, preset, options.counts, say)
        text += format_renders(folder.name, tables[folder.name]) + "\n"
    if options.photographs is not None:
        tables["photographs"] = measure_photographs(options.photographs, bank, preset, options.counts, say)
        text += format_photographs(tables["photographs"])
    about = {"bank": {"name": bank.header.name, "sha256": bank.sha256}, "preset": preset.name, **tables}
    write_text(options.out / "together.json", as_json(about))
    write_text(options.out / "together.md", text)
    print(text)
