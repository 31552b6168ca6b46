# SPDX-License-Identifier: GPL-3.0-or-later
"""From renders to a bank: what is done stays done, what fails is said and done again. The whole runs in train-smoke."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from join_engine.commands import main as main_command

SCRIPT = Path(__file__).resolve().parents[1] / "samples" / "train_bank.py"


@pytest.fixture(scope="module")
def train_bank() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("train_bank", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _step(train_bank: ModuleType, name: str, log: Path, code: int = 0) -> Any:
    program = f"import sys; open({str(log)!r}, 'a').write({name!r} + ' '); sys.exit({code})"
    return train_bank.Step(name, (sys.executable, "-c", program))


def test_finished_steps_stay_and_what_follows_a_change_runs_again(train_bank: ModuleType, tmp_path: Path) -> None:
    log, done = tmp_path / "log", tmp_path / "done.json"
    a, b, c = ([_step(train_bank, name, log)] for name in "abc")
    train_bank.run([a, b], done, 1, {})
    train_bank.run([a, b, c], done, 1, {})
    assert log.read_text("utf-8").split() == ["a", "b", "c"]
    changed = [train_bank.Step("b", (*b[0].command, "again"))]
    train_bank.run([a, changed, c], done, 1, {})
    assert log.read_text("utf-8").split() == ["a", "b", "c", "b", "c"]


def test_a_step_that_fails_is_named_and_done_again(train_bank: ModuleType, tmp_path: Path) -> None:
    log, done = tmp_path / "log", tmp_path / "done.json"
    with pytest.raises(train_bank.Failed, match="'b' ended with status 3"):
        train_bank.run([[_step(train_bank, "a", log)], [_step(train_bank, "b", log, 3)]], done, 1, {})
    assert list(json.loads(done.read_text("utf-8"))) == ["a"]
    train_bank.run([[_step(train_bank, "a", log)], [_step(train_bank, "b", log)]], done, 1, {})
    assert log.read_text("utf-8").split() == ["a", "b", "b"]


@pytest.mark.parametrize("dataset", ["materials", "primeshapes", "surfaces", "heads"])
def test_the_plan_reaches_the_bank_with_every_component(
    train_bank: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str
) -> None:
    bank = tmp_path / "bänke" / "b.safetensors"
    monkeypatch.setattr(sys, "argv", ["train_bank.py", dataset, "--out", str(tmp_path), "--bank", str(bank)])
    groups = train_bank.plan(train_bank._options())
    names = [step.name for group in groups for step in group]
    assert len(names) == len(set(names))
    for component in train_bank.DATASETS[dataset][0]:
        assert {f"GAN of {component}", f"encoder of {component}"} <= set(names)
    steps = {step.name: step.command for group in groups for step in group}
    last = ("bank with its scores", "card", "sample sheets", "relighting")
    assert names.index(last[0]) < names.index(last[1]) and all(str(bank) in steps[name] for name in last)
    learned = steps["directions of the light"][-1]
    assert learned in steps["bank with its scores"] and learned in steps["relighting"]
    assert steps["moved lights"][-1] in steps["relighting"]
    assert all(isinstance(word, str) for group in groups for step in group for word in step.command)


def test_the_gans_go_on_from_a_bank(train_bank: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train_bank.py", "primeshapes", "--out", str(tmp_path), "--bank", str(tmp_path / "b.safetensors")]

    def gans(*more: str) -> list[tuple[str, ...]]:
        monkeypatch.setattr(sys, "argv", [*words, *more])
        steps = [step for group in train_bank.plan(train_bank._options()) for step in group]
        return [step.command for step in steps if step.name.startswith("GAN")]

    for fresh in gans():
        text = " ".join(fresh)
        assert "--start-from" not in text
        assert "--channel-base 1024 --channel-max 128 --mapping-layers 4" in text
    for going_on in gans("--start-from", "primeshapes"):
        text = " ".join(going_on)
        assert "--start-from primeshapes" in text
        assert "--channel-base" not in text and "--mapping-layers" not in text  # as in the bank
    assert all("--channel-max 64" in " ".join(words) for words in gans("--start-from", "b", "--channel-max", "64"))


def test_what_has_an_up_is_not_turned_and_heads_are_told_by_tone(
    train_bank: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(*words: str) -> dict[str, tuple[str, ...]]:
        out = ["--out", str(tmp_path), "--bank", str(tmp_path / "b.safetensors")]
        monkeypatch.setattr(sys, "argv", ["train_bank.py", *words, *out])
        return {step.name: step.command for group in train_bank.plan(train_bank._options()) for step in group}

    heads, materials = plan("heads", "--packages", "SHAPES", "--skins", "SKINS"), plan("materials")
    turned = ("brightness network", "encoder of albedo", "encoder of specular, slower", "split network")
    for name in turned:
        assert "--no-turns" in heads[name] and "--turns" in materials[name]
    surfaces = plan("surfaces", "--materials", "SCANS", "--environments", "SKIES")
    assert "render.py surfaces " in " ".join(surfaces["render"]) and "--no-turns" in surfaces["split network"]
    assert "--environments SKIES --materials SCANS" in " ".join(surfaces["render"])
    for steps in (heads, surfaces, materials):
        assert "--brightness" in steps["bank that sees"]
        metered = "--metered 0.7" in " ".join(steps["brightness network, slower"])
        assert metered == (steps is not materials)  # the paper's flash is as bright as it is
    rendering = " ".join(heads["render"])
    assert "render.py heads " in rendering and "--packages SHAPES --skins SKINS" in rendering
    assert "--packages SHAPES" in " ".join(heads["moved lights"]) and "--packages" not in materials["render"]
    tones = " ".join(heads["error by the tone of skin"])
    assert f"--bank {tmp_path / 'b.safetensors'} --data {tmp_path / 'test.tar'}" in tones
    assert "error by the tone of skin" not in materials


@pytest.mark.slow
def test_every_command_of_the_plan_is_one(
    train_bank: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The options are those that the commands have; nothing is run."""
    words = ["train_bank.py", "heads", "--out", str(tmp_path), "--bank", "b.safetensors", "--start-from", "materials"]
    monkeypatch.setattr(sys, "argv", words)
    steps = [step for group in train_bank.plan(train_bank._options()) for step in group]
    engine = [step.command[3:] for step in steps if step.command[1:3] == ("-m", "join_engine")]
    assert len(engine) == len(steps) - 7  # the renderer's
    for command in engine:
        main_command._parser(command).parse_args(command)
        assert ("--start-from" in command) == (command[0] in ("train-gan", "train-encoder"))
