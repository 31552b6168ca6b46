# SPDX-License-Identifier: GPL-3.0-or-later
"""Real renders of scenes in several states: only what is moved changes, and equal commands give equal bytes."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.storage import shards

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package")]

SCRIPT = Path(shards.__file__).parents[1] / "render.py"


def _run(out: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    quality = ["--resolution", "16", "--samples", "4", "--seed", "3"]
    line = [sys.executable, str(SCRIPT), command, "materials", *quality, *options, "--out", str(out)]
    return subprocess.run(line, capture_output=True, text=True, timeout=180)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays by the member's name without ending."""
    with tarfile.open(path) as archive:
        files = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    arrays = {n.removesuffix(".npy"): np.load(io.BytesIO(d)) for n, d in files.items() if n.endswith(".npy")}
    return json.loads(files["pack.json"]), arrays


def test_restyled_scenes_show_what_was_moved(tmp_path: Path) -> None:
    # A tile with relief, and paint without any.
    moves = ["wet=0.8", "worn=0.7", "dusty=0.8", "rusty=0.7", "roughness=0.3", "relief=1", "hue=60"]
    result = _run(tmp_path / "a", "restyle", "--index", "0", "6", "--move", *moves)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("2 scenes in 8 states in ")
    assert "scenes of these packs: relief+1 1" in result.stdout
    packs = {path.stem: _read(path) for path in (tmp_path / "a").glob("*.tar")}
    assert set(packs) == {"original", *(move.replace("=", "+") for move in moves)}
    header, before = packs["original"]
    assert header["move"] is None and header["count"] == 2 and len(before) == 6
    assert packs["wet+0.8"][0]["move"] == {"property": "wet", "amount": 0.8}

    def mean(name: str, key: str) -> np.ndarray:
        return np.asarray(packs[name][1][key].mean(axis=(0, 1)))

    for index in ("00000000", "00000006"):
        albedo, specular = f"{index}.albedo", f"{index}.specular"
        assert mean("wet+0.8", albedo).sum() < 0.9 * mean("original", albedo).sum()
        for name in ("worn+0.7", "dusty+0.8", "rusty+0.7"):
            assert np.abs(packs[name][1][albedo] - before[albedo]).max() > 0.05
        red, _, blue = mean("rusty+0.7", albedo)
        assert red > 2.0 * blue
        np.testing.assert_allclose(packs["roughness+0.3"][1][albedo], before[albedo], atol=0.06)
        assert np.abs(packs["roughness+0.3"][1][specular] - before[specular]).max() > 1e-3
        # A turned hue keeps the largest channel of a pixel.
        np.testing.assert_allclose(packs["hue+60"][1][albedo].max(-1), before[albedo].max(-1), rtol=0.1, atol=0.02)
    again = _run(tmp_path / "b", "restyle", "--index", "6", "0", "--move", "wet=0.8")
    assert again.returncode == 0
    (_, first), (_, second) = (_read(tmp_path / folder / "wet+0.8.tar") for folder in ("a", "b"))
    assert {name: array.tobytes() for name, array in first.items()} == {
        name: array.tobytes() for name, array in second.items()
    }


def test_photographs_of_a_scene_share_its_albedo(tmp_path: Path) -> None:
    result = _run(tmp_path / "a", "relit", "--range", "0:2", "--lights", "3")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("2 scenes under 3 lights each in ")
    packs = [_read(tmp_path / "a" / f"light{number}.tar") for number in (1, 2, 3)]
    assert [(header["photo"], header["photos"], header["count"]) for header, _ in packs] == [
        (1, 3, 2),
        (2, 3, 2),
        (3, 3, 2),
    ]
    for index in ("00000000", "00000001"):
        first, *others = (arrays for _, arrays in packs)
        for other in others:
            albedo, shading = f"{index}.albedo", f"{index}.shading"
            assert np.abs(other[albedo].mean() - first[albedo].mean()) < 0.01
            assert np.abs(other[shading] - first[shading]).mean() > 0.02
    one = _run(tmp_path / "b", "relit", "--index", "1", "--lights", "2")
    assert one.returncode == 0
    _, alone = _read(tmp_path / "b" / "light2.tar")
    assert all(array.tobytes() == packs[1][1][name].tobytes() for name, array in alone.items())


def test_bad_moves_are_refused_before_blender_starts(tmp_path: Path) -> None:
    assert (
        "is not PROPERTY=AMOUNT such as wet=0.7" in _run(tmp_path, "restyle", "--index", "1", "--move", "red=1").stderr
    )
    assert "'wet' goes from 0 to 1" in _run(tmp_path, "restyle", "--index", "1", "--move", "wet=2").stderr
    assert "must be 2 or more" in _run(tmp_path, "relit", "--index", "1", "--lights", "1").stderr
    both = _run(tmp_path, "relit", "--index", "1", "--lights", "2", "--move", "size=1").stderr
    assert "not allowed with argument" in both
