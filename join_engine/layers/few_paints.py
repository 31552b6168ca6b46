# SPDX-License-Identifier: GPL-3.0-or-later
"""Things have few paints: what of an albedo is better told as light.

A network that decides place by place what is paint and what light leaves a part of either in the other. But what is
painted has few colours, each of which comes again (the global sparsity of reflectance of Gehler et al., *Recovering
Intrinsic Images with a Global Sparsity Prior on Reflectance*, 2011), and light seldom makes many paints look like one.
So each place's albedo moves to where the albedos of its colour are densest, by a step of mean shift (Fukunaga and
Hostetler, 1975), and what that takes from it is light. It is a simple answer beside the network's, mixed with it as
colour Retinex's is (:mod:`join_engine.layers.caution`): the less sure the network, the more it says.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..networks.split import halved, resized
from .caution import caution

# How far the logarithm of an albedo of few paints is taken to be off, on validation renders (``caution-choice``).
FEW_PAINTS_ERROR = 0.3
# Distance of the logarithms of two paints' colours, and of their brightness in parts of the expected error.
_COLOUR, _BRIGHTNESS = 0.15, 2.0
# Cells of the shorter side, at most twice as many: of the paints, usually and finely, and of slow changes of light.
_FINE, _FINEST, _SLOW = 64, 256, 16
_MOST, _MOST_FINELY = 32768, 1 << 18  # cells
_APART, _COMPARED = 3, 512  # of as many cells a side one is compared with; finely, about as many in all
_AT_A_TIME = 4096


def light_in_paint(
    paint: Tensor,
    readable: Tensor,
    expected: float,
    few_paints_error: float = FEW_PAINTS_ERROR,
    finely: bool = False,
) -> Tensor:
    """What to add to the logarithm of the shading, and take from that of the albedo, [1, 1, h, w].

    Args:
        paint: logarithm of the albedo, [1, 3, h, w].
        readable: how far it can be read, [1, 1, h, w] in [0, 1].
        expected: mean error that the network expects of it.
        few_paints_error: see :data:`FEW_PAINTS_ERROR`; infinity for no change.
        finely: look at more cells, as is worth it where something is cut out: toys, pots and statues, whose grain is
            relief more often than that of grounds and cloths.

    What changes slowly over the picture counts with the whole share, what is finer with its square: that is grain more
    often than light.
    """
    share = caution(expected, few_paints_error)
    if not share:
        return torch.zeros_like(readable)
    values, known = paint * readable, readable
    fine, most = (_FINEST, _MOST_FINELY) if finely else (_FINE, _MOST)
    while min(values.shape[2:]) >= 2 * fine or known.numel() > most:
        values, known = halved(values), halved(known)
    apart = max(1, round(math.sqrt(known.numel() / _COMPARED))) if finely else _APART
    mean = values / known.clamp_min(1e-6)
    grey = mean.mean(dim=1, keepdim=True)
    change = (grey - _densest(mean - grey, grey, known, expected, apart)) * known
    slow = change
    while min(slow.shape[2:]) >= 2 * _SLOW:
        slow = halved(slow)
    slow = resized(slow, change)
    return resized(share * (slow + share * (change - slow)), paint)


def _densest(colour: Tensor, grey: Tensor, known: Tensor, expected: float, apart: int) -> Tensor:
    """Of each cell the mean brightness of all that may be of its paint, [1, 1, h, w].

    Args:
        colour, grey: logarithm of the albedo less its mean, and that mean; [1, 3, h, w] and [1, 1, h, w].
        known: weights, [1, 1, h, w].
        expected: see :func:`light_in_paint`.
        apart: of as many cells a side one is compared with.
    """
    cells = torch.cat([colour / _COLOUR, grey / (_BRIGHTNESS * expected), grey, known], dim=1)
    others = cells[0, :, ::apart, ::apart].flatten(1).T
    said = []
    for part in cells[0].flatten(1).T.split(_AT_A_TIME):
        alike = (-0.5 * torch.cdist(part[:, :4], others[:, :4]).square()).exp() * others[:, 5]
        brightness, weight = part[:, 4], part[:, 5]
        said.append((alike @ others[:, 4] + weight * brightness) / (alike.sum(dim=1) + weight).clamp_min(1e-6))
    return torch.cat(said).reshape(grey.shape)
