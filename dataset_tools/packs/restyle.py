# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of scenes with one property of their materials moved: what edits of a material are measured against.

``original.tar`` and ``wet+0.7.tar, relief-1.tar …``, as ``relit`` writes them; ``move`` in the header tells the
property and the amount (see :data:`dataset_tools.specs.restyling.PROPERTIES`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from dataset_tools.packs import variants
from dataset_tools.packs.variants import Variant, Written
from dataset_tools.rendering.job import Job
from dataset_tools.specs.restyling import restyled


@dataclass(frozen=True)
class Restyle:
    """A property of the materials and how far it is moved."""

    name: str
    amount: float

    def variant(self) -> Variant:
        """Its pack."""
        told = {"property": self.name, "amount": self.amount}
        return Variant(f"{self.name}{self.amount:+g}", told, partial(restyled, name=self.name, amount=self.amount))


MOVES = (
    Restyle("wet", 0.7),
    Restyle("worn", 0.6),
    Restyle("dusty", 0.7),
    Restyle("rusty", 0.5),
    Restyle("roughness", -0.25),
    Restyle("roughness", 0.25),
    Restyle("relief", -1.0),
    Restyle("relief", 1.0),
    Restyle("hue", -40.0),
    Restyle("hue", 40.0),
)


def render(job: Job, indices: Sequence[int], moves: Sequence[Restyle]) -> Written:
    """Write the packs (see :func:`dataset_tools.packs.variants.render`)."""
    return variants.render(job, indices, [move.variant() for move in moves])
