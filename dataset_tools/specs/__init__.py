# SPDX-License-Identifier: GPL-3.0-or-later
"""A (dataset, seed, index) becomes a full description of a scene. No bpy in this package."""

from __future__ import annotations

import importlib

import numpy as np

from dataset_tools.description.sampling import choose
from dataset_tools.description.scene import Identity, Scene
from dataset_tools.description.seeds import generator, noise_seed, split
from dataset_tools.errors import UserError
from dataset_tools.sources import Sources

# Each is a module of this package with a function describe(rng, sources, identity). Loaded on demand, one
# for the dataset that is asked for.
DATASETS = ("materials", "primeshapes", "surfaces", "heads", "objects")

# Datasets with several kinds of light, and the share of each; "--lighting" gives others.
LIGHTINGS: dict[str, dict[str, float]] = {
    "objects": {
        "lamp": 0.26,
        "window": 0.18,
        "studio": 0.14,
        "sun": 0.14,
        "overcast": 0.06,
        "picture": 0.16,
        "flash": 0.06,
    },
    "surfaces": {"flash": 0.5, "sun": 0.15, "overcast": 0.08, "window": 0.12, "lamp": 0.08, "picture": 0.07},
    "heads": {"studio": 0.40, "picture": 0.28, "window": 0.10, "sun": 0.10, "overcast": 0.07, "flash": 0.05},
}

# Datasets of people, which are made of the shapes of a package (see dataset_tools.heads.base).
OF_SHAPES = ("heads",)

# Datasets of which some samples have no background: their alpha is stored beside the mask.
CUTOUTS = ("objects",)


def describe(dataset: str, seed: int, index: int, attempt: int = 0, sources: Sources | None = None) -> Scene:
    """Sample ``index`` of ``dataset`` with ``seed``: the same description always, alone or in any batch.

    ``attempt`` counts up when the quality gate refused the description before; ``sources`` are scanned materials
    and environment pictures to draw from, of which the sample gets those of its split.
    """
    if dataset not in DATASETS:
        raise UserError(f"There is no dataset '{dataset}'; choose one of: {', '.join(DATASETS)}.")
    if min(seed, index, attempt) < 0:
        raise UserError("Seed, index and attempt must be zero or more.")
    own = (sources or Sources()).of_split(split(seed, index))
    identity: Identity = {
        "dataset": dataset,
        "seed": seed,
        "index": index,
        "attempt": attempt,
        "noise_seed": noise_seed(seed, index),
    }
    module = importlib.import_module(f"{__name__}.{dataset}")
    scene: Scene = module.describe(generator(seed, index, attempt), own, identity)
    return scene


def kind_of_light(rng: np.random.Generator, dataset: str, sources: Sources) -> str:
    """One of the kinds of light that ``dataset`` has, as often as it or ``sources`` say."""
    shares = sources.lighting or LIGHTINGS[dataset]
    return choose(rng, tuple(shares), tuple(shares.values()))
