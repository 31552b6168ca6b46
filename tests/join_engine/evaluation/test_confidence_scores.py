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
from join_engine.evaluation.camera import metered
from join_engine.evaluation.scores import confidence_maps
from join_engine.evaluation.scores.confidence_maps import errors_of
from join_engine.evaluation.tables import area_under_curve
from join_engine.images.files import write_png
from join_engine.training import make_bank

from ..invented_renders import write_renders
from ..test_split import SMALL, with_split


def test_the_area_under_the_curve() -> None:
    assert area_under_curve([1.0, 2.0], [3.0, 4.0]) == 1.0 and area_under_curve([3.0, 4.0], [1.0, 2.0]) == 0.0
    assert area_under_curve([1.0, 1.0], [1.0]) == 0.5
    assert area_under_curve([1.0, 3.0], [2.0, 4.0]) == 0.75


def test_renders_are_metered_and_cut_out(tiny_bank: Bank) -> None:
    rng = np.random.default_rng(0)
    components = {name: rng.random((16, 16, 3), dtype=np.float32) * 0.5 for name in ("albedo", "shading")}
    for layer in components.values():
        layer[:4] = 0.0
    photo = metered(tiny_bank, components)[0]
    assert photo.shape == (16, 16, 4) and not photo[:4].any() and photo[4:, :, 3].min() == 1.0
    light = photo[4:, :, :3] @ np.array((0.2126, 0.7152, 0.0722), np.float32)
    assert light.mean() == pytest.approx(0.18, rel=0.05) and photo.max() <= 1.0


def test_errors_are_those_of_the_layers_but_for_the_brightness() -> None:
    rng = np.random.default_rng(0)
    truth = {name: rng.random((8, 8, 3), dtype=np.float32) * 0.5 + 0.3 for name in ("albedo", "shading", "specular")}
    where = np.ones((8, 8), bool)
    same = errors_of({**truth, "albedo": truth["albedo"] * 2.0}, truth, where)
    assert same["albedo"].max() < 0.02 and same["shading"].max() == same["specular"].max() == 0.0
    half = truth["albedo"].copy()
    half[:4] *= 2.0
    found = errors_of({**truth, "albedo": half}, truth, where)["albedo"]
    assert np.allclose(found, np.log(2.0) / 2.0, atol=0.02)


@pytest.mark.slow
def test_a_map_that_knows_its_errors_correlates_with_them(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = np.random.default_rng(0).random((8, 8, 3))
    where = np.ones((8, 8), bool)
    row = confidence_maps._row(expected, {"albedo": expected[..., 0], "shading": -expected[..., 1]}, where)
    assert row["albedo correlation"] == pytest.approx(1.0) and row["shading correlation"] == pytest.approx(-1.0)
    header = SplitHeader(replace(SMALL, specular=False), {})
    bank = with_split(seeing_bank, header)
    make_bank.make_bank(tmp_path / "x.safetensors", "x", "lambertian", make_bank.Parts.of_bank(bank), {})
    pack = write_renders(tmp_path / "val.tar", 3, seed=1)
    command = ["confidence-map-scores", "--data", f"renders={pack}", "--device", "cpu"]
    assert main([*command, "--bank", str(tmp_path / "x.safetensors")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[:3] for line in lines[2:4]] == [
        ["| renders", "3", "albedo"],
        ["| renders", "3", "shading"],
    ]
    assert main([*command, "--bank", str(seeing_bank.path)]) == 2


@pytest.mark.slow
def test_the_command_tells_sets_apart(seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = SplitHeader(replace(SMALL, specular=False), {"scores": {"familiar": 1e-9}})
    bank = with_split(seeing_bank, header)
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
