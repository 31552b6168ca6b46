# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a bank notices what it does not know: the area, the pictures, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank, SplitHeader
from join_engine.commands.main import main
from join_engine.evaluation.confidence_scores import area_under_curve, photograph_of
from join_engine.images.files import write_png
from join_engine.training import make_bank

from .invented_renders import write_renders
from .test_split import SMALL, wild


def test_the_area_under_the_curve() -> None:
    assert area_under_curve([1.0, 2.0], [3.0, 4.0]) == 1.0 and area_under_curve([3.0, 4.0], [1.0, 2.0]) == 0.0
    assert area_under_curve([1.0, 1.0], [1.0]) == 0.5
    assert area_under_curve([1.0, 3.0], [2.0, 4.0]) == 0.75


def test_renders_are_metered_and_cut_out(tiny_bank: Bank) -> None:
    rng = np.random.default_rng(0)
    components = {name: rng.random((16, 16, 3), dtype=np.float32) * 0.5 for name in ("albedo", "shading")}
    for layer in components.values():
        layer[:4] = 0.0
    photo = photograph_of(tiny_bank, components)
    assert photo.shape == (16, 16, 4) and not photo[:4].any() and photo[4:, :, 3].min() == 1.0
    light = photo[4:, :, :3] @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    assert light.mean() == pytest.approx(0.18, rel=0.05) and photo.max() <= 1.0


def test_the_command_tells_sets_apart(seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = SplitHeader(replace(SMALL, specular=False), {"scores": {"familiar": 1e-9}})
    bank = replace(seeing_bank, split=wild(header.architecture), header=replace(seeing_bank.header, split=header))
    path = tmp_path / "unsure.safetensors"
    make_bank.make_bank(path, "unsure", "lambertian", make_bank.Parts.of_bank(bank), {})
    pack = write_renders(tmp_path / "val.tar", 4, seed=1)
    photos = tmp_path / "photos"
    for index in range(3):
        write_png(photos / f"{index}.png", np.random.default_rng(index).random((24, 32, 3)))
    command = ["confidence-scores", "--bank", str(path), "--known", f"renders={pack}", "--device", "cpu"]
    out = tmp_path / "figures.json"
    assert main([*command, "--unknown", f"photos={photos}", "--count", "2", "--out", str(out)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| renders | 2 | 100% | known |") and lines[3].startswith("| photos | 2 | 100% | ")
    found = json.loads(out.read_text("utf-8"))
    assert len(found["unknown"]["photos"]) == 2 and found["known"]["renders"][0]["albedo_error"] > 0.0
    without = ["confidence-scores", "--bank", str(seeing_bank.path), *command[3:], "--unknown", f"photos={photos}"]
    assert main(without) == 2 and "does not tell how sure it is" in capsys.readouterr().err
