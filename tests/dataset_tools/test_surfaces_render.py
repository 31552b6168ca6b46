# SPDX-License-Identifier: GPL-3.0-or-later
"""Real renders of surfaces, as a user starts them: every kind of light, same bytes in any order, resume, verify."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.specs import LIGHTINGS
from dataset_tools.storage import layers, passes, shards

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")),
        reason="needs the bpy and OpenEXR packages",
    ),
]

SCRIPT = Path(shards.__file__).parents[1] / "render.py"
START, COUNT = shards.SHARD_SIZE - 6, 12


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=300
    )


def _render(out: Path, *extra: object, start: int = START, count: int = COUNT) -> None:
    quality = ("--resolution", 32, "--samples", 2, "--seed", 2, "--denoise", "--start", start, "--count", count)
    result = _run(
        "surfaces", *quality, "--lighting", *(f"{kind}=1" for kind in LIGHTINGS["surfaces"]), "--out", out, *extra
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("surfaces") / "whole"
    _render(folder)
    return folder


def _stored(folder: Path) -> Iterator[tuple[dict[str, np.ndarray], dict[str, Any]]]:
    for _, exr, stored in shards.read_samples(folder, shards.entries(folder)):
        yield passes.read(exr), stored


def test_all_is_well_in_any_light(rendered: Path) -> None:
    result = _run("verify", rendered)
    assert result.returncode == 0 and f"All well: {COUNT} samples" in result.stdout
    found = list(_stored(rendered))
    assert {stored["scene"]["lighting"] for _, stored in found} == set(LIGHTINGS["surfaces"])
    for layer, stored in found:
        assert stored["identity_error"] < 1e-5 and stored["exposure"] > 0.0
        assert stored["metadata"]["lighting"] == stored["scene"]["lighting"]
        # No background in sight, and a phone's brightness.
        assert np.maximum(layer["diffuse_color"], layer["glossy_color"]).max(axis=-1).min() > 0.0
        assert 0.01 < np.minimum(layer[passes.COMBINED], 1.0).mean() < 0.9


def test_a_sample_is_the_same_alone_and_resumed(rendered: Path, tmp_path: Path) -> None:
    whole = {entry["index"]: entry["sha256"] for entry in shards.entries(rendered)}
    folder = tmp_path / "parts"
    _render(folder, start=START + 4, count=2)
    assert [entry["sha256"] for entry in shards.entries(folder)] == [whole[START + 4], whole[START + 5]]
    resumed = tmp_path / "resumed"
    _render(resumed, start=START, count=6)
    _render(resumed, "--workers", 2)
    assert {entry["index"]: entry["sha256"] for entry in shards.entries(resumed)} == whole


def test_a_picture_ends_at_the_sensors_white_and_layers_do_not(rendered: Path, tmp_path: Path) -> None:
    brightest = {"image": 0.0, "layers": 0.0}
    names = (layers.IMAGE, *passes.COMPONENTS)
    for _, found, _ in layers.load(rendered, shards.entries(rendered), names):
        whole = found["albedo"] * found["shading"] + found["specular"]
        np.testing.assert_allclose(found[layers.IMAGE], np.minimum(whole, 1.0), atol=1e-6)
        brightest["image"] = max(brightest["image"], float(found[layers.IMAGE].max()))
        brightest["layers"] = max(brightest["layers"], float(whole.max()))
    assert brightest["image"] == 1.0 < brightest["layers"]


def test_other_shares_are_another_dataset(rendered: Path) -> None:
    result = _run(
        "surfaces", "--resolution", 32, "--samples", 2, "--seed", 2, "--denoise", "--count", 1, "--out", rendered
    )
    assert result.returncode != 0 and "Traceback" not in result.stderr
    header = json.loads((rendered / "dataset.json").read_text("utf-8"))
    assert header["lighting"] == dict.fromkeys(LIGHTINGS["surfaces"], 1.0)
