# SPDX-License-Identifier: GPL-3.0-or-later
"""Encoders: shapes, learning on what they have not seen, resuming to the bit, and their place in bank and inversion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from join_engine.bank import Bank, load_bank, save_bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.networks.encoder import Encoder, EncoderConfig
from join_engine.networks.features import RandomFeatures
from join_engine.networks.stylegan2 import generate
from join_engine.renders.compose import ComponentSets, photograph, read_component_sets, turned
from join_engine.renders.photo_augment import PhotoRanges
from join_engine.training import make_bank
from join_engine.training.checkpoint import CHECKPOINT_NAME, read_checkpoint
from join_engine.training.encoder import EncoderLearner, EncoderSettings

from .conftest import check_resumes
from .fake_packs import write_pack
from .invented_renders import write_samples_of
from .test_cli import _write_samples

SIZES = ["--encoder-widths", "8", "12", "16", "24", "--encoder-depths", "1", "1", "1", "1", "--pyramid", "16"]


def small(space: str = "w") -> EncoderConfig:
    return EncoderConfig(16, 16, 6, space, (8, 12, 16, 24), (1, 1, 1, 1), 16)


@pytest.fixture(scope="module")
def lively_bank(tiny_bank_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """Generators whose images differ much from code to code."""
    bank = load_bank(tiny_bank_path, with_discriminators=True)
    for component in bank.components.values():
        for key, parameter in component.generator.named_parameters():
            if key.endswith("affine.weight"):
                parameter.mul_(8.0)
    networks = {name: (part.generator, part.discriminator) for name, part in bank.components.items()}
    path = tmp_path_factory.mktemp("bank") / "lively.safetensors"
    save_bank(path, replace(bank.header, name="lively"), networks)
    return load_bank(path)


@pytest.fixture(scope="module")
def packs(lively_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Components that the bank's generators can make exactly."""
    folder = tmp_path_factory.mktemp("samples")
    names = (folder / "train.tar", 200, 1), (folder / "val.tar", 48, 2)
    train, unseen = (write_samples_of(lively_bank, path, count, seed) for path, count, seed in names)
    return train, unseen


def learner_of(bank: Bank, space: str = "w", **settings: float | bool) -> EncoderLearner:
    made = EncoderSettings(**{"batch": 8, "flip": False, **settings})  # type: ignore[arg-type]
    return EncoderLearner(bank, bank.components["albedo"], RandomFeatures(), small(space), made, PhotoRanges())


@pytest.mark.parametrize("space", ["w", "w+"])
@pytest.mark.parametrize("resolution", [16, 64])
def test_codes_begin_at_the_mean(space: str, resolution: int) -> None:
    config = EncoderConfig(resolution, 20, 10, space, (8, 12, 16, 24), (1, 1, 1, 1), 16)
    network = Encoder(config).eval()
    offsets = network(torch.rand(3, 3, resolution, resolution))
    assert offsets.shape == (3, 1 if space == "w" else 10, 20)
    assert torch.equal(offsets, torch.zeros_like(offsets))
    assert EncoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ValueError, match="images must be"):
        network(torch.rand(1, 3, resolution, resolution * 2))


def test_every_part_of_an_encoder_learns() -> None:
    torch.manual_seed(0)
    network = Encoder(replace(small("w+"), num_ws=10))
    for style in network.styles:
        torch.nn.init.normal_(style.linear.weight)  # type: ignore[union-attr, arg-type]
    network(torch.rand(4, 3, 16, 16)).square().sum().backward()
    assert not [name for name, value in network.named_parameters() if value.grad is None or not value.grad.any()]


def test_samples_are_turned_whole(data: ComponentSets) -> None:
    samples = data.batch(torch.arange(12))
    turned_samples = turned(samples, torch.Generator().manual_seed(0))
    found = []
    for index in range(12):
        fits = [
            turn
            for turn in range(4)
            if all(
                torch.equal(torch.rot90(samples[name][index], turn, (1, 2)), images[index])
                for name, images in turned_samples.items()
            )
        ]
        found += fits[:1]
    assert len(found) == 12 and set(found) == {0, 1, 2, 3}


