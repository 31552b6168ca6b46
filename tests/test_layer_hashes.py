# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool that says whether layers are what they were."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.layer_hashes import compare, main

BANK = Path(__file__).parent / "old_files" / "64e1a70.safetensors"


def test_what_differs_is_named() -> None:
    before = {"draft/a/layer.albedo": "1", "draft/a/code.albedo": "2", "draft/b/layer.albedo": "3"}
    assert compare(before, dict(before)) == []
    after = {"draft/a/layer.albedo": "1", "draft/a/code.albedo": "x", "draft/c/layer.albedo": "3"}
    assert compare(before, after) == [
        "draft/a/code.albedo differs",
        "draft/b/layer.albedo is only before",
        "draft/c/layer.albedo is only after",
    ]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="same name"):
        main(["write", str(tmp_path / "a.json"), "a.png", str(tmp_path / "A.jpg")])


@pytest.mark.slow
def test_the_same_picture_is_the_same_and_another_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    files = []
    for number, change in enumerate((0, 0, 1)):
        picture[3, 4] += np.uint8(change)
        Image.fromarray(picture).save(tmp_path / "photo.png")
        files.append(str(tmp_path / f"{number}.json"))
        assert main(["write", files[-1], str(tmp_path / "photo.png"), "--bank", str(BANK), "--presets", "draft"]) == 0
    assert main(["compare", *files[:2]]) == 0
    assert "All 6 tensors are identical" in capsys.readouterr().out
    assert main(["compare", *files[1:]]) == 1
    assert "draft/photo/layer.albedo differs" in capsys.readouterr().out
    assert set(json.loads(Path(files[0]).read_text("utf-8"))) == {
        f"draft/photo/{kind}.{name}" for kind in ("layer", "code") for name in ("albedo", "shading", "specular")
    }
