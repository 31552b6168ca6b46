# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of the same scenes as they are and with one property of their materials moved: folders of
``dataset_tools/render.py restyle``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import JoinError
from .samples import ORIGINAL, moved_packs, scenes_of

_HINT = "Make one with dataset_tools/render.py restyle."
Layers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A scene before and after: linear components [H, W, 3]. ``scene`` is the same in all moves of it."""

    scene: str
    before: Layers
    after: Layers


@dataclass(frozen=True)
class Restyled:
    """Scenes of which one property was moved by the same amount, in the renderer's own measure."""

    name: str
    amount: float
    pairs: Sequence[Pair]


def read_restyled(folders: Sequence[Path], components: Sequence[str]) -> list[Restyled]:
    """Every move in some folders; the same one of several folders is one.

    Raises:
        JoinError: ``data_missing``, ``data_broken``.
    """
    found: dict[tuple[str, float], list[Pair]] = {}
    for folder in folders:
        packs = list(moved_packs(folder, "a material", "property", "amount", _HINT))
        originals = scenes_of(folder / ORIGINAL, components)
        for pack, name, amount in packs:
            pairs = found.setdefault((name, amount), [])
            for index, after in scenes_of(pack, components).items():
                if index in originals:
                    pairs.append(Pair(f"{folder.name} {index}", originals[index], after))
    if not found:
        raise JoinError("data_missing", "There are no packs of moved materials.", _HINT)
    return [Restyled(name, amount, pairs) for (name, amount), pairs in found.items()]
