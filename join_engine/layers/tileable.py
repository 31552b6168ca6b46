# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that go on where they begin: seams are taken out of all of them at once.

1. *Even*: each loses what differs between opposite edges by large: the smooth component (Moisan, "Periodic plus smooth
   image decomposition", 2011) of its logarithm's coarse part. Its mean level stays.
2. *Cut*: opposite edges are laid over one another, and cut where all layers together differ least (Efros and Freeman,
   "Image quilting", 2001), first the columns, then the rows. Each texel is one of the evened layers', the same one in
   all of them.
3. *Heal*: across the cut each layer goes on as it did before, to either side, and all else keeps its differences from
   texel to texel (Pérez, Gangnet and Blake, "Poisson image editing", 2003, on a torus): the step is spread so far that
   no edge is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..color import COMPONENT_TRANSFORMS
from ..components import COMPONENTS
from ..errors import JoinError
from .maps import coarse

OVERLAP = 1 / 6
"""Of each side: so much narrower and lower is the tile."""
_LEAST = 24  # pixels of a side
_DARK = 1e-3

Layers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Tile:
    """Layers that can be repeated.

    Attributes:
        layers: linear [h, w, 3] ≥ 0.
        rows, columns: [h, w], of which texel of the layers that were given each has come.
    """

    layers: dict[str, np.ndarray]
    rows: np.ndarray
    columns: np.ndarray


def tileable(layers: Layers, overlap: float = OVERLAP, even: bool = True, heal: bool = True) -> Tile:
    """A tile of layers [H, W, 3], whatever their components; ``overlap`` of each side is cut away. ``even`` and
    ``heal``: see above. Raises JoinError ``image_too_small``."""
    height, width = next(iter(layers.values())).shape[:2]
    if min(height, width) < _LEAST:
        words = f"The layers are {width} × {height}, too small for a tile."
        raise JoinError("image_too_small", words, f"Use {_LEAST} pixels or more on each side.")
    given = {name: evened(layer) if even else layer for name, layer in layers.items()}
    shown = np.concatenate([encoded(name, layer) for name, layer in given.items()], axis=2)
    places = np.moveaxis(np.mgrid[:height, :width], 0, 2)
    for axis in (1, 0):
        strip = max(round(overlap * shown.shape[axis]), 2)
        places = _cut(places, shown, strip, axis)
        rows, columns = places[..., 0], places[..., 1]
        shown = np.concatenate([encoded(name, layer[rows, columns]) for name, layer in given.items()], axis=2)
    cut = {name: layer[rows, columns] for name, layer in given.items()}
    if heal:
        cut = {name: _healed(name, layer, given[name], rows, columns) for name, layer in cut.items()}
    return Tile(cut, rows, columns)


def evened(layer: np.ndarray) -> np.ndarray:
    """A layer [H, W, 3] without the smooth component of its logarithm's coarse part; its mean logarithm stays."""
    log = coarse(np.log(layer.clip(_DARK, None))).astype(np.float64)
    jump = np.zeros_like(log)
    jump[0] += log[-1] - log[0]
    jump[-1] += log[0] - log[-1]
    jump[:, 0] += log[:, -1] - log[:, 0]
    jump[:, -1] += log[:, 0] - log[:, -1]
    return np.asarray(layer * np.exp(-_on_a_torus(jump)), np.float32)


def _healed(name: str, cut: np.ndarray, given: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """A layer as it was cut, [h, w, 3], without the steps where texels are neighbours that were none in the layer that
    was given, [H, W, 3]."""
    shown, source = encoded(name, cut).astype(np.float64), encoded(name, given)
    last = [size - 1 for size in source.shape[:2]]
    divergence = np.zeros_like(shown)
    for axis in (0, 1):
        here = (rows, columns)
        there = tuple(np.roll(index, -1, axis) for index in here)
        apart = (there[axis] - here[axis] != 1) | (there[1 - axis] != here[1 - axis])
        # How it went on behind this texel, and before the next one, where the layer that was given did.
        after, before = ([index[apart] for index in side] for side in (here, there))
        beyond, ahead = list(after), list(before)
        beyond[axis] = np.minimum(after[axis] + 1, last[axis])
        ahead[axis] = np.maximum(before[axis] - 1, 0)
        known = np.stack([beyond[axis] > after[axis], ahead[axis] < before[axis]])[..., None]
        steps = np.stack([source[*beyond] - source[*after], source[*before] - source[*ahead]])
        wanted = (steps * known).sum(axis=0) / known.sum(axis=0).clip(1)
        change = np.zeros_like(shown)
        change[apart] = wanted - (np.roll(shown, -1, axis) - shown)[apart]
        divergence += change - np.roll(change, 1, axis)
    transform = COMPONENT_TRANSFORMS[_transform(name)]
    made = (shown + _on_a_torus(divergence)).clip(0.0, shown.max())
    return np.asarray(transform.decode(made), np.float32)


def _on_a_torus(laplacian: np.ndarray) -> np.ndarray:
    """What has a Laplacian [H, W, C] where opposite edges meet, with a mean of 0."""
    height, width = laplacian.shape[:2]
    down, across = (2.0 * np.cos(2.0 * np.pi * np.arange(size) / size) for size in (height, width))
    factors = down[:, None] + across[None, : width // 2 + 1] - 4.0
    factors[0, 0] = np.inf
    made = np.empty_like(laplacian)
    for channel in range(laplacian.shape[2]):
        made[..., channel] = np.fft.irfft2(np.fft.rfft2(laplacian[..., channel]) / factors, (height, width))
    return made


def encoded(component: str, layer: np.ndarray) -> np.ndarray:
    """A layer as it is seen, [H, W, 3] in [0, 1]."""
    return np.asarray(COMPONENT_TRANSFORMS[_transform(component)].encode(layer), np.float32)


def _transform(component: str) -> str:
    return COMPONENTS[component].transform if component in COMPONENTS else "reinhard"


def seam(layers: Layers, tile: Tile | None = None) -> float:
    """Seam energy: the mean squared difference of neighbours that are none in the layers that were given, when the tile
    is repeated, over that of those that are; 1 where no seam can be told. Of all layers, encoded.

    Args:
        layers: the tile's, or layers that are repeated as they are.
        tile: says where their texels come from; None for layers as they are.
    """
    shown = np.concatenate([encoded(name, layer) for name, layer in layers.items()], axis=2)
    rows, columns = (tile.rows, tile.columns) if tile is not None else np.mgrid[: shown.shape[0], : shown.shape[1]]
    apart, together = [], []
    for axis in (0, 1):
        energy = np.square(np.roll(shown, -1, axis) - shown).mean(axis=2)
        step = [np.roll(index, -1, axis) - index for index in (rows, columns)]
        neighbours = (step[axis] == 1) & (step[1 - axis] == 0)
        apart.append(energy[~neighbours])
        together.append(energy[neighbours])
    usual = float(np.concatenate(together).mean())
    return float(np.concatenate(apart).mean()) / max(usual, 1e-12)


def _cut(places: np.ndarray, shown: np.ndarray, strip: int, axis: int) -> np.ndarray:
    """Places of texels [H, W, 2], narrower by ``strip`` along ``axis``: the last ``strip`` of them lie over the first
    and take their places up to the cut."""
    picture = shown if axis == 1 else shown.transpose(1, 0, 2)
    across = places if axis == 1 else places.transpose(1, 0, 2)
    first, last = picture[:, :strip], picture[:, -strip:]
    path = _cheapest(np.square(last - first).sum(axis=2))
    before = np.arange(strip)[None] < path[:, None]
    kept = across[:, : picture.shape[1] - strip].copy()
    kept[:, :strip] = np.where(before[..., None], across[:, -strip:], across[:, :strip])
    return kept if axis == 1 else kept.transpose(1, 0, 2)


def _cheapest(cost: np.ndarray) -> np.ndarray:
    """Where a cut from the top to the bottom of [H, w] passes, a column for each row: it ends where it began, and moves
    by at most one column from row to row."""
    free = _path(cost, None)
    middle = int(free[len(free) // 2])
    turned = np.roll(cost, -(len(free) // 2), axis=0)
    return np.roll(_path(turned, middle), len(free) // 2)


def _path(cost: np.ndarray, begin: int | None) -> np.ndarray:
    """The cheapest such cut; from ``begin`` and back there, or from anywhere to anywhere."""
    height, width = cost.shape
    total = cost[0].copy()
    if begin is not None:
        total[:] = np.inf
        total[begin] = cost[0, begin]
    came = np.zeros((height, width), np.int64)
    for row in range(1, height):
        beside = np.stack([np.r_[np.inf, total[:-1]], total, np.r_[total[1:], np.inf]])
        best = beside.argmin(axis=0)
        came[row] = np.arange(width) + best - 1
        total = beside[best, np.arange(width)] + cost[row]
    column = int(total.argmin())
    if begin is not None:
        near = [place for place in (begin, begin - 1, begin + 1) if 0 <= place < width]
        column = min(near, key=lambda place: total[place])
    path = np.empty(height, np.int64)
    for row in range(height - 1, -1, -1):
        path[row] = column
        column = int(came[row, column])
    return path
