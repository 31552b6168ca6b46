# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a split network is unsure of a picture, a simple method has a say in its light, and gloss is believed less.

The network tells what error it expects (:mod:`join_engine.networks.split`). Colour Retinex, which knows nothing of the
world, errs by about :data:`RETINEX_ERROR` on any picture, on faces by more. Two independent answers are best mixed by
the inverses of their variances. And gloss that the network only supposes ruins the albedo under it, while gloss that
is left there merely lightens it: the simple method's share of that is left there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.retinex import log_shading
from ..networks.split import in_cells, resized

# Mean absolute error of the logarithm of its shading, on validation renders of objects (``caution-choice``).
RETINEX_ERROR = 0.3
# On those of heads it errs by more (docs/choices.md).
FACES_RETINEX_ERROR = 0.45
Jumps = tuple[tuple[float, float], ...]
"""Of intensity and of chromaticity, natural logarithms, above which paint is thought to change; the simple method's
light is the mean of those by each pair."""
# What is best on these and on heads: jumps of paint are larger than those of light on things that are round.
JUMPS: Jumps = ((0.4, 0.1),)
# Of what is cut out: relief on toys and statues makes such jumps of light, and sprayed paint none; its colour tells it.
JUMPS_CUT_OUT: Jumps = ((0.4, 0.05), (math.inf, 0.03))
# Pixels of the longer side that it reads at most. At 128 folds and fur of larger pictures stay in the albedo.
_SIDE = 512
# Cells of the shorter side, at most twice as many: what changes over fewer it has added up over the whole picture, with
# all its errors.
_SLOWEST = 4


def caution(shading_error: float, retinex_error: float = RETINEX_ERROR) -> float:
    """The simple method's share in the light, in [0, 1), for the errors that are expected of the shading's logarithm,
    the network's and the simple method's."""
    return shading_error**2 / (shading_error**2 + retinex_error**2)


def unfamiliarity(albedo_error: Tensor, fit_error: Tensor) -> Tensor:
    """How unlike what a bank knows pictures are, [B]: the geometric mean of what its split network expects to miss of
    the albedo's logarithm, and of what its generators miss of the picture, that its encoders start them from.

    Neither alone tells enough (``confidence-scores``): the network is sure of ordinary photographs that show nothing
    it has seen, and generators may make a face of a material's colours.

    Args:
        albedo_error: mean of the error that is expected of the albedo's logarithm, [B].
        fit_error: see :func:`join_engine.layers.split.fit_error`, [B].
    """
    return (albedo_error * fit_error).sqrt()


def with_caution(
    image: Tensor,
    visible: Tensor,
    shading: Tensor,
    gloss: Tensor,
    error: Tensor,
    retinex_error: float = RETINEX_ERROR,
    jumps: Jumps = JUMPS,
) -> tuple[Tensor, Tensor]:
    """Shading and gloss of a picture, no surer than the network is of them.

    Args:
        image: linear [1, 3, h, w].
        visible: [1, 1, h, w], 0 where it is cut out.
        shading, gloss, error: [1, 1, h, w], [1, 1, h, w] and [1, 3, h, w] of
            :class:`join_engine.networks.split.Level`.
        retinex_error: see :func:`caution`.
        jumps: see :data:`Jumps`.

    Returns:
        Both, changed, [1, 1, h, w]: the shading by the simple method's share, in its lowest frequencies by the square
        of that; nothing of it that is finer than a picture of 512 pixels shows.
    """
    share = caution(float(seen_mean(error[:, 1:2].exp(), visible)), retinex_error)
    simple = torch.stack([log_shading(_coarse(image), *pair) for pair in jumps]).mean(dim=0)
    seen = (_coarse(visible) > 0.5).to(shading)
    difference = simple - _coarse(shading)
    difference = difference - seen_mean(difference, seen)
    slow = slow_part(difference * seen, _SLOWEST) / slow_part(seen, _SLOWEST).clamp_min(1e-3)
    change = resized(share * (difference - (1.0 - share) * slow), shading)
    return shading + (change - seen_mean(change, visible)), gloss * (1.0 - share)


def _coarse(planes: Tensor) -> Tensor:
    """[1, C, h, w], averaged down where a side has more than :data:`_SIDE` pixels."""
    factor = _SIDE / max(planes.shape[2:])
    if factor >= 1.0:
        return planes
    size = tuple(max(1, round(side * factor)) for side in planes.shape[2:])
    return functional.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)


def slow_part(planes: Tensor, cells: int) -> Tensor:
    """Of [1, C, h, w] what changes slowly: means of cells, ``cells`` of them on the shorter side, at most twice as
    many."""
    (means,) = in_cells(cells, planes)
    return resized(means, planes)


def seen_mean(values: Tensor, visible: Tensor) -> Tensor:
    """The mean [B, C, 1, 1] of values [B, C, h, w] over what can be seen; of a picture that shows nothing, over all."""
    seen = visible > 0.5
    where = (seen | ~seen.any(dim=(2, 3), keepdim=True)).to(values)
    return (values * where).sum(dim=(2, 3), keepdim=True) / where.sum(dim=(2, 3), keepdim=True)
