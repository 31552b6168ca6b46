# SPDX-License-Identifier: GPL-3.0-or-later
"""What other published inversions have that JoIN has not: their losses, and their rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from join_engine.bank import Bank
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import GROUPS, Rows, make_methods
from join_engine.inversion.codebook import CodeBook
from join_engine.inversion.invert import invert
from join_engine.inversion.losses.style_codes import domain_loss, gaussian_prior, straightened, variation
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.state import InversionState
from join_engine.networks.stylegan2 import generate

QUICK = Rows(loss="lpips", steps=3, tuning_steps=2)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def in_domain(weight: float) -> Preset:
    stage = Joint(40, 0.02, knn_weight=0.0, space="w+", features="pixels", domain_weight=weight)
    return Preset("x", (EncoderStart(space="w+"), stage))


def strayed(bank: Bank, state: InversionState) -> torch.Tensor:
    with torch.no_grad():
        return domain_loss(bank, state.latents, state.render(state.synthesize()))


def test_the_domain_term_is_how_far_codes_are_from_what_the_encoders_see_again(
    seeing_bank: Bank, target: torch.Tensor
) -> None:
    state = invert(seeing_bank, target, Preset("x", (EncoderStart(),)))
    with torch.no_grad():
        image = state.render(state.synthesize())
        seen = {name: part.encode(image) for name, part in seeing_bank.components.items()}
    expected = sum((state.latents[name] - seen[name]).square().mean(dim=(1, 2)) for name in seen)
    torch.testing.assert_close(strayed(seeing_bank, state), expected)
    assert (strayed(seeing_bank, state) > 1e-6).all()
    torch.testing.assert_close(domain_loss(seeing_bank, seen, image), torch.zeros(2))


def test_of_one_generator_it_is_the_published_term(seeing_bank: Bank) -> None:
    """w − E(G(w)), of codes for each layer."""
    part = seeing_bank.components["albedo"]
    w = part.sample_codes()[:2, None].expand(-1, part.generator.num_ws, -1)
    image = (generate(part.generator, w) + 1.0) / 2.0
    assert part.encoder is not None
    again = part.w_avg + part.encoder(image.clamp(0.0, 1.0))
    found = domain_loss(seeing_bank, {"albedo": w}, image)
    torch.testing.assert_close(found, (w - again).square().mean(dim=(1, 2)))


@pytest.mark.slow
def test_the_domain_term_goes_through_encoders_and_holds_the_codes_in_the_domain(
    seeing_bank: Bank, target: torch.Tensor
) -> None:
    image = target.clone().requires_grad_()
    codes = {name: part.w_avg.expand(2, 1, -1) for name, part in seeing_bank.components.items()}
    domain_loss(seeing_bank, codes, image).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None and image.grad.abs().sum() > 0.0
    free, held = (invert(seeing_bank, target, in_domain(weight)) for weight in (0.0, 20.0))
    assert (strayed(seeing_bank, held) < strayed(seeing_bank, free)).all()
    with torch.no_grad():
        errors = [(each.render(each.synthesize()) - target).square().mean() for each in (free, held)]
    assert errors[0] < errors[1]


def test_without_encoders_there_is_no_domain(tiny_bank: Bank, target: torch.Tensor) -> None:
    stage = Joint(2, domain_weight=1.0)
    assert stage.lacks(tiny_bank) == "the bank has no encoders" and not replace(stage, domain_weight=0.0).lacks(
        tiny_bank
    )
    with pytest.raises(JoinError) as caught:
        invert(tiny_bank, target, Preset("x", (stage,)))
    assert caught.value.code == "encoder_missing"


def test_the_gaussian_prior_is_the_mahalanobis_distance_of_straightened_codes(tiny_bank: Bank) -> None:
    codes = tiny_bank.components["albedo"].sample_codes()
    w = codes[:6].view(2, 3, -1) * 1.5
    straight = torch.where(codes < 0.0, codes * 5.0, codes).double()
    mean, precision = straight.mean(dim=0), torch.linalg.inv(torch.cov(straight.T))
    away = torch.where(w < 0.0, w * 5.0, w).double() - mean
    expected = torch.einsum("bnd,de,bne->b", away, precision, away).float()
    found = gaussian_prior(w, CodeBook(tiny_bank).whitening("albedo", straight=True).whiten)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(straightened(torch.tensor([-1.0, 2.0])), torch.tensor([-5.0, 2.0]))


def test_the_variation_is_nothing_in_w() -> None:
    w = torch.randn(2, 1, 4).expand(-1, 3, -1).clone()
    assert not variation(w).any()
    w[1, 2, 0] += 2.0
    torch.testing.assert_close(variation(w), torch.tensor([0.0, 4.0]))


@pytest.mark.slow
def test_heavy_terms_hold_the_codes_together(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    def codes(**weights: float) -> torch.Tensor:
        stage = Joint(25, 0.05, knn_weight=0.0, space="w+", features="pixels", **weights)  # type: ignore[arg-type]
        return invert(tiny_bank, own_targets, Preset("x", (stage,))).latents["albedo"]

    whiten = CodeBook(tiny_bank).whitening("albedo", straight=True).whiten
    assert variation(codes(variation_weight=1.0)).sum() < variation(codes()).sum() / 4
    assert gaussian_prior(codes(gaussian_weight=1.0), whiten).sum() < gaussian_prior(codes(), whiten).sum()


@pytest.mark.slow
def test_there_is_a_row_for_each_published_method(seeing_bank: Bank, tiny_bank: Bank, target: torch.Tensor) -> None:
    rows = {method.key: method for method in make_methods(["published"], QUICK, seeing_bank)}
    assert set(rows) == set(GROUPS["published"])
    images = {}
    for key, method in rows.items():
        if not method.lacks:
            assert method.preset is not None
            state = invert(seeing_bank, target, method.preset)
            assert state.loss.isfinite().all() or key == "encoder"
            with torch.no_grad():
                images[key] = state.render(state.synthesize())
    assert {"i2s", "in-domain", "pti", "opt-w+", "gaussian-prior", "hybrid-w+"} <= set(images)
    # Each does something of its own.
    assert len({image.numpy().tobytes() for image in images.values()}) == len(images)
    lacks = {method.key: method.lacks for method in make_methods(["i2s", "in-domain", "pti"], QUICK, tiny_bank)}
    assert not lacks["i2s"] and not lacks["pti"] and lacks["in-domain"] == "the bank has no encoders"
