# SPDX-License-Identifier: GPL-3.0-or-later
"""Light that is bluer in the shade."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from join_engine.color import srgb_decode
from join_engine.images.frame import Frame
from join_engine.layers.daylight import bluer_light, colour_of
from join_engine.layers.split import split
from join_engine.networks.split import Level, Split, SplitConfig, luminance

SIZE = 96
NONE = torch.zeros(1, 1, SIZE, SIZE)
SEEN = torch.ones(1, 1, SIZE, SIZE)
SMALL = SplitConfig((8, 12), 8, 1, 4, 8)


def paint(seed: int = 0) -> Tensor:
    """Of many colours, [1, 3, SIZE, SIZE]."""
    rng = torch.Generator().manual_seed(seed)
    return srgb_decode(0.35 + 0.3 * torch.rand(1, 3, SIZE, SIZE, generator=rng))


def shade(softness: float = 6.0) -> Tensor:
    """Logarithm of the light where the edge of something casts its shadow, [1, 1, SIZE, SIZE]."""
    rows, columns = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    return -1.2 * ((columns + 0.3 * rows - 60.0) / softness).sigmoid()[None, None]


def outdoors(slope: float) -> tuple[Tensor, Tensor]:
    """A linear photo in light that is so much bluer where there is less of it, and the light's logarithm."""
    light = shade()
    colour = colour_of(-slope * light) if slope >= 0.0 else 2.0 - colour_of(slope * light)
    return paint() * light.exp() * colour, light


@pytest.mark.parametrize("slope", [0.4, 0.5, 0.7])
def test_how_blue_a_shadow_is_is_read_off_the_photo(slope: float) -> None:
    image, light = outdoors(slope)
    bluer = bluer_light(image, NONE, light, SEEN)
    assert float((bluer + slope * light).abs().max()) < 0.25 * slope
    left = (image / light.exp() / colour_of(bluer) / paint()).log().abs()
    assert float(left.mean()) < 0.3 * float((image / light.exp() / paint()).log().abs().mean())


@pytest.mark.parametrize("slope", [0.0, 0.1, -0.4])
def test_light_that_is_hardly_bluer_or_warmer_in_the_shade_stays_grey(slope: float) -> None:
    image, light = outdoors(slope)
    assert not bluer_light(image, NONE, light, SEEN).any()


def test_blue_paint_is_no_light_and_gloss_and_what_is_cut_out_tell_nothing() -> None:
    image, light = outdoors(0.0)
    blue = torch.where(torch.arange(SIZE) < SIZE // 4, torch.tensor([0.4, 0.7, 1.0])[:, None, None], 1.0)
    assert not bluer_light(image * blue, NONE, light, SEEN).any()
    image, light = outdoors(0.5)
    assert not bluer_light(image, luminance(image), light, SEEN).any()
    part = (torch.arange(SIZE) < SIZE // 2).float().expand_as(SEEN)
    told, other = bluer_light(image, NONE, light, part), torch.where(part > 0.5, image, torch.rand(image.shape))
    changed = bluer_light(other, NONE, torch.where(part > 0.5, light, 3.0), part)
    assert torch.equal(changed[part > 0.5], told[part > 0.5])


def test_no_light_is_brighter_for_its_colour() -> None:
    bluer = torch.rand(1, 1, 8, 8)
    assert torch.allclose(luminance(colour_of(bluer)), torch.ones_like(bluer), atol=1e-6)


def test_layers_of_a_blue_shadow_make_the_photo_and_the_albedo_has_none_of_it() -> None:
    image, light = outdoors(0.4)
    seen: list[Tensor] = []

    def looks(_: Split, photo: Tensor, *__: object) -> Level:
        seen.append(photo)
        flat = torch.zeros_like(light)
        return Level(photo, flat, light, flat, flat, torch.full((1, 3, SIZE, SIZE), -6.0))

    colour = image[0].permute(1, 2, 0).numpy()
    known, frame = {"albedo": torch.full((1, 3, 16, 16), 0.3)}, Frame(SIZE, SIZE, 16)
    strips, _ = split(Split(SMALL).eval(), colour, None, known, frame, None, looks=looks)
    layers = strips.whole()
    made = layers["albedo"] * layers["shading"] + layers["specular"]
    np.testing.assert_allclose(made, colour, atol=1e-5)
    ratio = np.log(layers["albedo"] / paint()[0].permute(1, 2, 0).numpy())
    assert np.abs(ratio - np.median(ratio)).mean() < 0.06
    shaded = layers["shading"][:, -8:].mean(axis=(0, 1))
    assert shaded[2] > 1.5 * shaded[0]
    assert len(seen) == 2  # looked at again, as all of its light had one colour
    assert float((seen[1] / paint() / light.exp()).log().std()) < 0.05
