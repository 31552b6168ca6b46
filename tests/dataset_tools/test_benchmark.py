# SPDX-License-Identifier: GPL-3.0-or-later
"""The plainest loop, which we are measured beside, writes every pass of the same scene."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset_tools import benchmark, passes

needs_blender = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")), reason="needs the bpy and OpenEXR packages"
)


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
