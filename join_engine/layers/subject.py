# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done otherwise with a photo of a face than with all other photos, by the bank that it is decomposed with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..bank import BankHeader
from .caution import FACES_RETINEX_ERROR, RETINEX_ERROR
from .detail import keep_detail, keep_light
from .few_paints import FEW_PAINTS_ERROR


@dataclass(frozen=True)
class Subject:
    """What a bank's photos show.

    Attributes:
        retinex_error: how far colour Retinex is off there (:mod:`join_engine.layers.caution`).
        few_paints_error: how far an albedo of few paints is off (:mod:`join_engine.layers.few_paints`); infinite where
            it has no say.
        relit: makes the shading in another light of the layer and of its generator's outputs before and after.
            Generators of faces know little of a photo's hair, clothes and backdrop. Those of materials miss less, and
            there the ratio is nearer to the truth (docs/relighting.md).
    """

    retinex_error: float
    few_paints_error: float
    relit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


FACES = Subject(FACES_RETINEX_ERROR, math.inf, relit=keep_light)
ANYTHING = Subject(RETINEX_ERROR, FEW_PAINTS_ERROR, relit=keep_detail)


def subject_of(header: BankHeader) -> Subject:
    """Of the photos that a bank is for."""
    return FACES if header.faces else ANYTHING
