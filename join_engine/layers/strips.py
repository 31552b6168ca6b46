# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of a large image, made rows after rows, so that nobody needs to hold them as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ..images.files import strips

Layers = Mapping[str, np.ndarray]

KEPT = 4 << 20
"""Layers of more pixels are made, or read, anew each time that somebody goes through them, rows after rows."""


class Strips(Mapping[str, np.ndarray]):
    """Layers by name, float32 [H, W, 3] each. Asking for one makes all of them and keeps them; :meth:`rows` does not.

    Args:
        names: of the components.
        size: height and width.
        make: gives slices of rows, from the top down, and the layers' rows there.
    """

    def __init__(
        self, names: tuple[str, ...], size: tuple[int, int], make: Callable[[], Iterator[tuple[slice, Layers]]]
    ) -> None:
        self.size = size
        self._names, self._make = names, make
        self._whole: dict[str, np.ndarray] | None = None

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        return self.whole()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def whole(self) -> dict[str, np.ndarray]:
        """All layers, in memory from now on."""
        if self._whole is None:
            whole = {name: np.empty((*self.size, 3), np.float32) for name in self._names}
            for rows, layers in self._make():
                for name, pixels in layers.items():
                    whole[name][rows] = pixels
            self._whole = whole
        return self._whole

    def rows(self) -> Iterator[tuple[slice, Layers]]:
        """Slices of rows, from the top down, and the layers' rows there."""
        if self._whole is None:
            return self._make()
        return ((rows, {name: layer[rows] for name, layer in self.whole().items()}) for rows in strips(*self.size))


def rows_of(layers: Layers) -> Iterator[tuple[slice, Layers]]:
    """Slices of rows and the rows of layers of one size, however they are held."""
    if isinstance(layers, Strips):
        yield from layers.rows()
        return
    for rows in strips(*size_of(layers)):
        yield rows, {name: layer[rows] for name, layer in layers.items()}


def size_of(layers: Layers) -> tuple[int, int]:
    """Height and width of layers of one size."""
    if isinstance(layers, Strips):
        return layers.size
    height, width = next(iter(layers.values())).shape[:2]
    return height, width
