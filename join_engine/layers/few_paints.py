# SPDX-License-Identifier: GPL-3.0-or-later
"""Things have few paints: what of an albedo is better told as light.

A network that decides place by place what is paint and what light leaves a part of either in the other. But what is
painted has few colours, each of which comes again (the global sparsity of reflectance of Gehler et al., *Recovering
Intrinsic Images with a Global Sparsity Prior on Reflectance*, 2011), and light seldom makes many paints look like one.
So each place's albedo moves to where the albedos of its colour are densest, by steps of mean shift (Fukunaga and
Hostetler, 1975), and what that takes from it is light. It is a simple answer beside the network's, mixed with it as
colour Retinex's is (:mod:`join_engine.layers.caution`): the less sure the network, the more it says.
"""

from __future__ import annotations

import math
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.split import in_cells, resized
from .caution import caution, slow_part

# How far the logarithm of an albedo of few paints is taken to be off, on validation renders (``caution-choice``).
FEW_PAINTS_ERROR = 0.3
# Distance of the logarithms of two paints' colours, and of their brightness in parts of the expected error.
_COLOUR, _BRIGHTNESS = 0.15, 1.0
_STEPS = 5  # of mean shift
# Of something cut out what changes slowly is off by so much of it.
_SLOW_ERROR_CUT_OUT = 0.5
# Points of the grid of densities in such a distance; two axes in the plane of all colours of one brightness.
_PER_WIDTH, _LEAST_WIDTH = 2, 0.05
_PLANE = ((math.sqrt(0.5), -math.sqrt(0.5), 0.0), (math.sqrt(1 / 6), math.sqrt(1 / 6), -math.sqrt(2 / 3)))
# Cells of the shorter side, at most twice as many: of the paints, and of slow changes of light.
_FINE, _SLOW = 256, 16
_MOST = 1 << 20  # cells


def light_in_paint(
    paint: Tensor,
    readable: Tensor,
    expected: float,
    few_paints_error: float = FEW_PAINTS_ERROR,
    cut_out: bool = False,
) -> Tensor:
    """What to add to the logarithm of the shading, and take from that of the albedo, [1, 1, h, w].

    Args:
        paint: logarithm of the albedo, [1, 3, h, w].
        readable: how far it can be read, [1, 1, h, w] in [0, 1].
        expected: mean error that the network expects of it.
        few_paints_error: see :data:`FEW_PAINTS_ERROR`; infinity for no change.
        cut_out: whether it shows something cut out: toys, pots and statues, whose grain is relief more often than that
            of grounds and cloths, and which are painted more often with a few flat colours.

    What changes slowly over the picture counts with the whole share, which is larger of what is cut out; what is finer
    with its square there, and not at all elsewhere: it is grain more often than light.
    """
    share = caution(expected, few_paints_error)
    if not share:
        return torch.zeros_like(readable)
    values, known = in_cells(_FINE, paint * readable, readable, most=_MOST)
    mean = values / known.clamp_min(1e-6)
    grey = mean.mean(dim=1, keepdim=True)
    change = (grey - _densest(mean - grey, grey, known, max(_BRIGHTNESS * expected, _LEAST_WIDTH))) * known
    slow = slow_part(change, _SLOW)
    if not cut_out:
        return resized(share * slow, paint)
    slowly = caution(expected, few_paints_error * _SLOW_ERROR_CUT_OUT)
    return resized(slowly * slow + share**2 * (change - slow), paint)


def _densest(colour: Tensor, grey: Tensor, known: Tensor, width: float) -> Tensor:
    """Of each cell the mean brightness of all that may be of its paint, [1, 1, h, w].

    Densities are told on a grid, into which all cells are counted, which is blurred and read again, as a bilateral
    filter's is (Chen, Paris and Durand, *Real-time Edge-Aware Image Processing with the Bilateral Grid*, 2007).

    Args:
        colour, grey: logarithm of the albedo less its mean, and that mean; [1, 3, h, w] and [1, 1, h, w].
        known: weights, [1, 1, h, w].
        width: distance of the logarithms of two paints' brightness.
    """
    if not known.any():
        return grey
    plane = torch.einsum("ij,bjhw->bihw", colour.new_tensor(_PLANE), colour) / _COLOUR
    at = _PER_WIDTH * torch.cat([grey / width, plane], dim=1)[0].flatten(1)  # [3, cells]
    seen, value, weight = at[:, known.flatten() > 0.0], grey.flatten(), known.flatten()
    low, high = seen.amin(dim=1, keepdim=True), seen.amax(dim=1, keepdim=True)
    at = torch.minimum(torch.maximum(at, low), high) - low
    size = [int(most) + 2 for most in (high - low).flatten().tolist()]
    counts = torch.stack([_counted(at, size, weight * value), _counted(at, size, weight)])[:, None]
    reach = math.ceil(3.0 * _PER_WIDTH)
    # Counting between the grid's points and reading between them blur it by a sixth of a square of it each.
    gaussian = (torch.arange(-reach, reach + 1).square() / (-2.0 * (_PER_WIDTH**2 - 1.0 / 3.0))).exp().to(grey)
    for axis in range(3):
        kernel, padding = [1, 1, 1, 1, 1], [0, 0, 0]
        kernel[2 + axis], padding[axis] = len(gaussian), reach
        counts = functional.conv3d(counts, gaussian.reshape(kernel), padding=padding)
    counts, last = counts.transpose(0, 1), at.new_tensor(size)[:, None] - 1.0
    for _ in range(_STEPS):
        places = (2.0 * at / last - 1.0).flip(0).T[None, None, None]
        total, count = functional.grid_sample(counts, places, align_corners=True)[0, :, 0, 0]
        value = total / count.clamp_min(1e-6)
        at = torch.cat([(_PER_WIDTH * value / width).clamp(low[0], high[0])[None] - low[0], at[1:]])
    return value.reshape(grey.shape)


def _counted(at: Tensor, size: list[int], weight: Tensor) -> Tensor:
    """How much there is at each point of a grid of ``size``, of ``weight`` [cells] at places [3, cells]."""
    floor = at.floor()
    beyond, floor, found = at - floor, floor.long(), at.new_zeros(math.prod(size))
    for corner in product((0, 1), repeat=3):
        share = math.prod(part if step else 1.0 - part for part, step in zip(beyond, corner, strict=True))
        first, second, third = (place + step for place, step in zip(floor, corner, strict=True))
        found.index_add_(0, (first * size[1] + second) * size[2] + third, share * weight)
    return found.reshape(size)
