# SPDX-License-Identifier: GPL-3.0-or-later
"""What few paints tell of the light."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from join_engine.layers import few_paints
from join_engine.layers.few_paints import FEW_PAINTS_ERROR, light_in_paint

HEIGHT, WIDTH = 96, 128
EVERYWHERE = torch.ones(1, 1, HEIGHT, WIDTH)
SURE, UNSURE = 0.01, 0.5


def two_paints() -> tuple[Tensor, Tensor]:
    """Logarithm of an albedo of red and white stripes, and where it is white."""
    white = (torch.arange(WIDTH) // 8 % 2).bool().expand(1, 1, HEIGHT, WIDTH)
    red = torch.tensor([0.5, 0.1, 0.1]).log()[None, :, None, None]
    return torch.where(white, math.log(0.7), red), white


def shade() -> Tensor:
    """Light that falls off from left to right, in the logarithm."""
    return torch.linspace(0.3, -0.3, WIDTH).expand(1, 1, HEIGHT, WIDTH)


def test_a_shade_that_was_left_in_few_paints_becomes_light() -> None:
    paint, white = two_paints()
    light = light_in_paint(paint + shade(), EVERYWHERE, UNSURE)
    left = shade() - light
    for one in (white, ~white):
        assert float(left[one].std()) < 0.5 * float(shade()[one].std())
    # The difference of the two paints is none of light's.
    assert (
        abs(float(light[white].mean() - shade()[white].mean()) - float(light[~white].mean() - shade()[~white].mean()))
        < 0.1
    )
    assert abs(float(light_in_paint(paint, EVERYWHERE, UNSURE).abs().max())) < 0.01


def test_the_less_sure_the_network_the_more_it_says() -> None:
    paint = two_paints()[0] + shade()
    sure, usual, unsure = (light_in_paint(paint, EVERYWHERE, error).std() for error in (SURE, 0.15, UNSURE))
    assert sure < 0.01 < usual < unsure
    assert not light_in_paint(paint, EVERYWHERE, UNSURE, math.inf).any()
    assert light_in_paint(paint, EVERYWHERE, UNSURE, FEW_PAINTS_ERROR / 2).std() > unsure


def test_grain_counts_less_than_what_changes_slowly() -> None:
    grain = 0.3 * (torch.arange(HEIGHT)[:, None] + torch.arange(WIDTH)[None] & 1).expand(1, 1, HEIGHT, WIDTH)
    flat = torch.zeros(1, 3, HEIGHT, WIDTH)
    of_grain, of_shade = (
        [float(light_in_paint(flat + light, EVERYWHERE, 0.3, cut_out=cut).std() / light.std()) for cut in (False, True)]
        for light in (grain, shade())
    )
    assert of_grain[0] < 0.01 < 0.1 < of_grain[1] < 0.5 * of_shade[1]
    assert of_shade[0] < of_shade[1]


def test_relief_of_one_paint_is_light_where_something_is_cut_out() -> None:
    large = torch.ones(1, 1, 256, 256)
    relief = 0.2 * (torch.arange(256.0) / 2.0 % 2.0).floor().expand(1, 1, 256, 256)
    paint = torch.tensor([0.2, 0.5, 0.3]).log()[None, :, None, None] + relief
    whole, cut = (light_in_paint(paint, large, UNSURE, cut_out=cut).std() / relief.std() for cut in (False, True))
    assert cut > 0.4 > 0.1 > whole
    # What has another colour each time is paint, however fine.
    pattern = torch.where(relief > 0.1, torch.tensor([0.5, 0.1, 0.1]).log()[None, :, None, None], math.log(0.5))
    assert light_in_paint(pattern, large, UNSURE, cut_out=True).std() < 0.05


def test_every_paint_moves_to_where_it_is_densest() -> None:
    """Three paints of one colour, apart by more than the network may err, in blurred light: each to its own mean."""
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(3, (1, 1, HEIGHT, WIDTH), generator=generator)
    known = torch.rand(1, 1, HEIGHT, WIDTH, generator=generator)
    grey = which * 1.0 + 0.1 * torch.randn(1, 1, HEIGHT, WIDTH, generator=generator)
    colour = torch.tensor([0.1, 0.0, -0.1])[None, :, None, None].expand(1, 3, HEIGHT, WIDTH)
    found = few_paints._densest(colour, grey, known, 0.15)
    for paint in range(3):
        one = which == paint
        mean = float((grey * known)[one].sum() / known[one].sum())
        assert float((found[one] - mean).abs().max()) < 0.05


def test_what_cannot_be_read_says_nothing() -> None:
    paint = two_paints()[0] + shade()
    spoiled, readable = paint.clone(), EVERYWHERE.clone()
    spoiled[..., 40:60, 40:60] = -9.0
    readable[..., 40:60, 40:60] = 0.0
    light, clean = light_in_paint(spoiled, readable, UNSURE), light_in_paint(paint, EVERYWHERE, UNSURE)
    away = torch.ones_like(readable).bool()
    away[..., 30:70, 30:70] = False
    assert torch.allclose(light[away], clean[away], atol=0.03)
    assert not light_in_paint(paint, torch.zeros_like(readable), UNSURE).any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 700), (64, 5000), (130, 257)])
def test_pictures_of_any_size(height: int, width: int) -> None:
    paint = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    light = light_in_paint(paint, torch.ones(1, 1, height, width), UNSURE)
    assert light.shape == (1, 1, height, width) and light.isfinite().all()
