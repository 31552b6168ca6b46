# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a bank notices pictures of a kind that it has not learned from.

--known and --unknown name sets: packs of renders, which are shown as a metering camera shows them, or folders of
photos. Printed is how many of each are called unusual, and for each figure of confidence the area under the ROC curve
between the known sets together and each unknown one: 1 for always told apart, 0.5 for guessing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...bank import Bank
from ...errors import JoinError
from ...images.files import images_in, read_image, write_text
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...options import add_inversion_options, load_bank_named, named, positive, say
from ...pipeline import decompose
from ...renders.samples import read_samples
from ..camera import metered
from ..options import Rows
from ..tables import area_under_curve, markdown

# Figures of a picture (see :func:`join_engine.pipeline.decompose_batch`): more of it is less sure, or less of it.
FIGURES = {"unfamiliarity": 1.0, "albedo_error": 1.0, "psnr_fit": -1.0}


def figures_of(
    bank: Bank, images: Sequence[np.ndarray], preset: Preset, seed: int = 0, codebook: CodeBook | None = None
) -> Rows:
    """:data:`FIGURES` and ``unusual`` of each linear image [H, W, 3 or 4]. Raises JoinError ``settings_invalid`` for a
    bank that has no idea how sure it is; as :func:`decompose`."""
    codebook = codebook or CodeBook(bank)
    rows: Rows = []
    for image in images:
        metrics = decompose(image, bank, preset, seed, codebook=codebook).decomposition.metrics
        if "unfamiliarity" not in metrics:
            message = f"The bank '{bank.header.name}' does not tell how sure it is."
            hint = "Give one with encoders and a split network that was judged beside them, and a preset with detail."
            raise JoinError("settings_invalid", message, hint)
        rows.append({name: float(metrics[name]) for name in (*FIGURES, "unusual")})
    return rows


def format_table(known: Mapping[str, Rows], unknown: Mapping[str, Rows]) -> str:
    """Markdown: of each set how many are called unusual, and of the unknown ones the area under the curve of each
    figure against all known pictures together."""
    inside = [row for rows in known.values() for row in rows]
    cells = []
    for name, rows in (*known.items(), *unknown.items()):
        share = np.mean([row["unusual"] for row in rows])
        areas = [
            f"{area_under_curve([sign * row[key] for row in inside], [sign * row[key] for row in rows]):.3f}"
            if name in unknown
            else "known"
            for key, sign in FIGURES.items()
        ]
        cells.append([name, str(len(rows)), f"{share:.0%}", *areas])
    headings = ["set", "pictures", "called unusual", *(f"area, {name}" for name in FIGURES)]
    return "\n".join([*markdown(headings, cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pair = named("PACK.tar|FOLDER")
    for option, words in (("--known", "of kinds that the bank has learned from"), ("--unknown", "of other kinds")):
        parser.add_argument(option, nargs="+", type=pair, required=True, metavar="NAME=SET", help=words)
    parser.add_argument("--count", type=positive, default=100, help="pictures of each set at most (default: 100)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every picture")
    add_inversion_options(parser, "draft")


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    codebook, preset = CodeBook(bank), get_preset(options.preset)

    def measured(sets: Sequence[tuple[str, str]]) -> dict[str, list[dict[str, float]]]:
        found = {}
        for name, path in sets:
            found[name] = figures_of(bank, _pictures(bank, Path(path), options.count), preset, options.seed, codebook)
            say(f"{name}: {len(found[name])} pictures")
        return found

    known, unknown = measured(options.known), measured(options.unknown)
    if options.out is not None:
        write_text(options.out, json.dumps({"known": known, "unknown": unknown}, indent=1) + "\n")
    print(format_table(known, unknown))


def _pictures(bank: Bank, path: Path, count: int) -> list[np.ndarray]:
    """Evenly chosen among a folder's photos, or the first renders of a pack."""
    if path.is_dir():
        files = images_in(path).images
        every = max(1, -(-len(files) // count))
        return [read_image(file) for file in files[::every]]
    samples = read_samples(path, bank.forward_model.components, count)
    return [metered(bank, sample.components)[0] for sample in samples]
