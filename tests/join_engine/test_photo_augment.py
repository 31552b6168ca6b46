# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera does to composed renders: the same for a seed, within the documented ranges, each step for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from join_engine.color import srgb_encode
from join_engine.renders import photo_augment
from join_engine.renders.draws import draws
from join_engine.renders.photo_augment import PhotoRanges, augment

ALWAYS = PhotoRanges(share=1.0)
NOTHING = PhotoRanges(1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100)
Step = Callable[[Tensor, torch.Generator, PhotoRanges], Tensor]


@pytest.fixture
def linear() -> Tensor:
    return torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def rng() -> torch.Generator:
    return draws(3, 4)


def test_the_same_seed_and_step_give_the_same_photo(linear: Tensor) -> None:
    state = torch.get_rng_state()
    first = augment(linear, 1, 2, ALWAYS)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    assert torch.equal(augment(linear, 1, 2, ALWAYS), first)
    assert not torch.equal(augment(linear, 1, 3, ALWAYS), first)
    assert not torch.equal(augment(linear, 2, 2, ALWAYS), first)
    assert first.shape == linear.shape and first.isfinite().all()
    assert first.min() >= 0 and first.max() <= 1


def test_seeds_beyond_32_bits_differ() -> None:
    assert not torch.equal(torch.rand(4, generator=draws(1)), torch.rand(4, generator=draws(1 + 2**32)))


def test_nothing_is_done_by_ranges_of_zero_or_to_no_image(linear: Tensor) -> None:
    # What is left of a blur of width zero and of a tone curve of exponent one is rounding.
    assert (augment(linear, 0, 0, NOTHING) - srgb_encode(linear)).abs().max() < 1e-5
    assert torch.equal(augment(linear, 0, 0, replace(ALWAYS, share=0.0)), srgb_encode(linear))


def test_about_the_share_of_the_images_is_changed() -> None:
    images = torch.full((400, 3, 4, 4), 0.3)
    changed = augment(images, 0, 0, replace(NOTHING, share=0.25, exposure=1.0)) - srgb_encode(images)
    assert 60 < int((changed.abs().amax(dim=(1, 2, 3)) > 1e-6).sum()) < 140


def test_leaving_one_step_out_leaves_the_draws_of_the_others(linear: Tensor) -> None:
    exposure_alone = augment(linear, 5, 6, replace(NOTHING, exposure=0.4))
    with_idle_noise = augment(linear, 5, 6, replace(NOTHING, exposure=0.4, read_noise=1e-7))
    assert (exposure_alone - with_idle_noise).abs().max() < 1e-3


def test_vignetting_darkens_the_corners_only(linear: Tensor) -> None:
    factor = photo_augment.vignetting(torch.ones(64, 3, 33, 33), rng(), ALWAYS)
    assert torch.equal(factor[:, :, 16, 16], torch.ones(64, 3))
    assert 0.6 - 1e-6 <= float(factor.min()) < 0.7 and factor.max() <= 1.0
    assert (factor[:, :, 0, 0] <= factor[:, :, 0, 16]).all()


def test_blur_keeps_the_mean_and_takes_contrast(linear: Tensor) -> None:
    result = photo_augment.blur(linear, rng(), ALWAYS)
    assert torch.allclose(result.mean(dim=(2, 3)), linear.mean(dim=(2, 3)), atol=0.01)
    assert (result.std(dim=(2, 3)) <= linear.std(dim=(2, 3)) + 1e-6).all()
    assert (result.std(dim=(2, 3)) < 0.9 * linear.std(dim=(2, 3))).any()


def test_exposure_is_one_factor_within_its_stops(linear: Tensor) -> None:
    stops = (photo_augment.exposure(linear, rng(), ALWAYS) / linear).log2()
    assert torch.allclose(stops, stops[:, :1, :1, :1].expand_as(stops), atol=1e-4)
    assert stops.abs().max() <= 0.4 + 1e-4 and stops.std() > 0.1


def test_white_balance_keeps_the_luminance_of_grey() -> None:
    grey = torch.full((200, 3, 1, 1), 0.5)
    result = photo_augment.white_balance(grey, rng(), ALWAYS)[:, :, 0, 0]
    assert torch.allclose(result @ torch.tensor([0.2126, 0.7152, 0.0722]), torch.full((200,), 0.5), atol=1e-6)
    stops = (result[:, 0] / result[:, 2]).log2()
    assert 0.25 < float(stops.abs().max()) <= 0.3 + 1e-4


def test_noise_has_the_documented_strength_and_no_bias() -> None:
    ranges = replace(NOTHING, read_noise=0.01, shot_noise=0.03)
    light = torch.full((300, 3, 32, 32), 0.5)
    difference = photo_augment.noise(light, rng(), ranges) - light
    assert abs(float(difference.mean())) < 1e-4
    deviation = difference.std(dim=(1, 2, 3))
    assert float(deviation.max()) <= (0.01**2 + 0.03**2 * 0.5) ** 0.5 * 1.1
    assert float(deviation.max()) > 0.015 and float(deviation.min()) < 0.005
    dark = photo_augment.noise(torch.zeros(300, 3, 8, 8), rng(), replace(ranges, read_noise=0.0))
    assert torch.equal(dark, torch.zeros_like(dark))


def test_a_shoulder_bends_what_is_bright_and_keeps_order_and_all_else() -> None:
    ramp = torch.linspace(0.0, 4.0, 401)[None, None, None].expand(8, 3, 1, 401)
    shown = photo_augment.shoulder(ramp, torch.Generator().manual_seed(0), PhotoRanges(shoulder=0.7))[:, 0, 0]
    assert torch.equal(shown[:, :30], ramp[:, 0, 0, :30]), "below 1 - 0.7 nothing changes"
    assert (shown.diff(dim=1) >= 0.0).all() and (shown <= 1.0).all() and (shown <= ramp[:, 0, 0]).all()
    assert shown.diff(dim=1).diff(dim=1).max() < 1e-5, "no step where it begins"
    assert shown[:, 100].std() > 0.01, "each image has its own"
    orange = photo_augment.bent(torch.tensor([0.9, 0.3, 0.1])[None, :, None, None] + 0.5, torch.tensor(0.5))
    assert float(orange.amin() / orange.amax()) > 0.6, "a highlight bleaches"


def test_tone_curve_keeps_black_white_and_middle_and_order() -> None:
    ramp = torch.linspace(0, 1, 33).expand(50, 3, 1, 33)
    result = photo_augment.tone_curve(ramp, rng(), ALWAYS)
    assert torch.allclose(result[..., [0, 16, 32]], torch.tensor([0.0, 0.5, 1.0]).expand(50, 3, 1, 3), atol=1e-6)
    assert (result.diff(dim=3) > 0).all()
    assert (result - ramp).abs().max() > 0.02


def test_jpeg_is_close_and_the_closer_the_better_its_quality() -> None:
    smooth = torch.linspace(0.1, 0.9, 32).expand(8, 3, 32, 32).contiguous()
    good = photo_augment.jpeg(smooth, rng(), replace(ALWAYS, jpeg=95))
    bad = photo_augment.jpeg(smooth, rng(), replace(ALWAYS, jpeg=5))
    assert (good - smooth).abs().mean() < 0.01
    assert (bad - smooth).square().mean() > (good - smooth).square().mean()
