# SPDX-License-Identifier: GPL-3.0-or-later
"""A small dataset made of invented passes, so that most of the room is tested without Blender."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset_tools.description.seeds import split
from dataset_tools.specs import describe
from dataset_tools.storage import shards
from tests.dataset_tools.invented import RESOLUTION, SEED, invented_passes, stored_exr


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A finished dataset of 70 invented samples in two shards."""
    folder = tmp_path / "set with a spaß"
    shards.open_dataset(folder, {"dataset": "primeshapes", "seed": SEED, "resolution": RESOLUTION})
    for shard in shards.missing(folder, "primeshapes", range(70)):
        samples = (
            shards.Sample(
                index,
                split(SEED, index),
                stored_exr(invented_passes(index)),
                {
                    "scene": describe("primeshapes", SEED, index).to_json(),
                    "seed": SEED,
                    "index": index,
                    "resolution": RESOLUTION,
                    "samples": 1,
                    "identity_error": 0.0,
                },
                {"seconds": 0.1, "identity_error": 0.0},
            )
            for index in shard.indices
        )
        shards.write_shard(folder, shard, samples)
    assert shards.write_manifest(folder) == 70
    return folder
