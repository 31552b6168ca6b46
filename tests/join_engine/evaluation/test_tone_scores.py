# SPDX-License-Identifier: GPL-3.0-or-later
"""Error by the tone of skin: what is wrong for one tone is found, and what is chance is not."""

from __future__ import annotations

import io
import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores import tone_scores
from join_engine.evaluation.scores.tone_scores import Rows, format_table, measure, summarise
from join_engine.inversion.presets import get_preset
from join_engine.renders.samples import Tone, read_samples, read_tones
from tests.join_engine.fake_packs import add_member

TONES = {"dark": -45.0, "brown": -5.0, "light": 48.0}
PRESET = get_preset("standard").with_steps(1)


def write_heads(path: Path, tones: bool = True) -> Path:
    """Faces of one colour each, under plain light."""
    rng = np.random.default_rng(0)
    header = {"components": {name: {"transform": None} for name in ("albedo", "shading")}, "split": "test"}
    with tarfile.open(path, "w") as tar:
        add_member(tar, "pack.json", json.dumps(header).encode())
        for index, (tone, ita) in enumerate(list(TONES.items()) * 2):
            parts = {"albedo": np.full((16, 16, 3), rng.uniform(0.1, 0.5)), "shading": np.full((16, 16, 3), 0.8)}
            for name, values in parts.items():
                buffer = io.BytesIO()
                np.save(buffer, values.astype(np.float32))
                add_member(tar, f"{index:08d}.{name}.npy", buffer.getvalue())
            if tones:
                add_member(tar, f"{index:08d}.person.json", json.dumps({"tone": tone, "ita": ita}).encode())
    return path


def rows(bias: dict[str, float], count: int = 60) -> Rows:
    """Heads whose skin comes out too bright by so much, but for chance."""
    rng = np.random.default_rng(1)
    found: Rows = {}
    for tone, ita in TONES.items():
        for index in range(count):
            skin = bias.get(tone, 0.0) + 0.1 * (-1.0) ** index
            values = {"albedo": 20.0 + rng.normal(), "skin": skin, "found": 1.0, "off": 0.01}
            found[f"{tone}-{index}"] = {"tone": tone, "ita": ita + rng.uniform(-3.0, 3.0), **values}
    return found


def test_a_tone_that_is_brightened_is_named_and_no_other() -> None:
    table = summarise(rows({"dark": 0.3}))
    assert list(table["tones"]) == ["light", "brown", "dark", "all"]  # by their angles
    assert [table["tones"][tone]["samples"] for tone in table["tones"]] == [60, 60, 60, 180]
    low, high = table["tones"]["dark"]["skin"]["interval"]
    assert low < 0.3 < high and high - low == pytest.approx(4 * 0.1 / math.sqrt(60), rel=0.4)
    assert table["apart"]["skin"]["mean"] == pytest.approx(-0.3, abs=0.06)
    assert table["apart"]["skin"]["interval"][1] < 0.0
    said = format_table(table).splitlines()[-1]
    assert "dark is brightened by 3" in said and "light is" not in said and "brown is" not in said


@pytest.mark.parametrize(
    ("tone", "bias", "kept"),
    [("dark", 0.3, "no"), ("dark", -0.3, "yes"), ("light", -0.3, "no"), ("light", 0.3, "yes"), ("dark", 0.0, "yes")],
)
def test_a_tone_is_kept_unless_it_is_drawn_to_the_middle(tone: str, bias: float, kept: str) -> None:
    table = summarise(rows({tone: bias}))
    assert table["tones"][tone]["kept"] is (kept == "yes") and "kept" not in table["tones"]["all"]
    others = [other for other in TONES if other != tone]
    assert all(table["tones"][other]["kept"] for other in others)
    told = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[-1].strip("| ") for line in format_table(table).splitlines()
    }
    assert told[tone] == kept and told["all"] == ""