@pytest.mark.slow
def test_the_conventional_encoder_learns_the_codes_of_samples(lively_bank: Bank, data: ComponentSets) -> None:
    """Of drawn codes alone: the renders that it gets change nothing, and codes that it has not seen are told better."""
    learners = [learner_of(lively_bank, conventional=True, lr=3e-3, batch=16) for _ in range(2)]
    other = ComponentSets(data.model, dict.fromkeys(data.sets, next(iter(data.sets.values()))))
    losses = [float(learners[0].step(data)["code"]) for _ in range(140)]
    for _ in range(3):
        learners[1].step(other)
    again = learner_of(lively_bank, conventional=True, lr=3e-3, batch=16)
    for _ in range(3):
        again.step(data)
    mine, theirs = (one.network.state_dict() for one in (again, learners[1]))
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert np.mean(losses[-40:]) < 0.9 * np.mean(losses[:20])
    codes = {name: part.sample_codes(64, seed=5) for name, part in lively_bank.components.items()}
    linear = {
        name: part.transform.from_generator(generate(part.generator, codes[name][:, None])).clamp_min(0.0)
        for name, part in lively_bank.components.items()
    }
    wanted = codes["albedo"] - lively_bank.components["albedo"].w_avg
    with torch.no_grad():
        found = learners[0].average.eval()(photograph(lively_bank.forward_model.compose(linear)))[:, 0]
    assert float((found - wanted).square().mean()) < 0.95 * float(wanted.square().mean())


@pytest.mark.slow
@pytest.mark.parametrize("turns", [False, True])
def test_turned_samples_train_another_encoder(lively_bank: Bank, data: ComponentSets, turns: bool) -> None:
    plain, other = learner_of(lively_bank, batch=16), learner_of(lively_bank, batch=16, turns=turns)
    plain.step(data), other.step(data)
    same = all(torch.equal(value, other.tensors()[key]) for key, value in plain.tensors().items())
    assert same != turns


def test_impossible_architectures() -> None:
    for changes in ({"resolution": 24}, {"resolution": 8}, {"space": "z"}, {"widths": (1, 2)}, {"pyramid": 0}):
        with pytest.raises(ValueError):
            replace(small(), **changes)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("space", ["w", "w+"])
def test_training_beats_the_mean_code_on_unseen_images(
    lively_bank: Bank, packs: tuple[Path, Path], data: ComponentSets, space: str
) -> None:
    unseen = read_component_sets([packs[1]], "lambertian")
    learner = learner_of(lively_bank, space, lr=2e-3, batch=16)
    before = learner.validate(unseen)
    assert before["mse"] == pytest.approx(before["mse_mean_code"], rel=1e-3) and before["samples"] == 48
    generator = {key: value.clone() for key, value in lively_bank.components["albedo"].generator.state_dict().items()}
    for _ in range(60):
        learner.step(data)
    after = learner.validate(unseen)
    assert after["mse"] < 0.9 * after["mse_mean_code"]
    assert after["psnr"] > before["psnr"] + 0.5
    for key, value in lively_bank.components["albedo"].generator.state_dict().items():
        assert torch.equal(value, generator[key])


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True])
def test_resume_equals_no_interruption(tmp_path: Path, tiny_bank: Bank, data: ComponentSets, bf16: bool) -> None:
    check_resumes(lambda: learner_of(tiny_bank, bf16=bf16, flip=True), data, tmp_path, halt=3, steps=7)


