# SPDX-License-Identifier: GPL-3.0-or-later
"""What the pictures look like that a bank has learned from: a Gaussian of a few statistics of them, in its header.

The statistics are those that tell kinds of pictures apart at a glance (Torralba and Oliva, "Statistics of natural image
categories", 2003): brightness, contrast, colour, how much changes at each scale, and where the light lies. A bank is
chosen by them (:mod:`join_engine.bank.choice`); they cost a millisecond, and no network is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..color import srgb_encode
from ..images.files import opaque
from ..images.frame import Frame
from ..json_data import Described

SIDE = 64
"""Pixels of the squares that are looked at, whatever the bank's own."""
STATISTICS = (
    *("mean", "contrast", "clipped", "saturation", "red against green", "blue against green"),
    *("edges of 1 pixel", "edges of 2 pixels", "edges of 4 pixels", "edges of 8 pixels"),
    *("corners against middle", "top against bottom", "left against right"),
)
_WHITE = 0.98
_FEW = 0.01  # of what is clipped, and of the changes below: keeps logarithms finite
_SMOOTH = 1e-3
_USUAL = 0.95
_LARGEST = 1e9  # of any number here; those that are none are not below it either
_LEAST = 2 * len(STATISTICS)  # pictures that a covariance is told from
_REGULAR = 1e-3  # of each variance added to it: few pictures tell no correlation for sure


@dataclass(frozen=True)
class PicturesHeader(Described):
    """What a bank says about the pictures that it has learned from.

    Attributes:
        statistics: names of what was measured, :data:`STATISTICS` of the version that did.
        mean: of each.
        covariance: of each with each.
        usual: what the squares of the Mahalanobis distances of 95 of a hundred of these pictures stay below.
        training: which pictures; plain JSON values.
    """

    statistics: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    usual: float
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.statistics)
        values = [*self.mean, self.usual, *(value for row in self.covariance for value in row)]
        if count == 0 or len(self.mean) != count or [len(row) for row in self.covariance] != [count] * count:
            raise ValueError("the statistics of a bank's pictures do not belong together")
        if not all(abs(value) < _LARGEST for value in values) or self.usual <= 0.0:
            raise ValueError("the statistics of a bank's pictures are no numbers that there are")
        if int(torch.linalg.cholesky_ex(_tensor(self.covariance))[1]):
            raise ValueError("the statistics of a bank's pictures have a covariance that is none")

    @property
    def is_known(self) -> bool:
        """Whether this version measures the same."""
        return self.statistics == STATISTICS

    def distances(self, measured: Tensor) -> Tensor:
        """Squares of the Mahalanobis distances [B] of what :func:`measure` gives, [B, S]."""
        beside = measured.double() - _tensor(self.mean)
        return torch.linalg.solve_triangular(self._root, beside.T, upper=False).square().sum(dim=0)

    def log_likelihoods(self, measured: Tensor) -> Tensor:
        """Natural logarithms of the Gaussian's densities, but for a constant that all banks have in common; [B, S] →
        [B]."""
        return -0.5 * self.distances(measured) - self._root.diagonal().log().sum()

    @property
    def _root(self) -> Tensor:
        return torch.linalg.cholesky(_tensor(self.covariance))


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def measure(image: np.ndarray) -> Tensor:
    """:data:`STATISTICS` of a linear image [H, W, 3], or [H, W, 4] with straight alpha, as a camera shows it:
    [1, S]."""
    colour = opaque(image)
    square = Frame(colour.shape[0], colour.shape[1], SIDE).fit(colour)
    return _measured(srgb_encode(square.clamp(0.0, 1.0)))


def _measured(images: Tensor) -> Tensor:
    """Of sRGB-encoded images [B, 3, SIDE, SIDE] in [0, 1]: [B, S]."""
    light, colour = images.mean(dim=1, keepdim=True), images.mean(dim=(2, 3))
    found = [
        light.mean(dim=(1, 2, 3)),
        light.std(dim=(1, 2, 3)),
        ((light > _WHITE).to(light).mean(dim=(1, 2, 3)) + _FEW).log(),
        (images.amax(dim=1) - images.amin(dim=1)).mean(dim=(1, 2)),
        colour[:, 0] - colour[:, 1],
        colour[:, 2] - colour[:, 1],
    ]
    scale = light
    for _ in range(4):
        across = (scale[..., 1:] - scale[..., :-1]).abs().mean(dim=(1, 2, 3))
        down = (scale[..., 1:, :] - scale[..., :-1, :]).abs().mean(dim=(1, 2, 3))
        found.append((across + down + _SMOOTH).log())
        scale = functional.avg_pool2d(scale, 2)
    place = functional.adaptive_avg_pool2d(light, 4)[:, 0]  # [B, 4, 4]
    corners, middle = place[:, ::3, ::3], place[:, 1:3, 1:3]
    found += [
        (one.mean(dim=(1, 2)) - other.mean(dim=(1, 2)))
        for one, other in (
            (corners, middle),
            (place[:, :1], place[:, 3:]),
            (place[:, :, :1], place[:, :, 3:]),
        )
    ]
    return torch.stack(found, dim=1)


def describe(measured: Tensor, training: Mapping[str, Any]) -> PicturesHeader:
    """The header of pictures whose :func:`measure` is [B, S]. Raises ValueError for too few of them."""
    if len(measured) < _LEAST:
        raise ValueError(f"{len(measured)} pictures are too few to tell what they look like; {_LEAST} are needed")
    covariance = torch.cov(measured.double().T)
    covariance += _REGULAR * torch.diag(covariance.diagonal()) + _REGULAR**3 * torch.eye(len(STATISTICS))
    mean = tuple(measured.double().mean(dim=0).tolist())
    header = PicturesHeader(STATISTICS, mean, tuple(map(tuple, covariance.tolist())), 1.0, training)
    return replace(header, usual=float(header.distances(measured).quantile(_USUAL)))
