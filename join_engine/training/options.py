# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands of the trainings have in common (no command itself)."""

from __future__ import annotations

import argparse
import inspect
import re
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

from ..bank import Bank, fingerprint
from ..device import keep_freed_memory, set_up_torch
from ..errors import JoinError
from ..images.files import folder_of_ones_own
from ..options import add_device_options, finite, natural
from ..renders.compose import ComponentSets, Reader, read_component_sets, read_validation
from ..renders.photo_augment import PhotoRanges
from .learner import Learner
from .run import Run

_Settings = TypeVar("_Settings")
# Names and words of an entry of a docstring's "Attributes:".
_TOLD = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n        .+)*)", re.MULTILINE)


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


def add_settings(parser: argparse.ArgumentParser, settings: Any, but: Collection[str] = ()) -> None:
    """An option for each field of a dataclass of numbers and switches ``but`` some; its values are the defaults."""
    group, meant = parser.add_argument_group("training"), told_of_fields(type(settings))
    for field in fields(settings):
        if field.name in but:
            continue
        value, option = getattr(settings, field.name), f"--{field.name.replace('_', '-')}"
        shown = value if value is None or isinstance(value, bool) else f"{value:g}"
        text = f"{meant.get(field.name, '')} (default: {shown})".lstrip()
        if isinstance(value, bool):
            group.add_argument(option, action=argparse.BooleanOptionalAction, default=value, help=text)
        else:
            group.add_argument(option, type=natural if isinstance(value, int) else finite, default=value, help=text)


def told_of_fields(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass, and of those that it is made of, say of its fields; for ``help``."""
    told: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        for names, text in _TOLD.findall(inspect.getdoc(each) or ""):
            told |= dict.fromkeys(names.split(", "), " ".join(text.split()).rstrip(".").replace("%", "%%"))
    return told


def ranges_of_light() -> PhotoRanges:
    """What a camera does, for networks that shall find the light: what changes the light itself is drawn with the
    components, since the layers that are to be found change with it."""
    return PhotoRanges(vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0)


def pick(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass."""
    values = vars(arguments)
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """What was said of an architecture; of several numbers a tuple."""
    told = {name: getattr(arguments, name) for name in names}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in told.items() if v is not None}


def settings_of(arguments: argparse.Namespace, kind: type[_Settings]) -> _Settings:
    """A dataclass of the arguments that are its fields."""
    return kind(**pick(arguments, kind))


def need_side(data: ComponentSets, smallest: int, hint: str) -> None:
    """Raise JoinError ``settings_invalid`` for packs of fewer pixels a side than a network needs."""
    if data.resolution < smallest:
        message = f"The packs have {data.resolution} pixels a side, the network needs {smallest}."
        raise JoinError("settings_invalid", message, hint)


def need_doubled(data: ComponentSets, side: int, code: str, hint: str) -> None:
    """Raise JoinError ``code`` for packs whose side is not ``side`` doubled, once or several times, or that itself."""
    if data.resolution not in (side << halvings for halvings in range(16)):
        raise JoinError(code, f"The packs have {data.resolution} pixels a side, which is not {side} doubled.", hint)


def identity_through(bank: Bank, kind: str, architecture: dict[str, Any], components: Iterable[str]) -> dict[str, Any]:
    """What a training through a bank's generators is: it goes on with the same ones only."""
    return {
        "kind": kind,
        "forward_model": bank.header.forward_model,
        "bank": bank.header.name,
        "architecture": architecture,
        "generators": {name: fingerprint(bank.components[name].generator) for name in components},
    }


def device(options: argparse.Namespace) -> torch.device:
    """That of ``--device``, made ready for a training."""
    found = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    return found


@contextmanager
def checked_architecture() -> Iterator[None]:
    """Says of an architecture that cannot be made why. Raises JoinError ``settings_invalid``."""
    try:
        yield
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error


def need_albedo_and_shading(data: ComponentSets) -> None:
    """Raise JoinError ``settings_invalid`` where there is nothing to tell apart."""
    if not {"albedo", "shading"} <= set(data.sets):
        message = f"The forward model '{data.model.name}' has no albedo and shading to tell apart."
        raise JoinError("settings_invalid", message, "Only one with both has use for this network.")


def train(
    learner: Learner[Any, Any],
    identity: Mapping[str, Any],
    data: ComponentSets,
    options: argparse.Namespace,
    ranges: PhotoRanges | None = None,
    sheet: Callable[[ComponentSets, Path], None] | None = None,
    read: Reader = read_component_sets,
) -> Run:
    """Let a training, resumed where the options say so, go on until it is done or told to stop. Nobody else may train
    in its folder meanwhile. Raises JoinError.

    Args:
        learner, identity, data: see :class:`join_engine.training.run.Run`.
        ranges: what its history says of the photographic augmentation.
        sheet: writes a picture of the samples that it is judged by.
        read: the packs of these samples.
    """
    validation = read_validation(options.validation, data, read)
    shown = None if sheet is None or validation is None else partial(sheet, validation)
    run = Run(learner, identity, data, validation, options.out, shown)
    with folder_of_ones_own(run.out):
        run.resume(options.resume)
        if ranges is not None:
            run.history[-1]["augmentation"] = asdict(ranges)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, run.request_stop)
        print(f"{len(run.data)} samples, {run.data.resolution}², from {run.learner.images} images on", flush=True)
        run.train(options.kimg, options.minutes, options.save_every, options.validate_every)
    return run
