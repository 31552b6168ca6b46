# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of materials and a dataset are a module each: this file adds both, and the renderer's commands know them.

Run as a script it is ``render.py`` with the two more.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dataset_tools import specs
from dataset_tools.description.covering import Covering, Material
from dataset_tools.description.scene import Identity, Scene
from dataset_tools.materials.family import Family
from dataset_tools.materials.graph import Graph
from dataset_tools.materials.library import FAMILIES
from dataset_tools.materials.surface import Coordinates, Surface
from dataset_tools.sources import Sources
from dataset_tools.specs import materials
from dataset_tools.specs.coverings import sample_material
from dataset_tools.storage import passes, shards
from dataset_tools.workers import pool as workers

NAME = "targets"


def rings(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Rings of two colours around one point, the darker ones cut in."""
    u, v, _ = graph.xyz(at.uv)
    across = graph.math("SQRT", u * u + v * v) / material.scale
    band = graph.math("FRACT", across) < material.parameters["share"]
    return Surface(graph.mix(band, material.colors[0], material.colors[1]), height=band)


# Weight 0: the paper's datasets draw what they drew before.
FAMILY = Family("rings", rings, 2, (0.3, 0.5), parameters=lambda rng: {"share": 0.5}, relief=(0.05, 0.1), weight=0.0)


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A tile of rings, photographed as those of materials are."""
    scene = materials.describe(rng, Sources(), identity)
    assert scene.tile is not None
    drawn = sample_material(rng, darkest=0.4, family=FAMILY.name)
    return replace(scene, tile=replace(scene.tile, covering=Covering((drawn,))))


def add() -> None:
    """What the family's and the dataset's lines in materials/library/__init__.py and specs/__init__.py do."""
    FAMILIES[FAMILY.name] = FAMILY
    specs.DATASETS = (*specs.DATASETS, NAME)
    sys.modules[f"dataset_tools.specs.{NAME}"] = sys.modules[__name__]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")), reason="needs the bpy and OpenEXR packages"
)
def test_from_a_seed_to_a_pack(tmp_path: Path) -> None:
    folder, pack = tmp_path / "renders", tmp_path / "pack.tar"
    result = run(NAME, "--count", 3, "--resolution", 32, "--samples", 2, "--seed", 5, "--out", folder)
    assert result.returncode == 0, result.stderr
    assert "All well: 3 samples" in run("verify", folder).stdout
    exported = run("export", folder, "--resolution", 16, "--split", "all", "--float", "--out", pack)
    assert exported.returncode == 0 and pack.stat().st_size > 0, exported.stderr
    shading = []
    for _, exr, stored in shards.read_samples(folder, shards.entries(folder)):
        layer = passes.read(exr)
        (described,) = stored["scene"]["tile"]["covering"]["layers"]
        assert described["family"] == "rings" and stored["identity_error"] < 1e-5
        offsets = [
            np.abs(layer["diffuse_color"] - np.clip(color, None, 0.8)).max(axis=-1) for color in described["colors"]
        ]
        # Each of the two colours has its share of the picture, and between them there are edges alone.
        assert all(0.2 < (offset < 0.02).mean() < 0.7 for offset in offsets)
        assert (np.minimum(*offsets) < 0.02).mean() > 0.6
        shading.append(passes.component(layer, "shading").mean(axis=-1))
    assert all(layer.std() > 0.01 for layer in shading)


def test_without_these_lines_nobody_knows_them() -> None:
    assert NAME not in specs.DATASETS and FAMILY.name not in FAMILIES


if __name__ == "__main__":
    from dataset_tools.commands.main import main

    add()
    workers.this_command = lambda file=None: [sys.executable, __file__]
    sys.exit(main(sys.argv[1:]))
