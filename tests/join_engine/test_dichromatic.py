# SPDX-License-Identifier: GPL-3.0-or-later
"""Highlights on coloured paint."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from join_engine.layers.dichromatic import gloss_on_colour

RED, BLUE, GREY, GREEN = (0.5, 0.1, 0.08), (0.08, 0.15, 0.5), (0.3, 0.3, 0.3), (0.1, 0.4, 0.12)


def plain(colour: tuple[float, float, float], height: int = 48, width: int = 64) -> Tensor:
    return torch.tensor(colour)[None, :, None, None].expand(1, 3, height, width)


def spot(row: float, column: float, radius: float, like: Tensor) -> Tensor:
    rows, columns = torch.meshgrid(
        torch.arange(float(like.shape[2])), torch.arange(float(like.shape[3])), indexing="ij"
    )
    return ((rows - row).square() + (columns - column).square() < radius**2)[None, None].float()


def light(like: Tensor) -> Tensor:
    """Falls off to the right."""
    return torch.linspace(1.2, 0.5, like.shape[3])[None, None, None].expand(1, 1, *like.shape[2:])


def told_of(image: Tensor, specular: Tensor, readable: Tensor, lit: Tensor) -> Tensor:
    """The specular that comes of one that is supposed."""
    least = image.amin(dim=1, keepdim=True)
    supposed = (specular / least.clamp_min(1e-6)).clamp(0.0, 1.0)
    return gloss_on_colour(image, supposed, readable, lit) * least


def split_of(paint: Tensor, lit: Tensor, supposed: float = 0.5) -> tuple[Tensor, Tensor]:
    """What is told of 0.3 of gloss, of which the network supposes a part; and the truth."""
    truth = 0.3 * lit
    image = paint * light(paint) + truth
    return told_of(image, supposed * truth, torch.ones_like(truth) - 0.5 * lit, lit), truth


@pytest.mark.parametrize("supposed", [0.3, 0.7, 1.0])
def test_what_gloss_takes_of_the_saturation_tells_how_much_there_is(supposed: float) -> None:
    paint = torch.cat([plain(RED), plain(BLUE)], dim=3)
    lit = spot(24, 30, 8, paint) + spot(20, 100, 6, paint)
    told, truth = split_of(paint, lit, supposed)
    assert float((told - truth)[lit > 0.5].abs().max()) < 0.03
    assert float(told[lit < 0.5].abs().max()) == 0.0


def test_of_grey_paint_and_of_a_hue_that_is_not_seen_without_gloss_it_says_nothing() -> None:
    grey = plain(GREY)
    lit = spot(24, 30, 8, grey)
    told, truth = split_of(grey, lit)
    assert torch.allclose(told, 0.5 * truth)
    green = torch.where(spot(24, 30, 8, grey) > 0.5, plain(GREEN), plain(RED))
    told, truth = split_of(green, lit)
    assert float((told - 0.5 * truth).abs().max()) < 0.03


def test_paint_that_is_pale_without_a_highlight_stays_paint() -> None:
    pale = torch.where(spot(24, 30, 8, plain(RED)) > 0.5, plain(RED) + 0.2, plain(RED))
    nothing = torch.zeros(1, 1, *pale.shape[2:])
    assert torch.equal(gloss_on_colour(pale, nothing, 1.0 - nothing, nothing), nothing)


def test_paint_near_by_says_more_than_paint_far_away() -> None:
    dull = plain(RED) * 0.5 + 0.2
    paint = torch.cat([plain(RED), dull], dim=3)
    lit = spot(24, 20, 6, paint) + spot(24, 108, 6, paint)
    told, truth = split_of(paint, lit)
    assert float((told - truth)[lit > 0.5].abs().max()) < 0.06


def test_it_never_takes_more_than_there_is_and_stays_finite() -> None:
    rng = torch.Generator().manual_seed(1)
    image = torch.rand(1, 3, 200, 150, generator=rng) * (torch.rand(1, 1, 200, 150, generator=rng) > 0.3)
    supposed, readable, lit = torch.rand(3, 1, 1, 200, 150, generator=rng)
    for shown in (readable, torch.zeros_like(readable)):
        told = gloss_on_colour(image, supposed, shown, lit)
        assert bool(told.isfinite().all()) and bool((told >= 0.0).all()) and bool((told <= 1.0).all())


def test_it_never_says_that_there_is_less() -> None:
    told, truth = split_of(plain(RED), spot(24, 30, 8, plain(RED)), 1.2)
    assert torch.allclose(told, 1.2 * truth)


def test_a_speck_of_brighter_colour_under_a_highlight_and_noise_stay_what_they_are() -> None:
    rng = torch.Generator().manual_seed(2)
    dull = plain((0.3, 0.22, 0.18), 256, 256)
    specks = (torch.rand(1, 1, 256, 256, generator=rng) > 0.99).float()
    paint = dull * (1.0 - specks) + plain((0.5, 0.25, 0.05), 256, 256) * specks
    lit = spot(128, 128, 60, paint)
    image = paint * light(paint) + 0.3 * lit + 0.01 * torch.randn(1, 3, 256, 256, generator=rng) * lit
    told = told_of(image, 0.3 * lit, torch.ones_like(lit) - 0.5 * lit, lit)[lit > 0.5]
    assert float(told.mean()) == pytest.approx(0.3, abs=0.03)
    assert float((told < 0.25).float().mean()) < 0.01, "no holes in the highlight"
