# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that render scenes in several states (under other lights, or with their material changed), or with what only
a renderer knows of their materials."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dataset_tools import specs
from dataset_tools.commands.arguments import (
    add_quality,
    add_sources,
    command,
    index_range,
    job_of,
    natural,
    number,
    positive,
)
from dataset_tools.packs import maps, relit, restyle
from dataset_tools.packs.variants import Written
from dataset_tools.rendering.job import Job
from dataset_tools.specs.relighting import ATTRIBUTES
from dataset_tools.specs.restyling import PROPERTIES
from dataset_tools.workers.resources import start_blender


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    text = "render scenes as they are and with the light moved, or each under several lights, as float packs"
    parser = _scenes(commands, "relit", text)
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--move",
        type=_move,
        nargs="+",
        default=relit.MOVES,
        metavar="ATTRIBUTE=AMOUNT",
        help=f"in standard deviations of the dataset, such as left_right=+1 (each of {', '.join(ATTRIBUTES)} by ±1)",
    )
    how.add_argument(
        "--lights",
        type=_several,
        metavar="N",
        help="instead: N photographs of each scene, each under a light of its own (packs light1 … lightN)",
    )
    parser.set_defaults(run=_relit)

    text = "render scenes as they are and with one property of their materials moved, as float packs"
    parser = _scenes(commands, "restyle", text)
    amounts = "; ".join(f"{name}: {found.meaning}" for name, found in PROPERTIES.items())
    default = " ".join(f"{move.name}={move.amount:+g}" for move in restyle.MOVES)
    parser.add_argument(
        "--move",
        type=_restyle_move,
        nargs="+",
        default=restyle.MOVES,
        metavar="PROPERTY=AMOUNT",
        help=f"such as wet=0.7 ({amounts}; {default})",
    )
    parser.set_defaults(run=_restyle)

    text = "render scenes with their true normals and roughness beside the layers, as a float pack"
    _scenes(commands, maps.NAME, text).set_defaults(run=_maps)


def _scenes(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    """A command about scenes of a dataset, with all that decides them."""
    parser = command(commands, name, text)
    parser.add_argument("dataset", choices=sorted(specs.DATASETS))
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--index", type=natural, nargs="+", metavar="I", help="these samples")
    which.add_argument("--range", type=index_range, metavar="A:B", help="samples A to B - 1")
    parser.add_argument("--seed", type=natural, default=1000, help="of the dataset (1000: no bank was trained on it)")
    add_sources(parser)
    add_quality(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the packs")
    return parser


def _relit(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    job, indices = _job(options)
    if options.lights:
        written = relit.render_lights(job, indices, options.lights)
        print(f"{len(indices)} scenes under {options.lights} lights each in {options.out}")
        return
    written = relit.render(job, indices, tuple(dict.fromkeys(options.move)))
    print(f"{len(indices)} scenes under {len(written.files)} lights in {options.out}")
    _print_left_out(written, len(indices))


def _restyle(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    job, indices = _job(options)
    written = restyle.render(job, indices, tuple(dict.fromkeys(options.move)))
    print(f"{len(indices)} scenes in {len(written.files)} states in {options.out}")
    _print_left_out(written, len(indices))


def _maps(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    job, indices = _job(options)
    written = maps.render(job, indices)
    print(f"{len(indices)} scenes with normals and roughness in {written.files[0]}")


def _print_left_out(written: Written, wanted: int) -> None:
    fewer: Mapping[str, int] = {name: count for name, count in written.counts.items() if count < wanted}
    if fewer:
        listed = ", ".join(f"{name} {count}" for name, count in fewer.items())
        print(f"left out where nothing could be moved; scenes of these packs: {listed}")


def _job(options: argparse.Namespace) -> tuple[Job, tuple[int, ...]]:
    start_blender()
    indices = tuple(dict.fromkeys(options.index or options.range))
    return job_of(options, range(min(indices), max(indices) + 1)), indices


def _several(text: str) -> int:
    value = positive(text)
    if value < 2:
        raise argparse.ArgumentTypeError("must be 2 or more")
    return value


def _move(text: str) -> relit.Move:
    attribute, _, told = text.partition("=")
    amount = number(told)
    if attribute not in ATTRIBUTES or not math.isfinite(amount) or not amount:
        known = ", ".join(ATTRIBUTES)
        raise argparse.ArgumentTypeError(f"'{text}' is not ATTRIBUTE=AMOUNT such as left_right=+1 (there are {known})")
    return relit.Move(attribute, amount)


def _restyle_move(text: str) -> restyle.Restyle:
    name, _, told = text.partition("=")
    amount = number(told)
    if name not in PROPERTIES or not math.isfinite(amount) or not amount:
        known = ", ".join(PROPERTIES)
        raise argparse.ArgumentTypeError(f"'{text}' is not PROPERTY=AMOUNT such as wet=0.7 (there are {known})")
    low, high = PROPERTIES[name].low, PROPERTIES[name].high
    if not low <= amount <= high:
        raise argparse.ArgumentTypeError(f"'{name}' goes from {low:g} to {high:g} ({PROPERTIES[name].meaning})")
    return restyle.Restyle(name, amount)
