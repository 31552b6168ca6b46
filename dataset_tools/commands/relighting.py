# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that renders scenes under a moved light."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from dataset_tools import affinity, relit, specs
from dataset_tools.commands.arguments import command, index_range, natural, positive
from dataset_tools.errors import UserError
from dataset_tools.specs.relighting import ATTRIBUTES


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's command to the parser."""
    parser = command(commands, "relit", "render scenes as they are and with the light moved, as float packs")
    parser.add_argument("dataset", choices=sorted(specs.DATASETS))
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--index", type=natural, nargs="+", metavar="I", help="these samples")
    which.add_argument("--range", type=index_range, metavar="A:B", help="samples A to B - 1")
    parser.add_argument("--seed", type=natural, default=1000, help="of the dataset (1000: no bank was trained on it)")
    parser.add_argument(
        "--move",
        type=_move,
        nargs="+",
        default=relit.MOVES,
        metavar="ATTRIBUTE=AMOUNT",
        help=f"in standard deviations of the dataset, such as left_right=+1 (each of {', '.join(ATTRIBUTES)} by ±1)",
    )
    parser.add_argument("--resolution", type=positive, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=positive, default=12, help="light paths per pixel")
    parser.add_argument("--denoise", action="store_true", help="denoise shading and specular")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the packs")
    parser.set_defaults(run=_relit)


def _relit(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    with affinity.one_processor():
        try:
            import bpy  # type: ignore[import] # noqa: F401
        except ImportError as error:
            raise UserError(
                f"This Python has no bpy module ({error}): run 'blender -b -P dataset_tools/render.py -- …' or install "
                "bpy."
            ) from None
    indices = tuple(dict.fromkeys(options.index or options.range))
    moves = tuple(dict.fromkeys(options.move))
    wanted = relit.Relit(
        options.dataset, options.seed, indices, moves, options.resolution, options.samples, options.denoise
    )
    files = relit.render(wanted, options.out)
    print(f"{len(indices)} scenes under {len(files)} lights in {options.out}")


def _move(text: str) -> relit.Move:
    attribute, _, amount = text.partition("=")
    try:
        move = relit.Move(attribute, float(amount))
    except ValueError:
        move = relit.Move(attribute, 0.0)
    if attribute not in ATTRIBUTES or not math.isfinite(move.deviations) or not move.deviations:
        known = ", ".join(ATTRIBUTES)
        raise argparse.ArgumentTypeError(f"'{text}' is not ATTRIBUTE=AMOUNT such as left_right=+1 (there are {known})")
    return move
