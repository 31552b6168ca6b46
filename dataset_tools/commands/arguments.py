# SPDX-License-Identifier: GPL-3.0-or-later
"""What every command of the tool has in common."""

from __future__ import annotations

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from dataset_tools import packages
from dataset_tools.rendering.job import Job


def command(commands: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--packages", metavar="DIR", help=f"folder with Pillow and OpenEXR (or {packages.VARIABLE})")
    return parser


def add_sources(parser: argparse.ArgumentParser, environments: bool = True, skins: bool = True) -> None:
    """Options for what scenes draw from: those of any dataset, or of one that has no use for some."""
    parser.add_argument("--materials", type=Path, metavar="DIR", help="folder of scanned materials (PBR textures)")
    parser.add_argument("--scanned-share", type=share, default=0.5, help="how often one is drawn: 1 for always (0.5)")
    if environments:
        pictures = "folder of equirectangular .hdr and .exr (Blender's own eight)"
        parser.add_argument("--environments", type=Path, metavar="DIR", help=pictures)
    if skins:
        pictures = "of heads: folder with pictures in skins/ and eyes/"
        parser.add_argument("--skins", type=Path, metavar="DIR", help=pictures)


def add_quality(parser: argparse.ArgumentParser) -> None:
    """Options for how scenes are rendered."""
    parser.add_argument("--resolution", type=positive, default=128, help="width and height in pixels")
    parser.add_argument("--samples", type=positive, default=12, help="light paths per pixel")
    parser.add_argument("--denoise", action="store_true", help="add denoised shading and specular to the raw passes")


def job_of(options: argparse.Namespace, wanted: range, **others: Any) -> Job:
    """What a command's options ask for, of these samples."""
    known = {field.name for field in fields(Job)}
    given = {name: value for name, value in vars(options).items() if name in known}
    return Job(**{**given, "start": wanted.start, "count": len(wanted), **others})


def positive(text: str) -> int:
    value = natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of 0 or more")
    return int(text)


def number(text: str) -> float:
    """NaN, which lies within no bounds, where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def mebibytes(text: str) -> float:
    value = number(text)
    if not 0.02 <= value < 1e6:  # a tar alone takes 10 KiB
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of MiB of 0.02 or more")
    return value


def share(text: str) -> float:
    value = number(text)
    if not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0 and up to 1")
    return value


def index_range(text: str) -> range:
    first, colon, end = text.partition(":")
    if not colon or not first.isdecimal() or not end.isdecimal() or int(first) >= int(end):
        raise argparse.ArgumentTypeError(f"'{text}' is not a range such as 0:1024")
    return range(int(first), int(end))
