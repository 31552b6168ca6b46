# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of the same scenes under one light and under others: folders of ``dataset_tools/render.py relit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import JoinError
from .lights import read_lights
from .samples import ORIGINAL, moved_packs, scenes_of

_HINT = "Make one with dataset_tools/render.py relit."
Layers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class View:
    """A scene under one light: linear components [H, W, 3], and its light's attributes."""

    components: Layers
    light: Mapping[str, float]


@dataclass(frozen=True)
class MovedViews:
    """Scenes under a light that was moved.

    Attributes:
        name: of the move, such as "left_right+1".
        attribute: which was changed.
        deviations: by how many standard deviations of the dataset it was to be.
        views: by the scene's index, of those whose light could go that way.
    """

    name: str
    attribute: str
    deviations: float
    views: Mapping[str, View]


@dataclass(frozen=True)
class RelitScenes:
    """Scenes as they are, by index, and under moved lights."""

    originals: Mapping[str, View]
    moves: Sequence[MovedViews]


def read_relit(folder: Path, components: Sequence[str], count: int) -> RelitScenes:
    """The first ``count`` scenes of a folder, and every move of them.

    Raises:
        JoinError: ``data_missing``, ``data_broken``, ``light_missing``.
    """
    packs = list(moved_packs(folder, "the light", "attribute", "deviations", _HINT))
    originals = dict(list(_views(folder / ORIGINAL, components).items())[:count])
    moves = []
    for pack, attribute, deviations in packs:
        views = {index: view for index, view in _views(pack, components).items() if index in originals}
        moves.append(MovedViews(pack.stem, attribute, deviations, views))
    if not moves:
        raise JoinError("data_missing", f"'{folder}' holds no pack of a moved light.", _HINT)
    return RelitScenes(originals, moves)


def _views(pack: Path, components: Sequence[str]) -> dict[str, View]:
    lights = read_lights([pack])
    told = {
        name: {attribute: float(values[i]) for attribute, values in lights.attributes.items()}
        for i, name in enumerate(lights.names)
    }
    found = scenes_of(pack, components)
    if set(found) - set(told):
        message = f"The pack '{pack.name}' does not tell the light of its sample {min(set(found) - set(told))}."
        raise JoinError("light_missing", message, _HINT)
    return {index: View(layers, told[index]) for index, layers in found.items()}
