# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that render: one per dataset."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
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
    share,
)
from dataset_tools.errors import UserError
from dataset_tools.inspection import cards
from dataset_tools.rendering.job import DEVICES, Job

_SLURM = """One array job of a hundred parts, all into one folder (a multiple of 64 each):
  sbatch --array=0-99 --cpus-per-task=8 --wrap 'a=$((SLURM_ARRAY_TASK_ID * 1024)); \\
    blender -b -P dataset_tools/render.py -- %s --range $a:$((a + 1024)) --workers 8 --out DIR'"""


def add(commands: argparse._SubParsersAction) -> None:
    """Add this module's commands to the parser."""
    for name in sorted(specs.DATASETS):
        _add_render(commands, name)


def _add_render(commands: argparse._SubParsersAction, name: str) -> None:
    parser = command(commands, name, f"render samples of {name}; run again to resume")
    parser.epilog = _SLURM % name
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--count", type=positive, help="number of samples")
    which.add_argument("--range", type=index_range, metavar="A:B", help="samples A to B - 1, for array jobs")
    parser.add_argument("--start", type=natural, help="with --count: index of the first sample (0)")
    add_quality(parser)
    parser.add_argument("--seed", type=natural, default=0, help="seed of the dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    add_sources(parser, environments=name in specs.LIGHTINGS, skins=name in specs.OF_SHAPES)
    if name in specs.LIGHTINGS:
        default = " ".join(f"{kind}={share:g}" for kind, share in specs.LIGHTINGS[name].items())
        parser.add_argument(
            "--lighting",
            type=_kind_share,
            nargs="+",
            metavar="KIND=SHARE",
            help=f"how often each kind of light is drawn, relative to the others; kinds left out are not ({default})",
        )
    if name in specs.CUTOUTS:
        parser.add_argument("--cutout-share", type=share, metavar="X", help="how often things are cut out (0.4)")
    parser.add_argument("--device", choices=DEVICES, default="cpu", help="cpu: the same bytes always; auto: the best")
    parser.add_argument("--workers", type=positive, default=1, help="processes; one CPU thread each")
    parser.add_argument("--timeout", type=positive, metavar="S", help="seconds after which a sample counts as hung")
    parser.add_argument("--retry-quarantined", action="store_true", help="try samples again that were left out")
    parser.add_argument("--progress", choices=("bar", "json"), default="bar", help="json: a line per event on stdout")
    parser.add_argument("--estimate", action="store_true", help="only say how many hours and gigabytes it takes")
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="render on a Ray cluster (or a local one without an address); --workers limits the tasks at a time",
    )
    parser.set_defaults(run=_render, dataset=name)


def _render(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    from dataset_tools import progress
    from dataset_tools.workers import estimate, ray_jobs
    from dataset_tools.workers import pool as workers

    if options.estimate:
        print(estimate.estimate(_job(options), options.workers))
        return
    how = workers.How(options.workers, options.timeout, options.retry_quarantined)
    report = progress.JsonLines() if options.progress == "json" else progress.Bar()
    cluster = None if options.ray is None else ray_jobs.cluster(options.ray)
    count = workers.render(_job(options), how, report, cluster)
    if options.progress != "json":
        print(f"{count} samples in {options.out}")
    trouble = cards.write_if_possible(options.out) if count else None
    if trouble:
        print(trouble, file=sys.stderr)


def _job(options: argparse.Namespace) -> Job:
    if options.range and options.start is not None:
        raise UserError("--range names the samples itself: leave --start out.")
    wanted = options.range or range(options.start or 0, (options.start or 0) + options.count)
    return job_of(options, wanted, lighting=_lighting(options))


def _lighting(options: argparse.Namespace) -> dict[str, float] | None:
    """The shares by kind, checked; None where the dataset has one kind of light or nothing was asked for."""
    if not getattr(options, "lighting", None):
        return None
    kinds = specs.LIGHTINGS[options.dataset]
    shares = dict(options.lighting)
    for kind in shares:
        if kind not in kinds:
            raise UserError(f"There is no light '{kind}' in {options.dataset}; choose among: {', '.join(kinds)}.")
    if not sum(shares.values()) > 0.0:
        raise UserError("--lighting leaves no light: give at least one kind a share above 0.")
    return shares


def _kind_share(text: str) -> tuple[str, float]:
    kind, _, share = text.partition("=")
    value = number(share)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a kind and its share, such as flash=0.5")
    return kind, value
