# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bank suits a picture: the one among whose pictures it is most likely, where that is clear; else the default.

A bank tells what the pictures look like that it has learned from (:mod:`join_engine.bank.pictures`). Only headers are
read. Banks of faces have a way of their own (:mod:`join_engine.portraits`), and one of another forward model makes
other layers: neither takes a picture from the default bank. Nor does one to whose pictures it is not clearly alike, or
that does not tell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import JoinError
from ..images.files import validate_image
from .file import DEFAULT_BANK, list_banks, read_header
from .header import BankHeader
from .pictures import measure

MARGIN = 5.0
"""By how much the log-likelihood must exceed the default bank's (``bank-choice``, docs/choices.md)."""
ALIKE = 0.5
"""How far a picture may be from a bank's own, where 95 of a hundred of these are within 1; likewise."""


@dataclass(frozen=True)
class Choice:
    """The bank that was chosen, and why.

    Attributes:
        path: its file.
        banks: by name, of each bank that was compared: ``log_likelihood``, and ``distance``, the square of the
            Mahalanobis distance against what is usual in that bank: 1 is that of its most unusual ones. Means over the
            pictures.
        why: in a sentence.
        passed_over: a sentence for each file that is no bank.
        seconds: that it took.
    """

    path: Path
    banks: Mapping[str, Mapping[str, float]]
    why: str
    passed_over: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def name(self) -> str:
        """By which :func:`join_engine.bank.find_bank` finds it."""
        return self.path.stem

    def to_json(self) -> dict[str, Any]:
        """For the settings of a decomposition; plain JSON values."""
        return {
            "chosen": self.name,
            "why": self.why,
            "banks": {name: dict(found) for name, found in self.banks.items()},
        }


def choose_bank(images: Sequence[np.ndarray], folder: Path | None = None) -> Choice:
    """The bank for pictures of one thing, whatever their order. Raises JoinError ``bank_missing`` where there is none
    that can be read, and as :func:`join_engine.images.files.validate_image`.

    Args:
        images: linear, [H, W, 3 or 4] each.
        folder: of the banks; None for the shipped ones.
    """
    start = time.perf_counter()
    paths = {path.stem: path for path in list_banks(folder)}
    readable, passed_over = _readable(paths)
    if not readable:
        raise JoinError("bank_missing", "There is no bank that can be read.", "Install JoIN Intrinsics again.")
    anything = [name for name, header in readable.items() if not header.faces]
    default = DEFAULT_BANK if DEFAULT_BANK in readable else (anything or list(readable))[0]
    told = readable[default].pictures
    if told is None or not told.is_known:
        why = f"{default}: it does not tell what its pictures look like, so that no other can be compared with it."
        return Choice(paths[default], {}, why, passed_over)
    measured = [measure(validate_image(image)) for image in images]
    banks = {}
    for name, header in readable.items():
        pictures = header.pictures
        rival = header.forward_model == readable[default].forward_model and header.faces == readable[default].faces
        if pictures is not None and pictures.is_known and rival:
            # One after the other: what comes of many at once depends on their order by rounding.
            likely = math.fsum(float(pictures.log_likelihoods(each)) for each in measured) / len(images)
            far = math.fsum(float(pictures.distances(each)) for each in measured) / len(images)
            banks[name] = {"log_likelihood": likely, "distance": far / pictures.usual}
    chosen, why = decide(banks, default)
    return Choice(paths[chosen], banks, why, passed_over, time.perf_counter() - start)


def decide(banks: Mapping[str, Mapping[str, float]], default: str) -> tuple[str, str]:
    """The bank's name, and why, of what :class:`Choice` tells of each."""
    if len(banks) == 1:
        return default, f"{default}: there is no other bank to choose among."
    known = [name for name, found in banks.items() if name != default and found["distance"] <= ALIKE]
    best = max(known, key=lambda name: banks[name]["log_likelihood"], default=None)
    if best is None:
        return default, f"{default}: no other bank has learned from pictures clearly like this."
    ahead = banks[best]["log_likelihood"] - banks[default]["log_likelihood"]
    figures = f"log-likelihood {ahead:+.1f} against that of {default}, {MARGIN:g} are asked for"
    if ahead > MARGIN:
        return best, f"{best}: the picture is more like those that it has learned from ({figures})."
    return default, f"{default}: no other bank is clearly nearer to the picture ({best}: {figures})."


def _readable(paths: Mapping[str, Path]) -> tuple[dict[str, BankHeader], tuple[str, ...]]:
    """Headers by the names of their files, and what is wrong with the others."""
    readable, problems = {}, []
    for name, path in paths.items():
        try:
            readable[name] = read_header(path)
        except JoinError as error:
            problems.append(f"{path.name} was passed over: {error}")
    return readable, tuple(problems)
