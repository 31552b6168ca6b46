# SPDX-License-Identifier: GPL-3.0-or-later
"""Scanned materials, rendered: their colours are the albedo, their files decide the dataset."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.storage import passes, shards
from join_engine.color import srgb_decode

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package")

SCRIPT = Path(shards.__file__).parents[1] / "render.py"
COLORS = {"A": (200, 60, 60), "B": (60, 200, 60), "C": (60, 60, 200)}


def _textures(folder: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        image.new("RGB", (8, 8), color).save(folder / name / f"{name}_1K-PNG_Color.png")
        image.new("L", (8, 8), 128).save(folder / name / f"{name}_1K-PNG_Displacement.png")
    return folder


def _render(textures: Path, out: Path, *extra: str) -> subprocess.CompletedProcess[str]:
    quality = ["--resolution", "16", "--samples", "2", "--count", "3", "--scanned-share", "1"]
    command = [sys.executable, str(SCRIPT), "materials", *quality, "--materials", str(textures), "--out", str(out)]
    return subprocess.run([*command, *extra], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_a_scan_gives_the_albedo_and_other_files_are_another_dataset(tmp_path: Path) -> None:
    textures, out = _textures(tmp_path / "meine Texturen ü"), tmp_path / "set"
    result = _render(textures, out)
    assert result.returncode == 0, result.stderr
    seen = set()
    for _, exr, stored in shards.read_samples(out, shards.entries(out)):
        (material,) = stored["scene"]["tile"]["covering"]["layers"][:1]
        seen.add(material["family"])
        albedo = passes.component(passes.read(exr), "albedo").mean(axis=(0, 1))
        wanted = [srgb_decode(np.array(color) / 255.0) for color in COLORS.values()]
        # The diffuse colour is the base colour less what the gloss takes; mixed coverings show up to three.
        nearest = min(float(np.abs(albedo / albedo.sum() - w / w.sum()).max()) for w in wanted)
        assert nearest < 0.02 or len(stored["scene"]["tile"]["covering"]["layers"]) > 1
    assert seen == {"scanned"}
    header = json.loads((out / "dataset.json").read_text("utf-8"))
    assert header["materials"] == "meine Texturen ü" and len(header["materials_sha256"]) == 64
    pytest.importorskip("PIL.Image").new("RGB", (8, 8), (9, 9, 9)).save(textures / "A" / "A_1K-PNG_Color.png")
    again = _render(textures, out)
    assert again.returncode == 1 and "materials_sha256" in again.stderr


@pytest.mark.slow
def test_a_missing_folder_and_a_bad_share_are_said(tmp_path: Path) -> None:
    result = _render(tmp_path / "none", tmp_path / "set")
    assert result.returncode == 1 and "There is no folder" in result.stderr and not (tmp_path / "set").exists()
    wrong = _render(tmp_path, tmp_path / "set", "--scanned-share", "2")
    assert wrong.returncode == 2 and "not a number above 0" in wrong.stderr
