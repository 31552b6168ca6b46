# SPDX-License-Identifier: GPL-3.0-or-later
"""The shape of a thing, as data. No bpy here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Numbers = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Form:
    """A shape of one of the kinds of :mod:`dataset_tools.shapes`, about one unit large, standing on z = 0.

    ``shape`` is what it is called ("pear", "mug"), ``parts`` are the names of what may be covered differently
    ("wall", "handle"), and ``numbers`` are all that its mesh is made of, by name.
    """

    kind: str
    shape: str
    parts: tuple[str, ...]
    numbers: Numbers
