# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of the trainings have in common (no command itself)."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import add_device_options, finite, natural

if TYPE_CHECKING:
    from ..bank import Bank
    from ..renders.photo_augment import PhotoRanges
    from ..training.run import Run


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options that every training has."""
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--validation", nargs="+", default=[], metavar="PACK.tar", help="packs to be judged by")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--resume", default="auto", help="auto, never, or a checkpoint (default: auto)")
    parser.add_argument("--kimg", type=finite, default=100, help="thousand images in all (default: 100)")
    parser.add_argument("--minutes", type=finite, default=1e9, help="stop after so many minutes")
    add_device_options(parser)
    parser.add_argument("--save-every", type=finite, default=2, metavar="KIMG", help="checkpoint and log (default: 2)")
    parser.add_argument("--validate-every", type=finite, default=10, metavar="KIMG", help="default: 10")


def add_settings(parser: argparse.ArgumentParser, settings: Any) -> None:
    """An option for each field of a dataclass of numbers and switches, whose values are the defaults."""
    group = parser.add_argument_group("training")
    for field in fields(settings):
        value, option = getattr(settings, field.name), f"--{field.name.replace('_', '-')}"
        if isinstance(value, bool):
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=value)
        else:
            kind = natural if isinstance(value, int) else finite
            group.add_argument(option, type=kind, default=value, help=f"default: {value}")


def pick(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass."""
    values = vars(arguments)
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def identity_through(bank: Bank, kind: str, architecture: dict[str, Any], components: Iterable[str]) -> dict[str, Any]:
    """What a training through a bank's generators is: it goes on with the same ones only."""
    from ..bank import fingerprint

    return {
        "kind": kind,
        "forward_model": bank.header.forward_model,
        "bank": bank.header.name,
        "architecture": architecture,
        "generators": {name: fingerprint(bank.components[name].generator) for name in components},
    }


def train(run: Run, options: argparse.Namespace, ranges: PhotoRanges | None = None) -> None:
    """Let a run, resumed where the options say so, go on until it is done or told to stop; ``ranges`` are what its
    history says of the photographic augmentation. Nobody else may train in its folder meanwhile. Raises JoinError."""
    from ..images.files import folder_of_ones_own

    with folder_of_ones_own(run.out):
        run.resume(options.resume)
        if ranges is not None:
            run.history[-1]["augmentation"] = ranges.to_dict()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, run.request_stop)
        print(f"{len(run.data)} samples, {run.data.resolution}², from {run.learner.images} images on", flush=True)
        run.train(options.kimg, options.minutes, options.save_every, options.validate_every)
