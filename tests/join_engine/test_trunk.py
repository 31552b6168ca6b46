# SPDX-License-Identifier: GPL-3.0-or-later
"""The perceptual trunk: it learns what is asked of it, recognises paint, resumes to the bit, and serves the losses."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from join_engine.bank import Bank, load_bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.inversion.invert import invert
from join_engine.inversion.losses.perceptual import PerceptualLoss, unit_features
from join_engine.inversion.losses.reconstruction import FEATURE_KINDS, make_features
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.networks.trunk import Trunk, TrunkConfig
from join_engine.renders.compose import ComponentSets, photograph, read_component_sets, read_validation
from join_engine.training import run, trunk
from join_engine.training.checkpoint import CHECKPOINT_NAME, read_checkpoint
from join_engine.training.make_bank import load_bank_wide
from join_engine.training.trunk import TrunkLearner, TrunkSettings, recognition_rates, relit

from .conftest import check_resumes
from .fake_packs import write_pack
from .invented_renders import write_renders

SMALL = TrunkConfig((8, 16, 24, 32), (1, 1, 1, 1))
OPTIONS = ["--widths", "8", "16", "24", "32", "--depths", "1", "1", "1", "1", "--device", "cpu", "--threads", "1"]


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("renders")
    return write_renders(folder / "train.tar", 300, seed=0), write_renders(folder / "val.tar", 128, seed=1)


@pytest.fixture(scope="module")
def unseen(packs: tuple[Path, Path]) -> ComponentSets:
    return read_component_sets([packs[1]], "lambertian")


def test_one_tap_per_stage_each_half_the_size() -> None:
    taps = Trunk(SMALL)(torch.rand(2, 3, 32, 48))
    assert [tuple(tap.shape) for tap in taps] == [(2, 8, 32, 48), (2, 16, 16, 24), (2, 24, 8, 12), (2, 32, 4, 6)]
    assert TrunkConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    for widths, depths in (((8,), (1, 1)), ((), ()), ((0,), (1,)), ((8.5,), (1,))):
        with pytest.raises(ValueError):
            TrunkConfig(widths, depths)  # type: ignore[arg-type]


def test_compose_is_the_forward_model(data: ComponentSets) -> None:
    components = data.batch(torch.tensor([3, 5]))
    linear = data.linear(components)
    assert torch.equal(data.compose(components), linear["albedo"] * linear["shading"])
    assert len(data) == 300 and data.resolution == 32
    # One and one: an image of nothing but paint shows the paint as its own transform encodes it.
    plain = trunk.plain(components, data, paint=False)
    shown = photograph(data.compose(plain)) * 2 - 1
    torch.testing.assert_close(shown, components["albedo"], atol=1e-3, rtol=0)
    white = trunk.plain(components, data, paint=True)
    torch.testing.assert_close(data.compose(white), linear["shading"], atol=1e-3, rtol=1e-3)
    swapped = relit(components, data, 1)
    assert torch.equal(swapped["albedo"], components["albedo"])
    assert torch.equal(swapped["shading"], components["shading"].flip(0))


@pytest.mark.slow
def test_training_learns_and_recognises_paint(data: ComponentSets, unseen: ComponentSets) -> None:
    learner = TrunkLearner(SMALL, 2, TrunkSettings(batch=24, lr=2e-3))
    before = learner.validate(unseen)
    for _ in range(100):
        learner.step(data)
    after = learner.validate(unseen)
    assert after["read"] < 0.5 * before["read"]
    # By the very distance that an inversion minimises, among 64: chance is 0.016.
    assert after["paint"] > after["paint_random"] + 0.05
    assert before["paint_random"] == after["paint_random"] == pytest.approx(before["paint"])


def test_recognition_is_perfect_where_it_is_trivial(unseen: ComponentSets) -> None:
    components = unseen.batch(torch.arange(16))
    same_light = components | {"shading": components["shading"][:1].expand(16, -1, -1, -1)}
    paint, _ = recognition_rates(Trunk(SMALL).eval(), same_light, unseen, group=16)
    assert paint == 1.0


def make_run(data: ComponentSets, out: Path, learner: TrunkLearner) -> run.Run:
    made = run.Run(learner, {"kind": "trunk", "architecture": SMALL.to_dict()}, data, None, out)
    made.resume()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True])
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets, bf16: bool) -> None:
    check_resumes(lambda: TrunkLearner(SMALL, 2, TrunkSettings(batch=4, bf16=bf16)), data, tmp_path)


@pytest.mark.slow
def test_the_command_trains_resumes_and_ends_in_a_trunk(
    tmp_path: Path, packs: tuple[Path, Path], quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(packs[0]), "--validation", str(packs[1]), "--out", str(tmp_path / "run"), *OPTIONS]
    command += ["--batch", "8", "--save-every", "0.016", "--validate-every", "0.016"]
    assert main(["train-trunk", *command, "--kimg", "0.032"]) == 0
    assert main(["train-trunk", *command, "--kimg", "0.048"]) == 0
    said = capsys.readouterr().out
    assert "images/s" in said and "from 32 images on" in said and "validation: read" in said
    lines = [json.loads(line) for line in (tmp_path / "run" / run.LOG_NAME).read_text().splitlines()]
    assert [line["images"] for line in lines if "loss" in line] == [16, 32, 48]
    assert [line["images"] for line in lines if "validation" in line] == [16, 32, 48], "each once"
    header, found = load_bank_wide("trunk", tmp_path / "run")
    assert header.architecture == SMALL == found.config
    assert header.training["images_shown"] == 48 and set(header.training["scores"]) >= {"read", "paint"}
    assert [stretch["to_images"] for stretch in header.training["stretches"]] == [32, 48]
    tensors, _ = read_checkpoint(tmp_path / "run" / CHECKPOINT_NAME)
    assert torch.equal(found.state_dict()["stage1.0.weight"], tensors["average.trunk.stage1.0.weight"])

    changed = [value if value != "24" else "20" for value in command]
    assert main(["train-trunk", *changed, "--kimg", "1"]) == 2
    assert "another training or architecture" in capsys.readouterr().err
    with pytest.raises(JoinError, match="no checkpoint"):
        load_bank_wide("trunk", tmp_path / "nowhere")


def poison(learner: TrunkLearner) -> Callable[..., Any]:
    original = learner.loss

    def loss(data: ComponentSets) -> Any:
        value, report = original(data)
        return value * (float("nan") if learner.steps >= 3 else 1.0), report

    return loss


def test_nan_stops_the_training_and_the_last_snapshot_is_whole(
    tmp_path: Path, data: ComponentSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = TrunkLearner(SMALL, 2, TrunkSettings(batch=4))
    monkeypatch.setattr(learner, "loss", poison(learner))
    training = make_run(data, tmp_path, learner)
    with pytest.raises(JoinError) as caught:
        training.train(kimg=1, minutes=9, save_every=0.004, validate_every=0)
    assert caught.value.code == "training_diverged" and "snapshot" in caught.value.hint
    tensors, values = read_checkpoint(tmp_path / CHECKPOINT_NAME)
    assert values["steps"] == 3
    assert all(tensor.isfinite().all() for tensor in tensors.values())


@pytest.mark.slow
def test_a_full_disk_is_said_and_leaves_the_last_snapshot(
    tmp_path: Path, packs: tuple[Path, Path], quiet: None, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    command = ["--data", str(packs[0]), "--out", str(tmp_path), *OPTIONS, "--batch", "4"]
    assert main(["train-trunk", *command, "--kimg", "0.008"]) == 0
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()

    def full_disk(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    assert main(["train-trunk", *command, "--kimg", "0.016"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_what_cannot_be_trained_on_is_said(
    tmp_path: Path, packs: tuple[Path, Path], quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    data = read_component_sets([packs[0]], "lambertian")
    other = write_pack(tmp_path / "other.tar", count=3, resolution=16)
    for paths in ([packs[0]], [other]):
        with pytest.raises(JoinError) as caught:
            read_validation(paths, data)
        assert caught.value.code == "pack_mismatch"
    only = write_pack(tmp_path / "only.tar", count=3, components=("albedo",))
    good = ["--data", str(packs[0])]
    taken = tmp_path / "taken"
    taken.write_text("a file where the folder of the run should be")
    for arguments in (["--data", str(only)], [*good, "--widths", "8"], [*good, "--out", str(taken)]):
        assert main(["train-trunk", *OPTIONS, "--out", str(tmp_path / "out"), *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and len(error.splitlines()) == 1


# In the reconstruction loss


def test_all_kinds_of_features_serve_the_loss(seeing_bank: Bank, own_targets: torch.Tensor) -> None:
    losses = {}
    for kind in FEATURE_KINDS:
        features = make_features(kind, seeing_bank)
        assert (features is None) == (kind == "pixels")
        loss = PerceptualLoss(own_targets, 1.0, 1.0, features)
        assert loss(own_targets).abs().max() < 1e-6
        image = own_targets.flip(0).clone().requires_grad_()
        value = loss(image)
        assert value.shape == (3,) and (value[[0, 2]] > 0).all()
        value.sum().backward()
        assert image.grad is not None and image.grad.isfinite().all()
        losses[kind] = float(value.detach().sum())
    assert len(set(losses.values())) == len(FEATURE_KINDS)


@pytest.mark.slow
def test_an_inversion_goes_by_the_chosen_features(seeing_bank: Bank, own_targets: torch.Tensor) -> None:
    found = {}
    for kind in FEATURE_KINDS:
        joint = Joint(steps=6, features=kind)
        state = invert(seeing_bank, own_targets, Preset("x", (MeanStart(), joint, Tuning(steps=1, features=kind))))
        assert state.loss.isfinite().all()
        found[kind] = state.latents["albedo"].flatten().tolist()
        assert Preset.from_json(Preset("x", (joint,)).to_json()).stages == (joint,)
    assert len({tuple(values) for values in found.values()}) == len(FEATURE_KINDS)


def test_features_that_a_bank_lacks_are_named(tiny_bank: Bank, tiny_bank_path: Path) -> None:
    for kind, code in (("trunk", "trunk_missing"), ("discriminator", "discriminator_missing"), ("magic", "settings")):
        with pytest.raises(JoinError) as caught:
            make_features(kind, load_bank(tiny_bank_path))
        assert caught.value.code.startswith(code)
    assert replace(Joint(), features="pixels").features == "pixels"


def test_unit_features_of_nothing_have_a_finite_gradient() -> None:
    features = torch.zeros(1, 4, 2, 2, requires_grad=True)
    unit_features(features).sum().backward()
    assert features.grad is not None and features.grad.isfinite().all()
