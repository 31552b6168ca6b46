# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the dataset tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from dataset_tools import exports, packages, passes, samples, shards, specs
from dataset_tools.errors import UserError
from dataset_tools.specs.seeds import SPLITS


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status: 0, 1 for an error (one sentence on stderr), 130 when interrupted."""
    try:
        options = _parser().parse_args(arguments)
        packages.use_folder(options.packages)
        return int(options.run(options, arguments) or 0)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="render.py", description="Render datasets and pack them for training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in sorted(specs.DATASETS):
        _add_render(commands, name)
    _add_export(commands)
    _add_sample(commands)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--packages", metavar="DIR", help=f"folder with Pillow and OpenEXR (or {packages.VARIABLE})")
    return parser


def _add_render(commands: argparse._SubParsersAction, name: str) -> None:
    parser = _command(commands, name, f"render samples of {name}; run again to resume")
    parser.add_argument("--count", type=_positive, required=True, help="number of samples")
    parser.add_argument("--start", type=_natural, default=0, help="index of the first sample")
    parser.add_argument("--resolution", type=_positive, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=_positive, default=12, help="light paths per pixel")
    parser.add_argument("--seed", type=_natural, default=0, help="seed of the dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--workers", type=_positive, default=1, help="processes; one CPU thread each")
    parser.add_argument("--worker", type=_share, help=argparse.SUPPRESS)
    parser.set_defaults(run=_render, dataset=name)


def _render(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    from dataset_tools import workers

    job = workers.Job(
        dataset=options.dataset,
        seed=options.seed,
        start=options.start,
        count=options.count,
        resolution=options.resolution,
        samples=options.samples,
        out=options.out,
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


def _add_export(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "export", "pack one split of the finished shards for training or evaluation")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument(
        "--resolution", type=_positive, required=True, help="width and height; divides the rendered one"
    )
    parser.add_argument("--components", nargs="+", default=["albedo", "shading"], choices=passes.COMPONENTS)
    parser.add_argument("--split", default="train", choices=(*SPLITS, exports.ALL_SPLITS))
    parser.add_argument("--float", action="store_true", dest="floats", help="float32 linear .npy instead of 8-bit PNG")
    parser.add_argument("--limit", type=_positive, help="take this many samples at most")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.tar")
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    # Each component once, in the order given.
    components = tuple(dict.fromkeys(options.components))
    wanted = exports.Export(options.resolution, components, options.split, options.floats, options.limit)
    count = exports.export(options.folder, wanted, options.out)
    print(f"{count} samples (split: {options.split}) in {options.out}")


def _add_sample(commands: argparse._SubParsersAction) -> None:
    parser = _command(commands, "sample", "write one sample as an image with its true layers")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the dataset")
    parser.add_argument("--index", type=_natural, required=True)
    parser.add_argument(
        "--resolution", type=_positive, required=True, help="width and height; divides the rendered one"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.set_defaults(run=_sample)


def _sample(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    split = samples.write_sample(options.folder, options.index, options.resolution, options.out)
    print(f"sample {options.index} ({split}) in {options.out}")


def _positive(text: str) -> int:
    value = _natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def _share(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return _natural(number), _positive(count)
