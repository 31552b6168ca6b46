# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways in which a network may look at an image: as it is, mirrored, turned; as its training has known samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Orientation:
    """One way: mirrored left to right or not, then turned by so many quarters."""

    flip: bool = False
    quarters: int = 0

    def of(self, images: Tensor) -> Tensor:
        """[B, C, R, R], as they are → as they look this way."""
        return torch.rot90(images.flip(3) if self.flip else images, self.quarters, (2, 3))

    def back(self, images: Tensor) -> Tensor:
        """Inverse of :meth:`of`."""
        upright = torch.rot90(images, -self.quarters, (2, 3))
        return upright.flip(3) if self.flip else upright


def known_orientations(training: Mapping[str, Any]) -> tuple[Orientation, ...]:
    """All ways in which a network was shown samples in the end; as they are where nobody said. ``training``: what a
    bank's header says of it."""
    settings = _settings(training)
    flips = (False, True) if settings.get("flip") else (False,)
    turns = range(4) if settings.get("turns") else range(1)
    return tuple(Orientation(flip, quarters) for flip in flips for quarters in turns)


def is_upright(training: Mapping[str, Any]) -> bool:
    """Whether a network, which otherwise has seen samples turned, was shown them the right way up alone in the end."""
    return not _settings(training).get("turns", True)


def _settings(training: Mapping[str, Any]) -> Mapping[str, Any]:
    stretches = training.get("stretches", [])
    return stretches[-1]["settings"] if stretches else {}
