# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes that tests look at, described when the first of them does: not where tests are only collected."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from dataset_tools.description.scene import Scene
from dataset_tools.sources import Sources
from dataset_tools.specs import describe


class Described:
    """The first ``count`` scenes of a dataset and a seed."""

    def __init__(self, dataset: str, seed: int, count: int, sources: Sources | None = None) -> None:
        self._dataset, self._seed, self._count, self._sources = dataset, seed, count, sources or Sources()

    @cached_property
    def _scenes(self) -> list[Scene]:
        indices = range(self._count)
        return [describe(self._dataset, self._seed, index, sources=self._sources) for index in indices]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Scene:
        return self._scenes[index]

    def __iter__(self) -> Iterator[Scene]:
        return iter(self._scenes)
