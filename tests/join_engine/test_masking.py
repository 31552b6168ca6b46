# SPDX-License-Identifier: GPL-3.0-or-later
"""Masks of what is foreign to a bank."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from join_engine.bank import Bank
from join_engine.color import srgb_decode, srgb_encode
from join_engine.commands.main import main
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.evaluation.scores.mask_scores import pasted as paste_onto
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import Preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.masking import Masking, mask_loss, suspicion
from join_engine.inversion.state import InversionState, together
from join_engine.networks.residuals import aligned
from join_engine.pipeline import decompose

from .fake_packs import write_pack

STAGE = Masking(60, 0.05, knn_weight=0.0, space="w+", features="random")


def of_area(area: float) -> dict[int, Tensor]:
    """Binary masks of so large a part of the picture."""
    masks = {}
    for side in (2, 4, 8, 16):
        masks[side] = torch.zeros(1, 1, side, side)
        masks[side][:, :, :, : round(area * side)] = 1.0
    return masks


def test_the_mask_loss_is_an_area_above_its_bound_and_what_is_not_binary() -> None:
    how = 16, STAGE.mask_weight, (STAGE.coarse_area, STAGE.fine_area), STAGE.binary_weight
    assert not mask_loss(of_area(0.0), *how).any()
    found = mask_loss(of_area(0.5), *how)
    torch.testing.assert_close(found, torch.tensor([5.0 * (2 * (0.5 - 0.3) + 2 * (0.5 - 0.25))]))
    half = {side: torch.full((1, 1, side, side), 0.2) for side in (2, 4, 8, 16)}
    torch.testing.assert_close(mask_loss(half, *how), torch.tensor([0.2 * 4 * 0.2]))


def test_masks_together() -> None:
    masks = of_area(0.5)
    assert torch.equal(together({16: masks[16]}, 16), masks[16])
    nothing = {**masks, 2: torch.zeros(1, 1, 2, 2)}
    assert not together(nothing, 16).any()  # what a coarse mask has not, no finer one brings back
    ones = {side: torch.ones_like(mask) for side, mask in masks.items()}
    assert torch.equal(together({**ones, 16: masks[16]}, 16), masks[16])
    assert together({2: masks[2]}, 16).shape == (1, 1, 16, 16)
    step = torch.zeros(1, 1, 8, 8)
    step[..., 4:] = 1.0
    wanted = torch.tensor([0.0] * 7 + [58 / 256, 198 / 256] + [1.0] * 7)  # pixels are areas: the ends do not move
    torch.testing.assert_close(together({8: step}, 16), wanted.expand(1, 1, 16, 16), atol=1e-5, rtol=0.0)


def test_blending_is_of_the_target_and_of_what_the_bank_makes(tiny_bank: Bank, own_targets: Tensor) -> None:
    state = InversionState.begin(tiny_bank, own_targets.clamp(0.0, 1.0))
    outputs = state.synthesize()
    assert all(torch.equal(state.blended(outputs)[name], output) for name, output in outputs.items())
    state.masks = {16: torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))}
    made = srgb_decode(state.render(outputs))
    expected = srgb_encode(torch.lerp(made, srgb_decode(state.target), state.masks[16]))
    blended = state.blended(outputs)
    # Where the light is not next to nothing.
    lit = (state.decode(outputs)["shading"] > 0.05).all(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    torch.testing.assert_close(state.render(blended)[lit], expected[lit], rtol=0, atol=2e-3)
    assert torch.equal(blended["shading"], outputs["shading"])


def pasted(own_targets: Tensor) -> tuple[Tensor, Tensor]:
    mask = torch.zeros(1, 1, 16, 16)
    mask[:, :, 4:10, 6:13] = 1.0
    noise = torch.rand(own_targets.shape, generator=torch.Generator().manual_seed(1)).round()
    return torch.where(mask > 0.0, noise, own_targets), mask


@pytest.mark.slow
def test_a_pasted_patch_is_found_and_the_rest_comes_nearer(tiny_bank: Bank, own_targets: Tensor) -> None:
    target, mask = pasted(own_targets)
    found = invert(tiny_bank, target, Preset("x", (STAGE,)))
    alpha = found.foreign
    assert alpha is not None
    inside = alpha > 0.5
    union = (inside | (mask > 0.5)).sum(dim=(1, 2, 3))
    overlap = (inside & (mask > 0.5)).sum(dim=(1, 2, 3)) / union
    assert overlap.mean() >= 0.6, overlap
    plain = invert(tiny_bank, target, Preset("x", (Joint(60, 0.05, knn_weight=0.0, space="w+"),)))
    around = 1.0 - mask
    with torch.no_grad():
        errors = [((one.render(one.synthesize()) - own_targets) * around).square().mean() for one in (found, plain)]
    assert errors[0] < errors[1]


@pytest.mark.slow
def test_a_small_area_is_kept_to(tiny_bank: Bank, own_targets: Tensor) -> None:
    target, _ = pasted(own_targets)

    def area(bound: float) -> float:
        stage = replace(STAGE, steps=40, coarse_area=bound, fine_area=bound, mask_weight=50.0)
        found = invert(tiny_bank, target, Preset("x", (stage,))).foreign
        assert found is not None
        return float(found.mean())

    assert area(0.05) < area(0.3) <= 0.35


@pytest.mark.slow
def test_a_decomposition_makes_what_is_foreign_of_paint(tiny_bank: Bank, own_targets: Tensor) -> None:
    target, mask = pasted(own_targets)
    picture = srgb_decode(target[0]).permute(1, 2, 0).numpy()
    found, other = (
        decompose(picture, tiny_bank, Preset("x", (stage,))).decomposition
        for stage in (STAGE, Joint(60, 0.05, knn_weight=0.0, space="w+", features="random"))
    )
    assert 0.05 < found.metrics["foreign"] < 0.35 and "foreign" not in other.metrics
    assert found.metrics["psnr_fit"] > other.metrics["psnr_fit"] + 2.0
    # The light does not know of the patch: inside of it the albedo alone has the noise.
    inside = mask[0, 0].numpy() > 0.5
    assert found.layers["albedo"][inside].std() > 2 * other.layers["albedo"][inside].std()


def test_a_row_of_it(seeing_bank: Bank, own_targets: Tensor) -> None:
    methods = make_methods(["samm-masks", "samm-aligned", "samm-residual"], Rows(loss="lpips", steps=2), seeing_bank)
    assert len({method.identity for method in methods}) == 3
    for method in methods:
        assert method.preset is not None and not method.lacks
        found = invert(seeing_bank, own_targets, method.preset)
        assert found.loss.isfinite().all() and bool(found.flows) == (method.key == "samm-aligned")


@pytest.mark.parametrize("items", [[1], [0, 0, 1]])
def test_masks_follow_their_images(tiny_bank: Bank, own_targets: Tensor, items: list[int]) -> None:
    state = InversionState.begin(tiny_bank, own_targets)
    state.masks = {16: torch.rand(3, 1, 16, 16)}
    before, copied = state.masks[16], state.copy()
    state.take(torch.tensor(items))
    assert torch.equal(state.masks[16], before[items]) and torch.equal(copied.masks[16], before)


@pytest.mark.slow
def test_the_command_that_looks_for_patches(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, truth = paste_onto(torch.full((3, 16, 16), 0.3), np.random.default_rng(0))
    assert truth.sum() == 64.0 and ((photo == 0.3).all(dim=0) == (truth == 0.0)).all()
    pack = write_pack(tmp_path / "pack.tar", 4)
    command = ["mask-scores", "--bank", str(seeing_bank.path), "--data", str(pack), "--count", "2", "--steps", "2"]
    assert main([*command, "--device", "cpu", "--threads", "1", "--out", str(tmp_path / "scores")]) == 0
    told = (tmp_path / "scores" / "masks.md").read_text()
    assert "2 renders, 2 steps" in told and told.count("| aligned |") == told.count("| still |") == 2
    assert told in capsys.readouterr().out
    scores = json.loads((tmp_path / "scores" / "masks.json").read_text())["patches"]["blocks"]["searches"]
    assert scores["still"]["around"] != scores["aligned"]["around"]
    several = ["--patch", "blocks", "letters", "--threshold", "0", "9", "--searches", "still"]
    out = ["--device", "cpu", "--threads", "1", "--out", str(tmp_path / "several")]
    assert main([*command, *several, *out]) == 0
    swept = json.loads((tmp_path / "several" / "masks.json").read_text())["patches"]
    for kind in ("blocks", "letters"):
        ways = swept[kind]["searches"]["still"]["ways"]
        assert list(ways) == ["masks", "residual 0", "residual 9"] and list(swept[kind]["searches"]) == ["still"]
        # Everything, which holds the patch of 8 × 8 of 16 × 16 pixels, and nothing.
        assert ways["residual 0"]["overlap"]["mean"] == pytest.approx(0.25, abs=0.01)
        assert ways["residual 9"]["overlap"]["mean"] == 0.0
    assert "mean of the patches" in (tmp_path / "several" / "masks.md").read_text()


def test_a_flow_takes_features_from_where_it_points() -> None:
    features = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(aligned(features, torch.zeros(2, 2, 8, 8)), features, atol=1e-5, rtol=0)
    right = torch.zeros(2, 2, 8, 8)
    right[:, 0] = 2 / 8  # one place
    moved = aligned(features, right)
    torch.testing.assert_close(moved[..., :-1], features[..., 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., -1], features[..., -1], atol=1e-5, rtol=0)  # the border's stay
    torch.testing.assert_close(aligned(features, -right.flip(1))[..., 1:, :], features[..., :-1, :], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_what_is_out_of_place_is_aligned(tiny_bank: Bank, own_targets: Tensor) -> None:
    """Pictures that the bank makes, with their features moved: a flow brings them back farther than codes do."""
    state = InversionState.begin(tiny_bank, own_targets)
    for name, part in tiny_bank.components.items():
        state.latents[name] = part.sample_codes()[:3, None]
    codes = state.copy()
    state.flows = {8: torch.full((3, 2, 8, 8), 0.15)}
    with torch.no_grad():
        state.target = codes.target = state.render(state.synthesize())
    found = {}
    for reach in (0.0, 0.25):
        one, rate = codes.copy(), 0.05
        stage = replace(
            STAGE, steps=40, learning_rate=rate, reach=reach, mask_weight=1e3, coarse_area=1e-3, fine_area=1e-3
        )
        stage.run(one, Monitor())
        with torch.no_grad():
            found[reach] = float((one.render(one.synthesize()) - one.target).square().mean())
        assert bool(one.flows) == bool(reach)
    assert found[0.25] < 0.7 * found[0.0], found


def test_flows_follow_their_images(tiny_bank: Bank, own_targets: Tensor) -> None:
    state = InversionState.begin(tiny_bank, own_targets)
    still = state.synthesize()
    state.flows = {8: 0.1 * torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(0))}
    moved = state.synthesize()
    assert not torch.allclose(moved["albedo"], still["albedo"], atol=1e-3)
    alone = state.part(torch.tensor([1]))
    torch.testing.assert_close(alone.synthesize()["albedo"], moved["albedo"][1:2])
    copied = state.copy()
    state.take(torch.tensor([2, 0]))
    torch.testing.assert_close(state.synthesize()["shading"], moved["shading"][[2, 0]])
    assert len(copied.flows[8]) == 3


@pytest.mark.slow
def test_what_the_generators_miss_is_foreign(tiny_bank: Bank, own_targets: Tensor) -> None:
    target, mask = pasted(own_targets)
    stage = replace(STAGE, steps=30, residual=0.25)
    found = invert(tiny_bank, target, Preset("x", (stage,)))
    assert list(found.masks) == [16] and set(found.masks[16].unique().tolist()) <= {0.0, 1.0}
    found.masks, binary = {}, found.masks[16]
    evidence = suspicion(found)  # of the residual alone
    assert bool((evidence[binary < 0.5] <= 0.25).all()) and float(evidence.max()) > 0.25
    state = InversionState.begin(tiny_bank, own_targets)
    with torch.no_grad():
        state.target = (state.render(state.synthesize()).clamp(0.0, 1.0) - 0.1).clamp_min(0.0)
    state.masks = {16: torch.ones(3, 1, 16, 16)}
    torch.testing.assert_close(suspicion(state), torch.full((3, 1, 16, 16), 0.3), atol=1e-3, rtol=0)  # borders, too
    assert (binary * mask).sum() / (binary + mask).clamp_max(1.0).sum() > 0.6
