# SPDX-License-Identifier: GPL-3.0-or-later
"""A (dataset, seed, index) becomes a full description of a scene. No bpy in this package."""

from __future__ import annotations

from collections.abc import Callable

from dataset_tools.errors import UserError
from dataset_tools.specs import primeshapes
from dataset_tools.specs.description import Scene

DATASETS: dict[str, Callable[[int, int], Scene]] = {primeshapes.NAME: primeshapes.describe}


def describe(dataset: str, seed: int, index: int) -> Scene:
    """Sample ``index`` of ``dataset`` with ``seed``: the same description always, alone or in any batch."""
    if dataset not in DATASETS:
        raise UserError(f"There is no dataset '{dataset}'; choose one of: {', '.join(sorted(DATASETS))}.")
    if seed < 0 or index < 0:
        raise UserError("Seed and index must be zero or more.")
    return DATASETS[dataset](seed, index)
