# SPDX-License-Identifier: GPL-3.0-or-later
"""Domain-guided encoders: what they learn of, what they never see, resuming to the bit, and their place in a bank."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from join_engine.bank import Bank, load_bank
from join_engine.commands.main import main
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.inversion.invert import invert
from join_engine.networks.features import RandomFeatures
from join_engine.renders.compose import ComponentSets, read_component_sets
from join_engine.training.domain_guided import GuidedLearner, GuidedSettings

from .conftest import check_resumes
from .invented_renders import write_samples_of
from .test_encoder import lively_bank, small

__all__ = ["lively_bank"]


@pytest.fixture(scope="module")
def packs(lively_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Components that the bank's generators can make exactly."""
    folder = tmp_path_factory.mktemp("samples")
    names = (folder / "train.tar", 200, 1), (folder / "val.tar", 48, 2)
    train, unseen = (write_samples_of(lively_bank, path, count, seed) for path, count, seed in names)
    return train, unseen


def learner_of(bank: Bank, *names: str, **settings: float | bool) -> GuidedLearner:
    made = GuidedSettings(**{"batch": 8, "flip": False, **settings})  # type: ignore[arg-type]
    return GuidedLearner(bank, dict.fromkeys(names or bank.components, small()), RandomFeatures(), made)


def test_all_encoders_see_the_composed_picture_alone(lively_bank: Bank, data: ComponentSets) -> None:
    """Paint twice as dark under twice the light is the same to them; the encoder of one component sees that alone."""
    batch = data.batch(torch.arange(4))
    learner = learner_of(lively_bank)
    real = learner._picture(batch)
    assert real.shape == (4, 3, 16, 16) and float(real.min()) >= 0.0 and float(real.max()) <= 1.0
    factors = {"albedo": 0.5, "shading": 2.0}
    other = {
        name: learner._parts[name].transform.to_generator(linear * factors[name])
        for name, linear in data.linear(batch).items()
    }
    torch.testing.assert_close(learner._picture(other), real, atol=1e-4, rtol=0)
    alone = learner_of(lively_bank, "shading")
    assert alone.alone and not learner.alone
    torch.testing.assert_close(alone._picture(batch), (batch["shading"] + 1.0) / 2.0)


@pytest.mark.slow
@pytest.mark.parametrize("names", [(), ("albedo",)])
def test_pictures_that_it_has_not_seen_are_made_better(
    lively_bank: Bank, packs: tuple[Path, Path], data: ComponentSets, names: tuple[str, ...]
) -> None:
    """No generator moves, the discriminator does, and it is told real pictures from made ones."""
    data, unseen = (read_component_sets([pack], "lambertian") for pack in packs)
    learner = learner_of(lively_bank, *names, lr=2e-3, batch=16)
    before = learner.validate(unseen)
    frozen = {
        (name, key): value.clone()
        for name, part in lively_bank.components.items()
        for key, value in part.generator.state_dict().items()
    }
    judge = {key: value.clone() for key, value in learner.discriminator.state_dict().items()}
    reports = [learner.step(data) for _ in range(60)]
    after = learner.validate(unseen)
    assert after["psnr"] > before["psnr"] + 0.5
    for (name, key), value in frozen.items():
        assert torch.equal(lively_bank.components[name].generator.state_dict()[key], value)
    assert any(not torch.equal(value, judge[key]) for key, value in learner.discriminator.state_dict().items())
    told = [float(report["discriminator"]) for report in reports]
    assert sum(told[-10:]) < sum(told[:10])


def test_without_its_loss_no_discriminator_learns(lively_bank: Bank, data: ComponentSets) -> None:
    learner = learner_of(lively_bank, adversarial=0.0)
    before = {key: value.clone() for key, value in learner.discriminator.state_dict().items()}
    assert "adversarial" not in learner.step(data)
    assert all(torch.equal(value, before[key]) for key, value in learner.discriminator.state_dict().items())


def test_one_component_begins_with_the_discriminator_that_knows_it(tiny_bank: Bank) -> None:
    own = tiny_bank.components["shading"].discriminator
    assert own is not None
    known, composed = learner_of(tiny_bank, "shading").discriminator, learner_of(tiny_bank).discriminator
    assert all(torch.equal(value, own.state_dict()[key]) for key, value in known.state_dict().items())
    assert not all(torch.equal(value, own.state_dict()[key]) for key, value in composed.state_dict().items())


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, tiny_bank: Bank, data: ComponentSets) -> None:
    check_resumes(lambda: learner_of(tiny_bank, flip=True, turns=True), data, tmp_path, halt=3, steps=7)


@pytest.mark.slow
def test_from_packs_to_a_bank_with_them(
    tmp_path: Path,
    tiny_bank_path: Path,
    packs: tuple[Path, Path],
    own_targets: torch.Tensor,
    quiet: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    common = ["--bank", str(tiny_bank_path), "--data", str(packs[0]), "--validation", str(packs[1])]
    common += ["--device", "cpu", "--batch", "8", "--kimg", "0.016", "--space", "w+"]
    run, whole = tmp_path / "run", tmp_path / "whole.safetensors"
    assert main(["train-domain-guided", *common, "--out", str(run)]) == 0
    assert next(run.glob("samples-*.png")).stat().st_size > 1000
    add = [f"--encoder={name}={run}" for name in ("albedo", "shading")]
    assert main(["make-bank", "--bank", str(tiny_bank_path), *add, "--out", str(whole)]) == 0
    bank = load_bank(whole)
    assert bank.has_encoders and bank.header.components["albedo"].encoder.architecture.space == "w+"  # type: ignore[union-attr]
    card = whole.with_suffix(".md").read_text(encoding="utf-8")
    assert "train-domain-guided --bank BANK" in card and "--adversarial 0.08" in card
    method = make_methods(["in-domain"], Rows(loss="lpips", steps=2), bank)[0]
    assert method.preset is not None and not method.lacks
    assert invert(bank, own_targets, method.preset).loss.isfinite().all()

    # An encoder of the component's own pictures has no use for photos.
    alone = tmp_path / "alone"
    assert main(["train-domain-guided", *common, "--component", "albedo", "--out", str(alone)]) == 0
    capsys.readouterr()
    refused = ["make-bank", "--bank", str(tiny_bank_path), f"--encoder=albedo={alone}", "--out", str(tmp_path / "x")]
    assert main(refused) == 2
    assert "composed pictures" in capsys.readouterr().err and not (tmp_path / "x").exists()
    assert main(["train-domain-guided", *common, "--component", "specular", "--out", str(tmp_path / "y")]) == 2
