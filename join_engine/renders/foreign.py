# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures with something foreign pasted onto them, of which it is known where it is."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .draws import uniform

_COLOURS = 4  # of a patch of blocks or stripes, at most


def with_foreign(photos: Tensor, rng: torch.Generator, share: float = 0.85) -> tuple[Tensor, Tensor]:
    """Onto ``share`` of pictures a patch: a rectangle, an ellipse or a spot, of another of the pictures (turned,
    mirrored, its colours exchanged or not), of blocks, stripes, one colour or clouds.

    sRGB-encoded [B, 3, R, R] in [0, 1] → the same with patches, and where these are, [B, 1, R, R] of 0 and 1.
    """
    where = _shapes(photos, rng) * (torch.rand(len(photos), 1, 1, 1, generator=rng) < share).to(photos)
    kinds = torch.stack([_others(photos, rng), _blocks(photos, rng), _stripes(photos, rng), _clouds(photos, rng)])
    # Half of them are of other pictures, which are hardest.
    drawn = torch.multinomial(torch.tensor([0.5, 0.2, 0.15, 0.15]), len(photos), replacement=True, generator=rng)
    patches = kinds[drawn, torch.arange(len(photos))]
    return torch.lerp(photos, patches, where), where


def _shapes(photos: Tensor, rng: torch.Generator) -> Tensor:
    count, side = len(photos), photos.shape[-1]
    middles = (torch.arange(side) + 0.5) / side
    x, y = (place - uniform(rng, count, 0.1, 0.9) for place in (middles, middles[:, None]))
    angle = uniform(rng, count, 0.0, math.pi) * (uniform(rng, count, 0.0, 1.0) < 0.5)  # half of them are upright
    x, y = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    x, y = (place / uniform(rng, count, 0.08, 0.3) for place in (x, y))
    rough = 0.6 * functional.interpolate(torch.randn(count, 1, 5, 5, generator=rng), (side, side), mode="bicubic")
    radii = torch.stack([torch.maximum(x.abs(), y.abs()), x.hypot(y), x.hypot(y) + rough])
    return (radii[torch.randint(3, (count,), generator=rng), torch.arange(count)] < 1.0).to(photos)


def _others(photos: Tensor, rng: torch.Generator) -> Tensor:
    turns = torch.randint(4, (len(photos),), generator=rng).tolist()
    channels = [torch.randperm(3, generator=rng) if turn % 2 else torch.arange(3) for turn in turns]
    others = photos.roll(1, dims=0).flip(3)
    return torch.stack([torch.rot90(one[c], t, (1, 2)) for one, c, t in zip(others, channels, turns, strict=True)])


def _blocks(photos: Tensor, rng: torch.Generator) -> Tensor:
    colours, found, side = torch.rand(len(photos), _COLOURS, 3, generator=rng), [], photos.shape[-1]
    for palette in colours:
        size, count = (int(torch.randint(low, high, (), generator=rng)) for low, high in ((1, 9), (1, _COLOURS + 1)))
        cells = torch.randint(count, (-(-side // size),) * 2, generator=rng)
        picture = palette[cells].permute(2, 0, 1)
        found.append(picture.repeat_interleave(size, 1).repeat_interleave(size, 2)[:, :side, :side])
    return torch.stack(found).to(photos)


def _stripes(photos: Tensor, rng: torch.Generator) -> Tensor:
    count, side = len(photos), photos.shape[-1]
    angle, width = uniform(rng, count, 0.0, math.pi), uniform(rng, count, 2.0, 12.0)
    place = torch.arange(side)
    wave = ((place * angle.cos() + place[:, None] * angle.sin()) * math.tau / width).sin()
    sharp = uniform(rng, count, 1.0, 10.0)
    ink, paper = torch.rand(2, count, 3, 1, 1, generator=rng)
    return torch.lerp(paper, ink, ((wave * sharp).clamp(-1.0, 1.0) + 1.0) / 2.0).to(photos)


def _clouds(photos: Tensor, rng: torch.Generator) -> Tensor:
    count, side = len(photos), photos.shape[-1]
    total = torch.rand(count, 3, 1, 1, generator=rng).expand(-1, -1, side, side)
    for cells in (2, 8, side):
        noise = torch.randn(count, 3, cells, cells, generator=rng) * uniform(rng, count, 0.0, 0.2)
        total = total + functional.interpolate(noise, (side, side), mode="bilinear")
    return total.clamp(0.0, 1.0).to(photos)
