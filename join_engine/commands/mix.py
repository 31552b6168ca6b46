# SPDX-License-Identifier: GPL-3.0-or-later
"""Mix another decomposition's colour, pattern or layout into one, its light untouched.

The result can be mixed on: `relight --set albedo.mix.colour=1`.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..options import add_device_options, finite, load_bank_named, say

_GROUPS = ("colour", "pattern", "layout")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument("other", type=Path, metavar="OTHER.join", help="of the same bank")
    for group in _GROUPS:
        parser.add_argument(f"--{group}", type=finite, default=0.0, help="of the other, 0 to 1 (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the layers and decomposition.join")
    parser.add_argument("--bank", help="name or path of the bank that both were made with (default: by its name)")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..layers.decomposition import load_decomposition
    from ..layers.layer_files import write_result
    from ..layers.result_folder import Made, Source, check_free, read_marker, result_folder
    from ..relighting.mixing import mix

    amounts = {name: getattr(options, name) for name in _GROUPS}
    decomposition, other = load_decomposition(options.decomposition), load_decomposition(options.other)
    check_free(options.out, "mix")
    bank = load_bank_named(options, options.bank or decomposition.bank_name)
    mixed = mix(decomposition, other, bank, amounts)
    settings = {**amounts, "other": asdict(Source.of(options.other))}
    made = Made("mix", Source.of(options.decomposition), decomposition.bank_sha256, settings)
    if read_marker(options.out) is not None:
        say(f"The earlier result in {options.out} is replaced.")
    with result_folder(options.out, made) as new:
        write_result(new, mixed)
    print(options.out)
