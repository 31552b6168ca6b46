# SPDX-License-Identifier: GPL-3.0-or-later
"""Differentiable augmentation of what a discriminator sees (Karras et al. 2020, arXiv:2006.06676, appendix B).

Three groups, in this order: exact moves of pixels (mirror, quarter turns, whole-pixel translation), general geometry
(scale, rotation, stretch, fractional translation) and colour (brightness, contrast, inversion of luma, hue,
saturation). Each transformation is drawn with probability p for each image by itself, so that the generator learns
the plain distribution while p stays below about 0.8. Random draws are made on the CPU in float64: a seed means the
same augmentation on every device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

# Strengths of the paper: standard deviations, and the reach of translations as a share of the image's side.
_WHOLE_SHIFT = 0.125
_SCALE_STD = 0.2
_STRETCH_STD = 0.2
_FRACTION_STD = 0.125
_BRIGHTNESS_STD = 0.2
_CONTRAST_STD = 0.5
_SATURATION_STD = 1.0

# Low-pass of the wavelet "sym6" (Daubechies 1992), sum 1 for upsampling and downsampling by two: its square is a
# half-band filter, so that going up and down again changes nothing.
_SYM6 = (
    0.015404109327027373,
    0.0034907120842174702,
    -0.11799011114819057,
    -0.048311742585633,
    0.4910559419267466,
    0.787641141030194,
    0.3379294217276218,
    -0.07263752278646252,
    -0.021060292512300564,
    0.04472490177066578,
    0.0017677118642428036,
    -0.007800708325034148,
)
_COLORS = 3


@dataclass(frozen=True)
class Augmentation:
    """What will be done to each of B images; all on the CPU, float64.

    Attributes:
        moves: [B, 3, 3] homogeneous maps from output to source pixels, about the centre, which take pixels to pixels.
        warps: [B, 3, 3] likewise, in units of half the image's side, which need interpolation.
        colors: [B, C / 3, 4, 4] homogeneous maps of each triple of channels.
    """

    moves: Tensor
    warps: Tensor
    colors: Tensor

    def __getitem__(self, part: slice) -> Augmentation:
        """The augmentation of some of the images."""
        return Augmentation(self.moves[part], self.warps[part], self.colors[part])


def draw_augmentation(count: int, channels: int, resolution: int, p: float) -> Augmentation:
    """Draw for ``count`` images of ``channels`` (a multiple of 3) from torch's CPU generator. ``p``: probability of
    each transformation."""
    moves = _identity(count, 3)
    warps = _identity(count, 3)
    draw = _Draw(count, p)

    moves = _only(draw.chosen(), _scaling(draw.sign(), draw.ones())) @ moves
    moves = _only(draw.chosen(), _rotation(draw.integer(4) * (math.pi / 2)).round()) @ moves
    reach = int(resolution * _WHOLE_SHIFT)
    moves = (
        _only(draw.chosen(), _shift(draw.integer(2 * reach + 1) - reach, draw.integer(2 * reach + 1) - reach)) @ moves
    )

    # From output to source: what is done to the image later is undone first, and so stands farther right.
    factor = torch.exp2(draw.normal() * _SCALE_STD)
    warps = warps @ _only(draw.chosen(), _scaling(factor, factor))
    # One of the two rotations, before and after the stretch, with the probability p in all.
    half = _Draw(count, 1.0 - math.sqrt(1.0 - min(p, 1.0)))
    warps = warps @ _only(half.chosen(), _rotation(half.angle()))
    factor = torch.exp2(draw.normal() * _STRETCH_STD)
    warps = warps @ _only(draw.chosen(), _scaling(factor, 1.0 / factor))
    warps = warps @ _only(half.chosen(), _rotation(half.angle()))
    # Of the image as it is shown by now, in units of half its side.
    warps = warps @ _only(draw.chosen(), _shift(draw.normal() * 2 * _FRACTION_STD, draw.normal() * 2 * _FRACTION_STD))

    groups = [_draw_colors(draw) for _ in range(channels // _COLORS)]
    return Augmentation(moves, warps, torch.stack(groups, dim=1))


def augment(images: Tensor, augmentation: Augmentation) -> Tensor:
    """Apply: [B, C, H, W] → the same shape. Differentiable twice; what is left alone costs nothing.

    Raises:
        ValueError: the augmentation is for another number of images or of channels.
    """
    if images.shape[:1] != augmentation.moves.shape[:1] or images.shape[1] != augmentation.colors.shape[1] * _COLORS:
        raise ValueError(f"an augmentation for {len(augmentation.moves)} images does not fit {list(images.shape)}")
    images = _on_changed(images, augmentation.moves, _move)
    images = _on_changed(images, augmentation.warps, _warp)
    return _on_changed(images, augmentation.colors, _recolor)


# Drawing


class _Draw:
    """Draws [count] values at a time; every draw happens whatever p is, so that p does not shift the others."""

    def __init__(self, count: int, p: float) -> None:
        self.count = count
        self.p = p

    def ones(self) -> Tensor:
        return torch.ones(self.count, dtype=torch.float64)

    def chosen(self) -> Tensor:
        return torch.rand(self.count, dtype=torch.float64) < self.p

    def normal(self) -> Tensor:
        return torch.randn(self.count, dtype=torch.float64)

    def integer(self, below: int) -> Tensor:
        return torch.randint(below, (self.count,)).double()

    def sign(self) -> Tensor:
        return self.integer(2) * 2 - 1

    def angle(self) -> Tensor:
        return (torch.rand(self.count, dtype=torch.float64) * 2 - 1) * math.pi


def _draw_colors(draw: _Draw) -> Tensor:
    """[B, 4, 4]."""
    axis = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64) / math.sqrt(3.0)
    luma = torch.outer(axis, axis)  # projects on grey
    unit = torch.eye(4, dtype=torch.float64)

    brightness = _identity(draw.count, 4)
    brightness[:, :3, 3] = (draw.normal() * _BRIGHTNESS_STD)[:, None]
    colors = _only(draw.chosen(), brightness)
    contrast = _identity(draw.count, 4)
    contrast[:, :3, :3] *= torch.exp2(draw.normal() * _CONTRAST_STD)[:, None, None]
    colors = _only(draw.chosen(), contrast) @ colors
    inverted = draw.integer(2)[:, None, None]
    colors = _only(draw.chosen(), unit - 2 * luma * inverted) @ colors
    colors = _only(draw.chosen(), _hue(draw.angle())) @ colors
    saturation = torch.exp2(draw.normal() * _SATURATION_STD)[:, None, None]
    return _only(draw.chosen(), luma + (unit - luma) * saturation) @ colors


def _identity(count: int, size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64).repeat(count, 1, 1)


def _only(chosen: Tensor, matrices: Tensor) -> Tensor:
    """The matrices of the chosen, the identity for the others; the homogeneous row stays as it must be."""
    unit = torch.eye(matrices.shape[-1], dtype=torch.float64).expand_as(matrices)
    mixed = torch.where(chosen[:, None, None], matrices, unit)
    mixed[:, -1] = unit[:, -1]
    return mixed


def _scaling(x: Tensor, y: Tensor) -> Tensor:
    matrices = _identity(len(x), 3)
    matrices[:, 0, 0], matrices[:, 1, 1] = x, y
    return matrices


def _shift(x: Tensor, y: Tensor) -> Tensor:
    matrices = _identity(len(x), 3)
    matrices[:, 0, 2], matrices[:, 1, 2] = x, y
    return matrices


def _rotation(angles: Tensor) -> Tensor:
    matrices = _identity(len(angles), 3)
    matrices[:, 0, 0] = matrices[:, 1, 1] = angles.cos()
    matrices[:, 1, 0] = angles.sin()
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    return matrices


def _hue(angles: Tensor) -> Tensor:
    """Rotation about the grey axis (Rodrigues' formula)."""
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    cross = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64) / math.sqrt(3.0)
    matrices = _identity(len(angles), 4)
    matrices[:, :3, :3] = cos * torch.eye(3, dtype=torch.float64) + sin * cross + (1 - cos) / 3.0
    return matrices


