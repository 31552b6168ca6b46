# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several commands have in common, and what is made of them."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import JoinError, one_line
from .inversion.presets import DEFAULT_PRESET, PRESETS, Preset, get_preset
from .names import IMAGE_SUFFIXES, is_folder

if TYPE_CHECKING:
    import numpy as np

    from .bank import Bank, Choice

BAD_INPUT = 2  # exit status


def complain(error: JoinError) -> None:
    """Tell of an error on stderr."""
    say(f"error: {error}")


def say(line: str) -> None:
    """Tell of something on stderr; the work goes on where nobody takes it, as on a full disk."""
    with contextlib.suppress(OSError):
        print(one_line(line), file=sys.stderr, flush=True)


IMAGE_KINDS = ", ".join(suffix[1:].upper() for suffix in IMAGE_SUFFIXES)
"""What the commands that take images read, for their help."""
MOST_THREADS = 256
_LARGEST_SEED = 2**63 - 1


def natural(text: str) -> int:
    """Type of an option: a whole number from 0 on."""
    return _whole(text, 0, _LARGEST_SEED)


def positive(text: str) -> int:
    """Type of an option: a whole number from 1 on."""
    return _whole(text, 1, _LARGEST_SEED)


def thread_count(text: str) -> int:
    """Type of an option: so many threads that a machine may have them."""
    return _whole(text, 1, MOST_THREADS)


def finite(text: str) -> float:
    """Type of an option: a number from 0 on that has an end."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 on")
    return value


def _whole(text: str, smallest: int, largest: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and smallest <= int(text) <= largest):
        known = f"from {smallest} to {largest}" if largest < _LARGEST_SEED else f"from {smallest} on"
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number {known}")
    return int(text)


def as_json(value: Any) -> str:
    """Text to print or to write, ended by a line feed."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def add_device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_threads_option(parser)


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=thread_count, help="CPU threads (default: torch decides)")


def add_bank_option(parser: argparse.ArgumentParser, chooses: bool = False) -> None:
    """``chooses``: the command asks :func:`load_bank_for`."""
    auto = ", or auto: the one that the picture is most like" if chooses else ""
    parser.add_argument("--bank", help=f"name of a shipped bank, or a path{auto} (default: the default bank)")


def add_bf16_option(parser: argparse.ArgumentParser) -> None:
    # Not the default: it is not shown yet that the recombined image comes out as near to the photo.
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=False, help="search for codes in bfloat16"
    )


def add_inversion_options(parser: argparse.ArgumentParser, preset: str = DEFAULT_PRESET, chooses: bool = False) -> None:
    add_bank_option(parser, chooses)
    parser.add_argument("--preset", choices=tuple(PRESETS), default=preset)
    parser.add_argument("--seed", type=natural, default=0)
    add_device_options(parser)


def add_detail_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-detail", action="store_true", help="leave the layers as the generators make them (as in the paper)"
    )


def chosen_preset(options: argparse.Namespace) -> Preset:
    """Of :func:`add_inversion_options` and :func:`add_detail_option`."""
    preset = get_preset(options.preset)
    return replace(preset, detail=None) if options.no_detail else preset


def load_bank_named(options: argparse.Namespace, name: str | None = None) -> Bank:
    """The bank of ``--bank``, or another one, with its discriminators, on the device of ``--device``."""
    from .bank import find_bank, load_bank
    from .device import keep_freed_memory, set_up_torch

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    return load_bank(find_bank(name or options.bank), device, with_discriminators=True)


def load_bank_for(options: argparse.Namespace, pictures: Sequence[np.ndarray]) -> tuple[Bank, Choice | None]:
    """As :func:`load_bank_named`; where ``--bank`` leaves the choice to the pictures, linear [H, W, 3 or 4], the bank
    that suits them, and why."""
    name, choice = choose_bank_for(options, pictures)
    return load_bank_named(options, name), choice


def choose_bank_for(options: argparse.Namespace, pictures: Sequence[np.ndarray]) -> tuple[str | None, Choice | None]:
    """The bank of ``--bank``; where that leaves the choice to the pictures, the one of
    :func:`join_engine.bank.choose_bank`, and why, which a person is told."""
    from .bank import AUTO, choose_bank

    if options.bank != AUTO:
        return options.bank, None
    choice = choose_bank(pictures)
    for sentence in choice.passed_over:
        say(sentence)
    say(f"Bank {choice.why}")
    return str(choice.path), choice


def expand(names: Sequence[str], out: Path) -> tuple[list[Path], list[JoinError]]:
    """The images that are meant, a folder standing for all images in it; and what is wrong with the folders. What is
    passed over in a folder is told, but not ``out``."""
    from .images.files import images_in

    images: list[Path] = []
    problems: list[JoinError] = []
    for path in map(Path, names):
        try:
            if not is_folder(path):
                images.append(path)
                continue
            found = images_in(path, out)
            images += found.images
            if found.passed_over:
                say(f"{path}: passed over {found.passed_over}.")
            if found.series:
                say(f"{path}: {found.series}")
        except JoinError as error:
            problems.append(error)
    return images, problems


def named(kind: str) -> Any:
    """Type of an option's words ``NAME=VALUE``, told as ``NAME={kind}``; gives the two."""

    def split(text: str) -> tuple[str, str]:
        name, separator, value = text.partition("=")
        if not separator:
            raise argparse.ArgumentTypeError(f"'{text}' is not NAME={kind}")
        return name, value

    return split
