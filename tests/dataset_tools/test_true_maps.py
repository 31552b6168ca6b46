# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders with their true normals and roughness: in the camera's axes, and nothing else of them changes."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.description.scene import Camera
from dataset_tools.storage import shards

SCRIPT = Path(shards.__file__).parents[1] / "render.py"


def test_normals_are_turned_into_the_cameras_axes() -> None:
    """Of a camera that looks straight down at what lies on a table, its upper edge towards +x."""
    from dataset_tools.packs.maps import seen_by

    camera = Camera((0.0, 0.0, 2.0), (0.0, 0.0, 0.0), 0.7, (1.0, 0.0, 0.0))
    world = np.array([[(0, 0, 1), (1, 0, 0), (0, 0.5, 0), (0, 0, 0)]], np.float32)
    np.testing.assert_allclose(seen_by(camera, world)[0], [(0, 0, 1), (0, 1, 0), (-1, 0, 0), (0, 0, 0)], atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package")
def test_a_pack_of_true_maps(tmp_path: Path) -> None:
    packs = {}
    for command, name in (("maps", "maps"), ("restyle", "original")):
        line = [sys.executable, str(SCRIPT), command, "materials", "--index", "0", "6", "--resolution", "16"]
        line += ["--samples", "4", "--seed", "3", "--out", str(tmp_path / command)]
        done = subprocess.run(
            [*line, *(["--move", "wet=0.8"] if command == "restyle" else [])],
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == 0, done.stderr
        with tarfile.open(tmp_path / command / f"{name}.tar") as archive:
            files = {member: archive.extractfile(member).read() for member in archive.getnames()}  # type: ignore[union-attr]
        packs[command] = {key: np.load(io.BytesIO(data)) for key, data in files.items() if key.endswith(".npy")}
    maps, plain = packs["maps"], packs["restyle"]
    assert {key: maps[key].tobytes() for key in plain} == {key: array.tobytes() for key, array in plain.items()}
    assert len(plain) == 6 and len(maps) == 12
    for index in ("00000000", "00000006"):
        normal = maps[f"{index}.normal.npy"]
        np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1.0, atol=1e-5)
        assert normal[..., 2].mean() > 0.6, "what is seen looks towards the camera"
        for name in ("roughness", "specular_level"):
            values = maps[f"{index}.{name}.npy"]
            assert values.shape == (16, 16, 3) and 0.0 <= values.min() <= values.max() <= 1.0
            assert np.ptp(values, axis=2).max() == 0.0 and values.max() > 0.05
    # A tile with relief, and paint without any.
    spread = [np.std(maps[f"{index}.normal.npy"], axis=(0, 1)).max() for index in ("00000000", "00000006")]
    assert spread[0] > 2.0 * spread[1]