# Applying


def _on_changed(images: Tensor, matrices: Tensor, change: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Change only the images whose matrix is not the identity."""
    unit = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    chosen = (matrices != unit).flatten(1).any(dim=1).nonzero()[:, 0]  # on the CPU: nothing waits for a GPU
    if not len(chosen):
        return images
    where = chosen.to(images.device)
    return images.index_copy(0, where, change(images.index_select(0, where), matrices[chosen]))


def _move(images: Tensor, moves: Tensor) -> Tensor:
    """Take every pixel from another one; beyond the border the image is mirrored."""
    count, channels, height, width = images.shape
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    center_y, center_x = (height - 1) / 2, (width - 1) / 2
    places = torch.stack([columns - center_x, rows - center_y, torch.ones(height, width)]).double().flatten(1)
    sources = moves @ places  # [B, 3, H · W]
    x = _mirror((sources[:, 0] + center_x).round().long(), width)
    y = _mirror((sources[:, 1] + center_y).round().long(), height)
    indices = (y * width + x).to(images.device)[:, None].expand(-1, channels, -1)
    return images.flatten(2).gather(2, indices).view(count, channels, height, width)


def _mirror(index: Tensor, size: int) -> Tensor:
    """Reflect about the border's pixel edges."""
    index = index.remainder(2 * size)
    return torch.minimum(index, 2 * size - 1 - index)


def _warp(images: Tensor, warps: Tensor) -> Tensor:
    """Resample at twice the resolution, between the wavelet's low-pass up and down, so that little is blurred."""
    count, _, height, width = images.shape
    large = _doubling(height).to(images) @ images @ _doubling(width).to(images).t()
    half = len(_SYM6) // 2
    rows = torch.arange(1 - half, 2 * height + half - 1, dtype=torch.float64)
    columns = torch.arange(1 - half, 2 * width + half - 1, dtype=torch.float64)
    # From places in the array to units of half the side, with pixel i of the image at (2i + 1) / side − 1.
    y = (rows - _CENTER + 1.0) / height - 1.0
    x = (columns - _CENTER + 1.0) / width - 1.0
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    places = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)]).flatten(1)
    sources = (warps @ places)[:, :2].transpose(1, 2)  # [B, h · w, 2]
    # And back: torch puts place m of the array at (2m + 1) / (2 · side) − 1.
    sources = sources + (_CENTER - 0.5) / torch.tensor([width, height], dtype=torch.float64)
    warped = sample_bilinear(large, sources.reshape(count, len(rows), len(columns), 2).to(images))
    return _halving(height).to(images) @ warped @ _halving(width).to(images).t()


