# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that measures our renderer beside the plainest loop."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from dataset_tools import specs
from dataset_tools.commands.arguments import add_sources, command, job_of, positive
from dataset_tools.workers.resources import start_blender


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    parser = command(commands, "bench", "seconds an image beside the plainest loop (a fresh Blender per image)")
    parser.add_argument("--dataset", choices=specs.DATASETS, default="primeshapes")
    parser.add_argument("--samples", type=positive, default=16, help="light paths per pixel")
    parser.add_argument("--workers", type=positive, default=os.cpu_count() or 1, help="our processes")
    parser.add_argument("--ours", type=positive, default=64, help="images that we are measured with")
    parser.add_argument("--plain", type=positive, default=4, help="images that the loop is measured with")
    parser.add_argument("--resolutions", type=positive, nargs="+", default=[64, 128, 256], help="pixels a side")
    parser.add_argument(
        "--share", action="store_true", help="instead: processor time of a sample, and Cycles' share of it"
    )
    add_sources(parser)
    parser.set_defaults(run=_bench)


def _bench(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    if options.share:
        _share(options)
        return
    from dataset_tools.benchmark.compare import Sides, compare

    print(f"{'':<40} {'ours':>10} {'plain':>10} {'ratio':>9}")
    sides = Sides(options.workers, options.ours, options.plain)
    for row in compare(options.dataset, options.samples, options.resolutions, sides):
        print(row, flush=True)


def _share(options: argparse.Namespace) -> None:
    from dataset_tools.benchmark.share import SEED, measure

    start_blender()
    for resolution in options.resolutions:
        job = job_of(options, range(options.ours), seed=SEED, resolution=resolution, out=Path(), denoise=True)
        found = measure(job)
        print(
            f"{options.dataset} {resolution}²: {1e3 * found.path:.1f} ms of processor time a light path, "
            f"{1e3 * found.rest:.0f} ms the rest, {1e3 * found.outside:.0f} ms of them outside Cycles: at "
            f"{options.samples} paths {found.inside(options.samples):.0%} inside Cycles, "
            f"{found.sampling(options.samples):.0%} in its sampling",
            flush=True,
        )
