# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say a simple method should have where a split network is unsure (:mod:`join_engine.layers.caution`), on
validation renders at their own size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ..bank import Bank
from ..errors import JoinError
from ..images.files import opaque
from ..images.frame import Frame
from ..layers.split import encoders_say, split
from ..renders.samples import Sample
from .confidence_scores import photographed
from .layer_scores import Row, scores

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)


def compare(bank: Bank, samples: Sequence[Sample], errors: Sequence[float]) -> list[list[Row]]:
    """The figures of :mod:`join_engine.evaluation.layer_scores` of each render that shows enough paint, for each error
    that Retinex is taken to make (infinite: it has no say).

    Raises:
        JoinError: ``settings_invalid`` for a bank without a split network and encoders.
    """
    if bank.split is None or not (bank.seeing or bank.has_encoders):
        message = f"The bank '{bank.header.name}' has no split network beside encoders."
        raise JoinError("settings_invalid", message, "Give one that has both.")
    found: list[list[Row]] = [[] for _ in errors]
    for sample in samples:
        photo, exposed = photographed(bank, sample.components)
        colour = opaque(photo)
        frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
        told = encoders_say(bank, torch.as_tensor(frame.fit(colour)))
        for error, rows in zip(errors, found, strict=True):
            layers, _ = split(bank.split, colour, photo[..., 3], told, frame, None, error)
            row = scores(layers.whole(), exposed, photo)
            if row is not None:
                rows.append(row)
    return found