def test_with_the_brightness_told_exposure_is_no_error() -> None:
    rng = np.random.default_rng(2)
    truth = {"albedo": rng.uniform(0.1, 0.4, (32, 32, 3)), "shading": rng.uniform(0.2, 0.9, (32, 32, 3))}
    truth = {name: layer.astype(np.float32) for name, layer in truth.items()}
    twice = {"albedo": 2.0 * truth["albedo"], "shading": truth["shading"] / 2.0}
    found = tone_scores._scores(twice, truth)
    assert found["skin"] == pytest.approx(math.log(2.0), abs=1e-4)
    assert found["skin, brightness told"] == pytest.approx(0.0, abs=1e-4)
    for name in truth:
        assert found[name] < 20.0 and found[f"{name}, brightness told"] > 90.0


def test_chance_is_called_chance() -> None:
    text = format_table(summarise(rows({})))
    assert "no tone is brightened or darkened" in text
    assert text.count("\n| ") == 6 and "| +" in text


def test_a_face_that_is_not_found_has_no_crop() -> None:
    found = rows({}, 5)
    for row in found.values():
        if row["tone"] == "dark":
            row["found"] = 0.0
            del row["off"]
    table = summarise(found)
    assert table["tones"]["dark"]["found"]["mean"] == 0.0 and table["tones"]["dark"]["off"] is None
    assert "none" in format_table(table)


def test_how_bright_the_skin_is_is_looked_at_between_eyes_and_mouth() -> None:
    truth = np.full((64, 64, 3), 0.2, np.float32)
    estimate = truth.copy()
    estimate[34:43, 24:40] = 0.3
    assert tone_scores._too_bright(estimate, truth) == pytest.approx(math.log(1.5), abs=1e-5)
    elsewhere = 0.9 * np.ones_like(truth)
    elsewhere[33:44, 22:42] = 0.2
    assert tone_scores._too_bright(elsewhere, truth) == pytest.approx(0.0, abs=1e-5)


def test_every_head_is_measured(tiny_bank: Bank, tmp_path: Path) -> None:
    pack = write_heads(tmp_path / "heads.tar")
    tones = read_tones(pack)
    assert tones["heads-00000001"] == Tone("brown", -5.0) and len(tones) == 6
    assert read_tones(tmp_path) == tones
    samples = read_samples(pack, tiny_bank.forward_model.components, 4)
    found = measure(tiny_bank, samples, tones, PRESET, 0)
    assert list(found) == [sample.name for sample in samples]
    for name, row in found.items():
        assert row["tone"] == tones[name].name and math.isfinite(row["skin"])
        assert {"albedo", "shading"} <= set(row) and row["albedo"] > 0.0
        assert row.get("found", 0.0) == 0.0  # of one colour, nobody is there


@pytest.mark.slow
def test_the_command_writes_the_table(
    tiny_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pack, out = write_heads(tmp_path / "heads.tar"), tmp_path / "out"
    command = ["tone-scores", "--bank", str(tiny_bank.path), "--out", str(out), "--count", "2"]
    monkeypatch.setattr("join_engine.inversion.presets.get_preset", lambda name: PRESET)
    assert main([*command, "--data", str(pack)]) == 0
    assert (out / "tones.md").read_text("utf-8") in capsys.readouterr().out
    stored = json.loads((out / "tones.json").read_text("utf-8"))
    assert main([*command, "--data", str(pack), "--metered", "0.5", "--out", str(tmp_path / "bright")]) == 0
    bright = json.loads((tmp_path / "bright" / "tones.json").read_text("utf-8"))
    assert bright["metered"] == 0.5 and bright["heads"] != stored["heads"]
    assert stored["bank"]["sha256"] == tiny_bank.sha256 and len(stored["heads"]) == 2
    assert main([*command, "--data", str(write_heads(tmp_path / "silent.tar", tones=False))]) == 2
    assert "does not tell the tone" in capsys.readouterr().err


def test_broken_tones_get_a_sentence(tmp_path: Path) -> None:
    path = write_heads(tmp_path / "heads.tar", tones=False)
    with tarfile.open(path, "a") as tar:
        add_member(tar, "00000000.person.json", b'{"tone": 3}')
    with pytest.raises(JoinError, match="cannot be read"):
        read_tones(path)
