# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimiser steps per second and peak memory; or everything beside a plain loop of the same networks.

--beside times both ways alternately in one process, prints their ratios and writes beside.json and beside.md into
--out; with --data (a pack of renders) and --photographs (a folder of THING.0.jpg, THING.1.jpg …) also quality against
seconds, and a picture of each.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import JoinError
from ..inversion.presets import get_preset
from .options import add_bf16_option, add_inversion_options, as_json, load_bank_named, positive, say

if TYPE_CHECKING:
    from ..bank import Bank


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=positive, default=100)
    parser.add_argument("--batch", type=positive, nargs="+", default=[1], help="images at once; may be several")
    parser.add_argument("--method", help="time a row of the table, such as opt-knn, instead of --preset")
    parser.add_argument("--card", action="store_true", help="write the figures into the bank's card")
    add_bf16_option(parser)
    add_inversion_options(parser)
    beside = parser.add_argument_group("with --beside")
    beside.add_argument("--beside", action="store_true", help="time it all beside the plain loop")
    beside.add_argument("--pairs", type=positive, default=5, help="of each row (default 5)")
    beside.add_argument("--presets", nargs="+", choices=("draft", "standard", "best"), default=["draft", "standard"])
    beside.add_argument("--sizes", nargs="*", choices=("1K", "4K", "8K"), default=["1K", "4K", "8K"], help="of layers")
    beside.add_argument("--data", type=Path, metavar="PACK.tar", help="renders for quality against seconds")
    beside.add_argument("--renders", type=positive, default=6, help="of them (default 6)")
    beside.add_argument("--photographs", type=Path, metavar="DIR", help="registered photographs for the same")
    beside.add_argument("--things", type=positive, default=2, help="of them (default 2), three photos of each")
    beside.add_argument("--out", type=Path, metavar="DIR", help="folder")


def run(options: argparse.Namespace) -> None:
    if options.beside:
        _beside(options, load_bank_named(options))
        return
    from ..evaluation.bench import bench, write_speed
    from ..evaluation.methods import Rows, make_methods
    from ..inversion.stages.joint import Joint

    bank, preset = load_bank_named(options), get_preset(options.preset)
    if options.method:
        (method,) = make_methods([options.method], Rows(), bank)
        if method.preset is None or not any(isinstance(stage, Joint) for stage in method.preset.stages):
            message = f"'{options.method}' optimises nothing{': ' + method.lacks if method.lacks else ''}."
            raise JoinError("method_unknown", message, "Name one that does, such as opt-knn.")
        preset = method.preset
    measured = bench(bank, preset, options.steps, options.seed, options.batch, options.bf16)
    if options.card:
        write_speed(bank.path.with_suffix(".md"), measured)
    print(as_json(measured))


def _beside(options: argparse.Namespace, bank: Bank) -> None:
    from ..evaluation.beside import Bench, Settings, format_curves, format_table, machine, write_plot
    from ..images.files import write_text

    settings = Settings(options.pairs, options.presets, options.sizes, options.seed)
    found: dict[str, Any] = {"bank": {"name": bank.header.name, "sha256": bank.sha256}, "before": machine()}
    bench = Bench(bank, settings, say)
    found["rows"] = bench.rows()
    text, curves = format_table(found["rows"]), {}
    if options.data is not None:
        curves["renders"] = bench.curves(options.data, options.renders)
    if options.photographs is not None:
        curves["photographs"] = bench.consistency(options.photographs, options.things, photos=3)
    found |= {**curves, "after": machine()}
    for name, curve in curves.items():
        text += "\n" + format_curves(name, curve)
        if options.out is not None:
            write_plot(options.out / f"beside-{name}.png", f"Quality against seconds, {name}", curve)
    text += f"\nLoad before {found['before']['load']}, after {found['after']['load']}.\n"
    if options.out is not None:
        write_text(options.out / "beside.json", as_json(found))
        write_text(options.out / "beside.md", text)
    print(text)
