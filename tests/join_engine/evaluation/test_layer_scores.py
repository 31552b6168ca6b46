# SPDX-License-Identifier: GPL-3.0-or-later
"""How good layers are at the renders' own size: the figures and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.evaluation.scores.layer_scores import COLUMNS, format_table, scores

from ..invented_renders import write_renders


def one() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Layers, of which the left half is glossy, and their photo."""
    rng = np.random.default_rng(0)
    truth = {"albedo": rng.uniform(0.1, 0.9, (48, 40, 3)), "shading": rng.uniform(0.2, 0.5, (48, 40, 3))}
    truth["specular"] = np.where(np.arange(40)[None, :, None] < 20, 0.5, 0.0) * np.ones((48, 40, 3))
    photo = truth["albedo"] * truth["shading"] + truth["specular"]
    return truth, np.concatenate([photo, np.ones((48, 40, 1))], axis=2)


def test_the_truth_is_without_error_however_bright_its_albedo() -> None:
    truth, photo = one()
    found = {**truth, "albedo": 0.5 * truth["albedo"], "shading": 2.0 * truth["shading"]}
    row = scores(found, truth, photo)
    assert row is not None and set(row) == set(COLUMNS)
    assert row["lmse"] == pytest.approx(0.0, abs=1e-9) and row["specular"] == row["tinted"] == 0.0
    assert max(row["albedo"], row["under gloss"], row["colour under gloss"]) < 0.02


def test_each_figure_tells_its_own_error() -> None:
    truth, photo = one()
    glossy = truth["specular"][..., :1] > 0.0
    lighter = scores({**truth, "albedo": np.where(glossy, 0.6, 1.0) * truth["albedo"]}, truth, photo)
    left = scores({**truth, "albedo": np.where(glossy, 1.6, 1.0) * truth["albedo"]}, truth, photo)
    coloured = scores({**truth, "albedo": np.where(glossy, (1.3, 1.0, 0.77), 1.0) * truth["albedo"]}, truth, photo)
    tinted = scores({**truth, "specular": truth["specular"] * (1.0, 0.8, 0.5)}, truth, photo)
    assert left is not None and left["left under gloss"] == pytest.approx(left["under gloss"], abs=0.02)
    assert lighter is not None and coloured is not None and tinted is not None
    assert lighter["under gloss"] > 0.2 > 0.05 > lighter["colour under gloss"] and lighter["lmse"] > 1e-3
    assert left["left under gloss"] > 0.2 > 0.02 > lighter["left under gloss"], "what is too dark is not left"
    assert coloured["colour under gloss"] > 0.1
    assert tinted["tinted"] > 0.05 and tinted["specular"] > 0.03 and tinted["under gloss"] < 0.01
    # A picture without gloss says nothing of it, one without paint nothing at all.
    dull = {**truth, "specular": np.zeros((48, 40, 3))}
    row = scores(dull, dull, photo)
    assert row is not None and np.isnan(row["under gloss"])
    assert scores(truth, {**truth, "albedo": np.zeros((48, 40, 3))}, photo) is None
    table = format_table({"a": [row, lighter]})
    assert table.splitlines()[2].startswith(f"| a | 2 | {lighter['lmse'] / 2:.4f} |")


def test_lost_and_doubled_grain_under_gloss_are_told_and_other_grain_is_as_good() -> None:
    truth, photo = one()
    glossy = truth["specular"][..., :1] > 0.0
    logs = np.log(truth["albedo"].mean(axis=2, keepdims=True)) * np.ones(3)
    grey = {**truth, "albedo": np.exp(logs)}

    def grain(times: float, of: np.ndarray = logs) -> float:
        row = scores({**grey, "albedo": np.where(glossy, np.exp(times * of), grey["albedo"])}, grey, photo)
        assert row is not None
        return row["grain under gloss"]

    assert grain(1.0) == 0.0 and grain(1.0, logs[::-1]) < 0.05
    assert grain(0.0) > 3.0 and grain(0.5) == pytest.approx(np.log(2.0), abs=0.05)
    assert grain(2.0) == pytest.approx(np.log(2.0), abs=0.05)
    # What is not under gloss says nothing.
    plain = scores({**grey, "albedo": np.where(glossy, grey["albedo"], 0.5)}, grey, photo)
    assert plain is not None and plain["grain under gloss"] == 0.0


def test_the_command(seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack, out = write_renders(tmp_path / "val.tar", 4, seed=1), tmp_path / "figures.json"
    command = ["layer-scores", "--bank", str(seeing_bank.path), "--device", "cpu", "--count", "3", "--out", str(out)]
    assert main([*command, "--data", f"renders={pack}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| set | renders | lmse |") and lines[2].startswith("| renders | 3 | ")
    assert [set(row) for row in json.loads(out.read_text("utf-8"))["renders"]] == [{"lmse", "albedo", "shading"}] * 3
