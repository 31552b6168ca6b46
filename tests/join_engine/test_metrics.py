# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics and the Retinex baseline against formulas written out another way, and the landscape of Fig. 2."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from join_engine.bank import Bank
from join_engine.errors import JoinError
from join_engine.evaluation.generators.landscape import landscapes, planar_codes, write_landscape
from join_engine.evaluation.methods.baselines import blurred_light, constant_albedo, retinex, square_root
from join_engine.images.metrics import all_scores, brightness_told, lmse, si_mse, ssim
from join_engine.networks.retinex import integrate


def _pair(size: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.random((size, size, 3))
    return (truth + rng.normal(0, 0.1, truth.shape)).clip(0, 1), truth


def test_what_is_broad_is_light_and_what_is_fine_is_paint() -> None:
    y, x = np.mgrid[:64, :64] / 63.0
    light = np.exp(1.5 * x + y)[..., None].repeat(3, axis=2).astype(np.float32)
    checks = np.where((np.mgrid[:64, :64].sum(axis=0) % 2)[..., None] == 0, (0.2, 0.1, 0.05), (0.6, 0.5, 0.4))
    image = (checks * light).astype(np.float32)
    layers = blurred_light(image, 0.25)
    grey = layers["albedo"] @ np.array((0.2126, 0.7152, 0.0722))
    assert np.exp(np.log(grey).mean()) == pytest.approx(0.25, rel=0.01)
    inside = np.s_[16:48, 16:48]
    flat = (layers["albedo"] / checks)[inside]
    assert np.log(flat).std() < 0.1 * np.log(light[inside]).std()  # the light is gone from the paint
    assert np.ptp(layers["shading"], axis=2).max() == 0.0
    alone = constant_albedo(image, 0.25)
    assert np.ptp(alone["albedo"]) == 0.0 and np.allclose(alone["shading"] * 0.25, image)


def test_ssim_against_the_formula_window_by_window() -> None:
    one, other = _pair(16)
    axis = np.exp(-((np.arange(11) - 5) ** 2) / 4.5)
    weights = np.outer(axis, axis) / np.outer(axis, axis).sum()
    values = []
    for channel in range(3):
        for top in range(6):
            for left in range(6):
                x = one[top : top + 11, left : left + 11, channel]
                y = other[top : top + 11, left : left + 11, channel]
                mx, my = (weights * x).sum(), (weights * y).sum()
                vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
                cov = (weights * (x - mx) * (y - my)).sum()
                c1, c2 = 1e-4, 9e-4
                values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert ssim(one, other) == pytest.approx(np.mean(values), abs=1e-10)
    assert ssim(one, one) == pytest.approx(1.0)
    assert ssim(one[:5], one[:5]) == pytest.approx(1.0)


def test_si_mse_is_the_least_over_all_factors() -> None:
    one, other = _pair()
    factors = np.linspace(0.5, 1.5, 20001)
    brute = (factors**2 * (one**2).mean() - 2 * factors * (one * other).mean() + (other**2).mean()).min()
    assert si_mse(one, other) == pytest.approx(brute, abs=1e-8)
    assert si_mse(3.0 * other, other) == pytest.approx(0.0, abs=1e-12)
    assert si_mse(np.zeros_like(other), other) == pytest.approx(float((other**2).mean()))


def test_lmse_forgives_a_factor_per_window_and_is_one_for_nothing() -> None:
    one, other = _pair(40)
    assert lmse(np.zeros_like(other), other) == pytest.approx(1.0)
    ramp = np.linspace(1.0, 1.2, 40)[:, None, None]
    assert lmse(other * ramp, other) < 1e-4 < si_mse(other * ramp, other)
    error = energy = 0.0
    for top in range(0, 37, 2):
        for left in range(0, 37, 2):
            x, y = (a[top : top + 4, left : left + 4].ravel() for a in (one, other))
            error += np.linalg.lstsq(x[:, None], y, rcond=None)[1][0]
            energy += (y**2).sum()
    assert lmse(one, other) == pytest.approx(error / energy)
    assert lmse(one, np.zeros_like(one)) == 0.0


def test_all_scores_of_the_truth_itself() -> None:
    truth = _pair()[1]
    scores = all_scores("albedo", truth, truth)
    assert scores == {"mse": 0.0, "psnr": 100.0, "ssim": pytest.approx(1.0), "si_mse": 0.0, "lmse": 0.0}


def test_poisson_gives_back_what_was_differentiated() -> None:
    rng = torch.Generator().manual_seed(1)
    for shape in ((9, 14), (8, 8), (1, 5)):
        field = torch.randn(2, 1, *shape, generator=rng)
        found = integrate(field.diff(dim=2), field.diff(dim=3))
        assert torch.allclose(found, field - field.mean(dim=(2, 3), keepdim=True), atol=1e-5)


def test_retinex_splits_a_mondrian_under_smooth_light_and_beats_the_square_root() -> None:
    rng = np.random.default_rng(2)
    albedo = np.repeat(np.repeat(rng.uniform(0.1, 0.8, (6, 6, 3)), 8, axis=0), 8, axis=1)
    y, x = np.mgrid[0:48, 0:48] / 48
    light = np.repeat((0.4 + 1.2 * np.exp(-((x - 0.3) ** 2 + (y - 0.6) ** 2) * 2))[..., None], 3, axis=2)
    image = albedo * light
    own = retinex(image)
    found, shading = own["albedo"], own["shading"]
    assert np.allclose(found * shading, image, rtol=1e-4)
    root = square_root(image)
    for mine, theirs, truth in ((found, root["albedo"], albedo), (shading, root["shading"], light)):
        assert si_mse(mine, truth) < 0.05 * si_mse(theirs, truth)
        assert lmse(mine, truth) < 0.25 * lmse(theirs, truth)
    level = np.exp(np.log(retinex(image, level=0.5)["albedo"]).mean())
    assert level == pytest.approx(0.5, rel=1e-3)


@pytest.mark.slow
def test_landscapes_of_a_bank(tiny_bank: Bank, tmp_path: Path) -> None:
    codes = planar_codes(tiny_bank, "albedo", 100)
    losses, corners = landscapes(codes, 5, 60)
    in_domain, knn = losses.values()
    # Against the equations, at one corner: the first row and column are the lowest coordinates.
    distances = (codes - torch.from_numpy(corners[0])).norm(dim=1)
    near = distances.sort().values[:5]
    weights = torch.softmax(-0.5 * near / near.mean(), dim=0)
    assert knn[0, 0] == pytest.approx(float((near * weights).sum()), rel=1e-4)
    assert in_domain[0, 0] == pytest.approx(float((codes.mean(dim=0) - torch.from_numpy(corners[0])).norm()), rel=1e-4)
    assert in_domain.argmin() != in_domain.argmax() and knn.min() > 0
    write_landscape(tmp_path / "fig.png", codes)
    assert Image.open(tmp_path / "fig.png").size[0] > 900
    with pytest.raises(JoinError):
        planar_codes(tiny_bank, "specular", 100)


def test_a_told_brightness_forgives_a_factor_and_nothing_else() -> None:
    albedo, truth = _pair()
    shading = np.full_like(truth, 0.5)
    layers = {"albedo": truth / 3.0, "shading": shading * 3.0, "specular": albedo}
    told = brightness_told(layers, {"albedo": truth})
    assert np.allclose(told["albedo"], truth) and np.allclose(told["shading"], shading)
    assert told["specular"] is albedo
    other = brightness_told({"albedo": albedo, "shading": shading}, {"albedo": truth})
    assert np.allclose(other["albedo"] * other["shading"], albedo * shading)
    assert 0.0 < np.square(other["albedo"] - truth).mean() <= np.square(albedo - truth).mean()
    black = brightness_told({"albedo": truth * 0.0, "shading": shading}, {"albedo": truth})
    assert np.isfinite(black["shading"]).all() and not black["albedo"].any()
