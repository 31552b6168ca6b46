# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain U-Net: what it says, its training, its file, and its row beside the banks'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.evaluation.methods.unet import made_exact, unet_layers
from join_engine.evaluation.paper.evaluate import evaluate
from join_engine.images.files import read_image, write_png
from join_engine.networks.unet import UNet, UNetConfig, read_unet, write_unet
from join_engine.renders.compose import ComponentSets, read_component_sets
from join_engine.renders.photo_augment import PhotoRanges
from join_engine.renders.samples import read_samples
from join_engine.training.unet import UNetLearner, UNetSettings

from .conftest import check_resumes

SMALL = UNetConfig(("albedo", "shading"), (8, 16), 16)


def wild(config: UNetConfig = SMALL) -> UNet:
    """A network that has an opinion about everything."""
    torch.manual_seed(0)
    network = UNet(config).eval().requires_grad_(False)
    torch.nn.init.normal_(network.out.weight, std=0.5)
    return network


def test_the_architecture_goes_to_json_and_impossible_ones_are_refused() -> None:
    assert UNetConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    impossible = {"components": [("colour",)], "widths": [(9,), (), (2**20,)], "resolution": [15, 2**20]}
    for wrong in ({name: value} for name, values in impossible.items() for value in values):
        with pytest.raises(ValueError):
            replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_the_shipped_size() -> None:
    assert 2.3e6 < sum(parameter.numel() for parameter in UNet(UNetConfig()).parameters()) < 2.6e6


def test_layers_have_the_photos_size_and_can_be_made_exact() -> None:
    network = wild(UNetConfig(("albedo", "shading", "specular"), (8, 16), 16))
    image = np.random.default_rng(0).random((40, 56, 4), dtype=np.float32)
    image[..., 3] = 1.0
    image[3:6, 3:6, :3] = 0.0
    made = unet_layers(network, image)
    assert {name: layer.shape for name, layer in made.items()} == dict.fromkeys(made, (40, 56, 3))
    exact = made_exact(made, image)
    assert np.abs(exact["albedo"] * exact["shading"] + exact["specular"] - image[..., :3]).max() < 1e-5
    assert all(np.isfinite(layer).all() and layer.min() >= 0.0 for layer in exact.values())
    assert exact["albedo"].max() <= 1.0 + 1e-6 and np.abs(exact["specular"] - made["specular"]).max() > 0.0


def test_what_it_says_turns_with_the_photo() -> None:
    image = np.random.default_rng(1).random((32, 32, 3), dtype=np.float32)
    upright, turned = unet_layers(wild(), image), unet_layers(wild(), np.rot90(image).copy())
    assert np.allclose(np.rot90(upright["albedo"]), turned["albedo"], atol=1e-4)


def training_in(path: Path) -> dict[str, Any]:
    """What the file of a U-Net says of its training."""
    with safe_open(path, framework="pt") as file:
        return dict(json.loads(file.metadata()["join_unet"])["training"])


def test_its_file_tells_what_it_is(tmp_path: Path) -> None:
    network, path = wild(), tmp_path / "unet.safetensors"
    write_unet(path, network, {"images_shown": 7})
    stored = read_unet(path)
    image = torch.rand(1, 3, 16, 16)
    assert training_in(path) == {"images_shown": 7} and not stored.training
    assert torch.equal(stored(image)["albedo"], network(image)["albedo"])
    for content in (b"", path.read_bytes()[:-9]):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(JoinError) as caught:
            read_unet(tmp_path / "broken")
        assert caught.value.code == "unet_broken"


def learner_of(**settings: float) -> UNetLearner:
    ranges = PhotoRanges(share=0.2, vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0)
    return UNetLearner(SMALL, UNetSettings(**settings), ranges, kimg=1.0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_learns_what_holds_for_renders_that_it_has_not_seen(packs: tuple[Path, Path], data: ComponentSets) -> None:
    unseen = read_component_sets([packs[1]], "lambertian")
    learner = learner_of(batch=8, ema_kimg=0.05, lr=3e-3)
    before = learner.validate(unseen)
    for _ in range(80):
        learner.step(data)
    scores = learner.validate(unseen)
    assert scores["samples"] == 48
    assert scores["albedo"] > before["albedo"] + 1.0 and scores["shading"] > before["shading"] + 1.0
    assert scores["albedo_told"] >= scores["albedo"]


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets) -> None:
    check_resumes(lambda: learner_of(batch=4), data, tmp_path)


@pytest.mark.slow
def test_from_the_command_to_a_row_and_to_layers_of_photos(
    tmp_path: Path, packs: tuple[Path, Path], tiny_bank: Bank, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["train-unet", "--data", str(packs[0]), "--validation", str(packs[1]), "--out", str(run), "--batch", "8"]
    command += ["--forward-model", "lambertian", "--widths", "8", "16", "--device", "cpu", "--threads", "1"]
    assert main([*command, "--kimg", "0.032", "--resolution", "12"]) == 2
    assert "is not 12 doubled" in capsys.readouterr().err
    assert main([*command, "--kimg", "0.032", "--resolution", "16"]) == 0
    file = run / "unet.safetensors"
    training = training_in(file)
    assert training["images_shown"] == 32 and training["scores"]["samples"] == 48

    samples = read_samples(packs[1], ("albedo", "shading"), 3)
    methods = make_methods(["u-net", "all-albedo"], Rows(), tiny_bank, unet=read_unet(file))
    table = evaluate(tiny_bank, samples, methods)
    assert list(table["methods"]) == ["U-Net", "U-Net + detail", "all albedo"]
    assert (
        table["methods"]["U-Net + detail"]["image"]["psnr"]["mean"]
        > 60.0
        > (table["methods"]["U-Net"]["image"]["psnr"]["mean"])
    )
    (without,) = make_methods(["u-net"], Rows(), tiny_bank)
    assert without.lacks == "no U-Net was given"
    (other,) = make_methods(["u-net"], Rows(), tiny_bank, unet=wild(UNetConfig(("albedo",), (8, 16), 16)))
    assert other.lacks == "the U-Net tells albedo"

    photo = np.random.default_rng(2).random((24, 20, 3))
    write_png(tmp_path / "photo.png", photo)
    layers = [
        "method-layers",
        "u-net",
        str(tmp_path / "photo.png"),
        "--out",
        str(tmp_path / "layers"),
        "--device",
        "cpu",
    ]
    assert main(layers) == 2
    assert main([*layers[:3], str(tmp_path / "none.png"), *layers[3:], "--unet", str(file)]) == 2
    assert "There is no image" in capsys.readouterr().err
    found = {name: read_image(tmp_path / "layers" / "photo" / f"{name}.exr") for name in ("albedo", "shading")}
    assert np.abs(found["albedo"] * found["shading"] - read_image(tmp_path / "photo.png")).max() < 1e-5
    assert main(["method-layers", "colour-retinex", *layers[2:]]) == 0
    assert read_image(tmp_path / "layers" / "photo" / "specular.exr").max() == 0.0
