# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that render: one per dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dataset_tools import shards, specs
from dataset_tools.commands.arguments import command, natural, positive
from dataset_tools.job import Job


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    for name in sorted(specs.DATASETS):
        _add_render(commands, name)


def _add_render(commands: argparse._SubParsersAction, name: str) -> None:
    parser = command(commands, name, f"render samples of {name}; run again to resume")
    parser.add_argument("--count", type=positive, required=True, help="number of samples")
    parser.add_argument("--start", type=natural, default=0, help="index of the first sample")
    parser.add_argument("--resolution", type=positive, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=positive, default=12, help="light paths per pixel")
    parser.add_argument("--denoise", action="store_true", help="add denoised shading and specular to the raw passes")
    parser.add_argument("--seed", type=natural, default=0, help="seed of the dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--workers", type=positive, default=1, help="processes; one CPU thread each")
    parser.add_argument("--worker", type=_share, help=argparse.SUPPRESS)
    parser.set_defaults(run=_render, dataset=name)


def _render(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    from dataset_tools import workers

    job = Job(
        dataset=options.dataset,
        seed=options.seed,
        start=options.start,
        count=options.count,
        resolution=options.resolution,
        samples=options.samples,
        out=options.out,
        denoise=options.denoise,
    )
    workers.open_folder(job)
    if options.worker:
        workers.render_share(job, *options.worker)
        return
    if options.workers == 1:
        workers.render_share(job, 0, 1)
    else:
        workers.render_parallel(arguments, options.workers)
    count = shards.write_manifest(job.out)
    print(f"{count} samples in {job.out}")


def _share(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return natural(number), positive(count)