@pytest.mark.slow
def test_from_packs_to_a_bank_that_sees(
    tmp_path: Path,
    tiny_bank_path: Path,
    packs: tuple[Path, Path],
    quiet: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Trunk, then encoders for a bank with that trunk, then the bank with both, used by every command."""
    options = ["--data", str(packs[0]), "--validation", str(packs[1]), "--device", "cpu", "--batch", "8"]
    trunk_options = ["--widths", "8", "16", "16", "--depths", "1", "1", "1"]
    assert main(["train-trunk", *options, *trunk_options, "--kimg", "0.04", "--out", str(tmp_path / "trunk")]) == 0
    with_trunk, whole = tmp_path / "with-trunk.safetensors", tmp_path / "whole.safetensors"
    add = ["--bank", str(tiny_bank_path), "--trunk", str(tmp_path / "trunk")]
    assert main(["make-bank", *add, "--out", str(with_trunk), "--machine", "a small one"]) == 0

    for name in ("albedo", "shading"):
        out = str(tmp_path / name)
        command = ["--bank", str(with_trunk), "--component", name, *options, *SIZES, "--lr", "2e-3", "--out", out]
        assert main(["train-encoder", *command, "--kimg", "0.2", "--save-every", "0.1"]) == 0
        assert main(["train-encoder", *command, "--kimg", "0.6"]) == 0
        assert Image.open(next((tmp_path / name).glob("samples-*.png"))).size[0] > 100
    _, values = read_checkpoint(tmp_path / "albedo" / CHECKPOINT_NAME)
    assert values["history"][-1]["augmentation"]["jpeg"] == PhotoRanges().jpeg
    capsys.readouterr()

    encoders = [f"--encoder={name}={tmp_path / name}" for name in ("albedo", "shading")]
    assert main(["make-bank", "--bank", str(with_trunk), *encoders, "--out", str(whole)]) == 0
    bank = load_bank(whole, with_discriminators=True)
    assert bank.has_encoders and bank.trunk is not None and bank.header.machine == "a small one"
    assert main(["banks", "verify", str(whole)]) == 0
    card = whole.with_suffix(".md").read_text(encoding="utf-8")
    for words in ("encoder of albedo", "trunk", "mse_mean_code", "images/s", "CC0-1.0", "a small one"):
        assert words in card

    # A new training begins with that encoder, and says so; not with another component's absence or sizes.
    new = [
        "train-encoder",
        "--bank",
        str(with_trunk),
        "--component",
        "albedo",
        *options,
        "--out",
        str(tmp_path / "new"),
    ]
    assert main([*new, "--start-from", str(with_trunk), "--kimg", "0"]) == 2
    assert main([*new, "--start-from", str(whole), "--kimg", "0", *SIZES[:5], "--pyramid", "4"]) == 2
    assert "architecture" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main([*new, "--start-from", str(whole), "--kimg", "0", *SIZES]) == 0
    tensors, values = read_checkpoint(tmp_path / "new" / CHECKPOINT_NAME)
    stored = bank.components["albedo"].encoder
    assert stored is not None
    for key, value in stored.state_dict().items():
        assert torch.equal(tensors[f"average.{key}"], value) and torch.equal(tensors[f"network.{key}"], value)
    assert values["history"][-1]["start_from"]["file"] == whole.name

    swapped = [f"--encoder=shading={tmp_path / 'albedo'}"]
    assert main(["make-bank", "--bank", str(with_trunk), *swapped, "--out", str(tmp_path / "x.safetensors")]) == 2
    assert not (tmp_path / "x.safetensors").exists()

    # The encoder alone, as evaluation sees it.
    _write_samples(tmp_path / "samples.tar", 3, 16)
    evaluate = ["evaluate", "--data", str(tmp_path / "samples.tar"), "--bank", str(whole), "--out", str(tmp_path)]
    assert main([*evaluate, "--preset", "draft"]) == 0
    methods = json.loads((tmp_path / "table.json").read_text())["methods"]
    assert list(methods)[:3] == ["draft", "draft + detail", "encoder"] and "JoIN" not in methods
    assert main(["evaluate", *evaluate[1:5], "--out", str(tmp_path), "--preset", "draft"]) == 0
    scores = make_bank.summary(json.loads((tmp_path / "table.json").read_text()))
    assert scores["encoder"]["albedo"]["psnr"] > 0

    # And as the card tells it.
    scored = tmp_path / "scored.safetensors"
    add = ["--bank", str(whole), "--scores", str(tmp_path / "table.json"), "--time-encoders"]
    assert main(["make-bank", *add, "--out", str(scored)]) == 0
    timing = load_bank(scored).header.scores["encoders"]
    assert 0 < timing["milliseconds"] < 300 and timing["threads"] == torch.get_num_threads()
    card = scored.with_suffix(".md").read_text(encoding="utf-8")
    assert f"All encoders together: {timing['milliseconds']:.0f} ms" in card
    values = scores["encoder"]["albedo"]
    low, high = values["psnr_interval"]
    assert f"| albedo | {values['mse']:.4f} | {values['psnr']:.2f} [{low:.2f}, {high:.2f}] |" in card
    assert (
        main(["make-bank", "--bank", str(with_trunk), "--time-encoders", "--out", str(tmp_path / "x.safetensors")]) == 2
    )
    assert "no encoders to time" in capsys.readouterr().err


def test_packs_that_do_not_fit_the_bank(
    tmp_path: Path, tiny_bank_path: Path, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    packs = {
        "small.tar": write_pack(tmp_path / "small.tar", count=3, resolution=8),
        "only.tar": write_pack(tmp_path / "only.tar", count=3, components=("albedo",)),
        "linear.tar": write_pack(
            tmp_path / "linear.tar",
            count=3,
            changes={"components": {"albedo": {"transform": "reinhard"}, "shading": {"transform": "reinhard"}}},
        ),
    }
    for pack in packs.values():
        command = ["--bank", str(tiny_bank_path), "--component", "albedo", "--data", str(pack), "--device", "cpu"]
        assert main(["train-encoder", *command, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and len(error.splitlines()) == 1
    command = ["--bank", str(tiny_bank_path), "--component", "specular", "--data", str(packs["small.tar"])]
    assert main(["train-encoder", *command, "--out", str(tmp_path / "out")]) == 2
    assert "no specular" in capsys.readouterr().err


# In the inversion


@pytest.mark.slow
def test_start_at_the_encoders_codes(seeing_bank: Bank, own_targets: torch.Tensor) -> None:
    state = invert(seeing_bank, own_targets, Preset("x", (EncoderStart(),)))
    for name, component in seeing_bank.components.items():
        assert torch.equal(state.latents[name], component.encode(own_targets))
        assert not torch.allclose(state.latents[name], component.w_avg)
    for space in ("w", "w+", "whitened"):
        later = invert(seeing_bank, own_targets, Preset("x", (EncoderStart("w+"), Joint(steps=3, space=space))))
        assert later.loss.isfinite().all()


def test_codes_per_layer_are_averaged_for_w(seeing_bank: Bank, own_targets: torch.Tensor) -> None:
    parts = {}
    torch.manual_seed(0)
    for name, part in seeing_bank.components.items():
        config = replace(part.encoder.config, space="w+")  # type: ignore[union-attr]
        network = Encoder(config).eval().requires_grad_(False)
        for style in network.styles:
            torch.nn.init.normal_(style.linear.weight)  # type: ignore[union-attr, arg-type]
        parts[name] = replace(part, encoder=network)
    bank = replace(seeing_bank, components=parts)
    layered = invert(bank, own_targets, Preset("x", (EncoderStart("w+"),))).latents["albedo"]
    plain = invert(bank, own_targets, Preset("x", (EncoderStart("w"),))).latents["albedo"]
    assert layered.shape == (3, 6, 16) and plain.shape == (3, 1, 16)
    torch.testing.assert_close(layered.mean(dim=1, keepdim=True), plain)


def test_the_encoders_preset_decomposes_and_says_what_it_lacks(
    tmp_path: Path, seeing_bank: Bank, tiny_bank_path: Path, picture: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "photo.png"
    Image.fromarray((picture * 255).astype(np.uint8)).save(photo)
    command = ["decompose", str(photo), "--out", str(tmp_path), "--preset", "draft", "--bank"]
    assert main([*command, str(seeing_bank.path)]) == 0
    report = json.loads((tmp_path / "photo" / "report.json").read_text())
    assert report["metrics"]["psnr"] > 40 and "loss" not in report["metrics"]
    assert main([*command, str(tiny_bank_path)]) == 2
    assert "no encoder of 'albedo'" in capsys.readouterr().err
    blind, target = load_bank(tiny_bank_path), torch.rand(1, 3, 16, 16)
    started = invert(blind, target, Preset("x", (EncoderStart(required=False),))).latents["albedo"]
    assert torch.equal(started[0, 0], blind.components["albedo"].w_avg)
    with pytest.raises(JoinError) as caught:
        load_bank(tiny_bank_path).components["albedo"].encode(torch.zeros(1, 3, 16, 16))
    assert caught.value.code == "encoder_missing"
