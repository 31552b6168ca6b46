# SPDX-License-Identifier: GPL-3.0-or-later
"""Relight a stored decomposition."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import JoinError
from ..options import add_device_options, load_bank_named, say

if TYPE_CHECKING:
    from ..relighting.relighter import Edit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COMPONENT.DIRECTION=AMOUNT",
        help="in standard deviations, such as light.left_right=1.5 (all components that know it) or shading.sefa.0=-2; "
        "may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="only list the directions that there are")
    parser.add_argument("--out", type=Path, help="folder for the layers and decomposition.join")
    parser.add_argument("--exr", type=int, choices=(16, 32), metavar="16|32", help="write layers.exr too, all in one")
    parser.add_argument("--bank", help="name or path of the bank that it was made with (default: by its name)")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..layers.decomposition import load_decomposition
    from ..layers.layer_files import write_layered_exr, write_result
    from ..layers.result_folder import Made, Source, check_free, read_marker, result_folder
    from ..relighting.relighter import Relighter

    edits = [_parse_edit(text) for text in options.set]
    if options.out is None and not options.list:
        raise JoinError("output_missing", "There is no folder to write to.", "Name one with --out.")
    decomposition = load_decomposition(options.decomposition)
    if options.out is not None:
        check_free(options.out, "relight")
    relighter = Relighter(decomposition, load_bank_named(options, options.bank or decomposition.bank_name))
    if options.list:
        for found in relighter.directions():
            print(f"{found.component}.{found.name}\t{found.minimum:g} to {found.maximum:g}\t{found.description}")
        return
    lit = relighter.relight(edits)
    settings = {"edits": options.set, "exr": options.exr}
    made = Made("relight", Source.of(options.decomposition), decomposition.bank_sha256, settings)
    if read_marker(options.out) is not None:
        say(f"The earlier result in {options.out} is replaced.")
    with result_folder(options.out, made) as new:
        write_result(new, lit)
        if options.exr is not None:
            write_layered_exr(new / "layers.exr", lit.layers, options.exr)
    print(options.out)


def _parse_edit(text: str) -> Edit:
    """``shading.sefa.0=1.5``: the component ends at the first dot, its direction at the last sign of equality."""
    from ..relighting.relighter import Edit

    where, _, amount = text.rpartition("=")
    component, _, direction = where.partition(".")
    try:
        return Edit.from_json({"component": component, "direction": direction, "amount": float(amount)})
    except ValueError as error:
        raise JoinError(
            "edit_invalid", f"'{text}' is not an edit.", "Write COMPONENT.DIRECTION=AMOUNT, as in shading.sefa.0=1.5."
        ) from error