# Pixel i of an image lies at 2i + _CENTER in the doubled one: the wavelet is not symmetric.
_CENTER = sum(index * tap for index, tap in enumerate(_SYM6)) / sum(_SYM6) - (len(_SYM6) // 2 - 1)


@lru_cache(maxsize=8)
def _doubling(size: int) -> Tensor:
    """[2 · size, size] float64: zeros between the pixels, then the low-pass; beyond the border goes the last pixel.

    As a matrix, because convolutions of one channel are slow on CPUs.
    """
    half = len(_SYM6) // 2
    matrix = torch.zeros(2 * size, size, dtype=torch.float64)
    for place in range(2 * size):
        for tap, weight in enumerate(_SYM6):
            offset = place + half - 1 - tap  # twice the number of the pixel, if it is one
            if offset % 2 == 0:
                matrix[place, min(max(offset // 2, 0), size - 1)] += weight * 2.0 / sum(_SYM6)
    return matrix


@lru_cache(maxsize=8)
def _halving(size: int) -> Tensor:
    """[size, 2 · size + 10] float64: the transpose of the filter of :func:`_doubling`, on every second place."""
    matrix = torch.zeros(size, 2 * size + len(_SYM6) - 2, dtype=torch.float64)
    for pixel in range(size):
        for tap, weight in enumerate(_SYM6):
            matrix[pixel, 2 * pixel + tap] = weight / sum(_SYM6)
    return matrix


def _recolor(images: Tensor, colors: Tensor) -> Tensor:
    count, channels, height, width = images.shape
    matrices = colors.to(images).flatten(0, 1)  # [B · C / 3, 4, 4]
    triples = images.reshape(count * channels // _COLORS, _COLORS, height * width)
    changed = torch.baddbmm(matrices[:, :3, 3:], matrices[:, :3, :3], triples)
    return changed.view(count, channels, height, width)


def sample_bilinear(images: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples, mirrored beyond the border: [B, C, H, W] and [B, h, w, 2] in [-1, 1] → [B, C, h, w].

    As torch's ``grid_sample``, but differentiable any number of times in ``images``; ``grid`` gets no gradient.
    """
    samples: Tensor = _Sample.apply(images, grid)
    return samples


_GRID_OPTIONS = (0, 2, False)  # bilinear, reflection about the pixels' edges


class _Sample(torch.autograd.Function):
    """Sampling is linear in the image: its backward pass is its transpose, and the transpose's is itself."""

    @staticmethod
    def forward(context: Any, images: Tensor, grid: Tensor) -> Tensor:
        context.save_for_backward(grid)
        context.shape = images.shape
        return torch.ops.aten.grid_sampler_2d(images.contiguous(), grid, *_GRID_OPTIONS)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (grid,) = context.saved_tensors
        return _SampleTransposed.apply(gradients[0], grid, context.shape), None


class _SampleTransposed(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, gradient: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        context.save_for_backward(grid)
        images = gradient.new_zeros(shape)  # only its shape matters
        result = torch.ops.aten.grid_sampler_2d_backward(
            gradient.contiguous(), images, grid, *_GRID_OPTIONS, [True, False]
        )
        return result[0]

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = context.saved_tensors
        return _Sample.apply(gradients[0], grid), None, None
