# SPDX-License-Identifier: GPL-3.0-or-later
"""Semantic diffusion: a patch of one picture in another one's surroundings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.images.files import read_picture, write_png
from join_engine.inversion.diffusion import component_codes, crop, diffuse
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.joint import Joint

from .fake_packs import write_pack


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor]:
    first, last = torch.rand(2, 2, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    return first * 0.2, last * 0.2 + 0.6


def error(image: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    return ((image - target) * mask).square().mean()


def test_only_the_region_is_compared(tiny_bank: Bank, pictures: tuple[Tensor, Tensor]) -> None:
    target, other = pictures
    mask = crop(16, 8)
    preset = Preset("x", (Joint(6, 0.05, knn_weight=0.0, space="w+", features="random"),))
    changed = torch.where(mask > 0.0, target, other)  # outside of the region
    codes = [invert(tiny_bank, one, preset, region=mask.expand(2, -1, -1, -1)).latents for one in (target, changed)]
    assert all(torch.equal(codes[0][name], codes[1][name]) for name in codes[0])
    everywhere = invert(tiny_bank, changed, preset).latents
    assert not torch.equal(codes[0]["albedo"], everywhere["albedo"])


@pytest.mark.parametrize("steps", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_the_patch_comes_nearer_and_the_context_keeps_its_pixels(
    seeing_bank: Bank, pictures: tuple[Tensor, Tensor], steps: int
) -> None:
    context, patch = pictures
    mask = crop(16, 8).repeat(2, 1, 1, 1)
    mask[:, :, 4] = 0.5  # a soft border
    found = diffuse(seeing_bank, context, patch, mask, steps)
    outside = (mask == 0.0).expand(-1, 3, -1, -1)
    assert torch.equal(found.laid[outside], context[outside]) and torch.equal(found.stitched[outside], context[outside])
    inside = (mask == 1.0).expand(-1, 3, -1, -1)
    assert torch.equal(found.stitched[inside], patch[inside]) and torch.equal(found.laid[inside], found.image[inside])
    assert error(found.image, patch, mask) < error(found.seen, patch, mask)
    assert set(found.components) == {"albedo", "shading"}
    assert all(one.shape == (2, 3, 16, 16) and (one >= 0.0).all() for one in found.components.values())


@pytest.mark.slow
def test_the_codes_of_one_component_come_nearer_to_what_is_laid_in(tiny_bank: Bank) -> None:
    part, mask = tiny_bank.components["albedo"], crop(16, 8)
    begun, wanted = part.sample_codes(2)[:, None]
    with torch.no_grad():
        target, before = (part.generator.synthesis(w.expand(1, -1)) for w in (wanted, begun))
    codes = component_codes(tiny_bank, "albedo", begun[None], target, mask, steps=8, features="random")
    assert codes.shape == (1, part.generator.num_ws, begun.shape[-1])
    with torch.no_grad():
        after = part.generator.synthesis(codes)
    assert error(after, target, mask) < 0.9 * error(before, target, mask)


def test_no_patch_and_no_encoders_are_refused(
    tiny_bank: Bank, seeing_bank: Bank, pictures: tuple[Tensor, Tensor]
) -> None:
    mask = torch.zeros(2, 1, 16, 16)
    mask[0] = 1.0
    with pytest.raises(JoinError) as caught:
        diffuse(seeing_bank, *pictures, mask)
    assert caught.value.code == "mask_empty"
    assert str(caught.value) == "There is no patch to lay into the picture. Choose a larger one."
    with pytest.raises(JoinError) as caught:
        diffuse(tiny_bank, *pictures, mask + 1.0)
    assert caught.value.code == "encoder_missing"
    for side in (0, 16):
        with pytest.raises(JoinError):
            crop(16, side)


@pytest.mark.slow
def test_the_commands(seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    for name in ("context", "patch"):
        write_png(tmp_path / f"{name}.png", rng.random((24, 32, 3), dtype=np.float32))
    bank = ["--bank", str(seeing_bank.path), "--device", "cpu", "--threads", "1"]
    command = ["diffuse", str(tmp_path / "context.png"), str(tmp_path / "patch.png"), "--steps", "2", *bank]
    assert main([*command, "--crop", "7", "--out", str(tmp_path / "found")]) == 0
    assert {path.name for path in (tmp_path / "found").iterdir()} >= {"sheet.png", "image.png", "laid.png"}
    assert read_picture(tmp_path / "found" / "laid.png").pixels.shape[:2] == (16, 16)
    assert main([*command, "--crop", "16", "--out", str(tmp_path / "none")]) == 2
    assert "does not fit" in capsys.readouterr().err
    pack = write_pack(tmp_path / "pack.tar", 4)
    scores = ["diffusion-scores", "--data", str(pack), "--count", "2", "--crops", "4", "10", "--steps", "2", *bank]
    assert main([*scores, "--out", str(tmp_path / "scores")]) == 0
    text = (tmp_path / "scores" / "diffusion.md").read_text()
    assert "| 4 " in text and "| 10 " in text
