# SPDX-License-Identifier: GPL-3.0-or-later
"""The plainest loop, which we are measured beside, writes every pass of the same scene."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset_tools import benchmark
from dataset_tools.benchmark.share import Share
from dataset_tools.storage import passes

needs_blender = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")), reason="needs the bpy and OpenEXR packages"
)


@pytest.mark.slow
@needs_blender
def test_the_plain_loop_writes_each_pass_and_they_add_up(tmp_path: Path) -> None:
    import OpenEXR

    script = Path(benchmark.__file__).with_name("plain_loop.py")
    command = [sys.executable, str(script), "--", "primeshapes", "0", "64", "16", "1", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    images = {}
    for path in tmp_path.iterdir():
        channels = OpenEXR.File(str(path), separate_channels=True).channels()
        images[path.stem.rstrip("0123456789")] = np.stack([channels[c].pixels.astype(np.float32) for c in "RGB"], -1)
    assert len(images) == len(passes.PASSES) + 1
    diffuse = images["DiffCol"] * (images["DiffDir"] + images["DiffInd"])
    glossy = images["GlossCol"] * (images["GlossDir"] + images["GlossInd"])
    assert np.allclose(diffuse + glossy, images["Image"], atol=2e-2, rtol=2e-2)


@pytest.mark.slow
@needs_blender
def test_sampling_is_told_from_the_rest_by_processor_time() -> None:
    """In a process of its own, since bpy does not like company."""
    program = (
        "import bpy, os; from pathlib import Path; from dataset_tools.benchmark import share;"
        "from dataset_tools.rendering.job import Job;"
        "found = share.measure(Job('materials', 0, 0, 4, 32, 16, Path(), denoise=True), warm=1);"
        "assert found.path > 0.0 and 0.0 < found.outside < found.rest, found;"
        "assert 0.0 < found.inside(1) < found.inside(16) < 1.0, found;"
        "assert found.sampling(16) < found.inside(16), found; os._exit(0)"
    )
    root = Path(benchmark.__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=120)


def test_the_share_grows_with_the_paths() -> None:
    found = Share(path=0.025, rest=0.1, outside=0.05)
    assert found.sampling(4) == pytest.approx(0.5) and found.sampling(16) == pytest.approx(0.8)
    assert found.inside(4) == pytest.approx(0.75) and found.inside(16) == pytest.approx(0.9)
