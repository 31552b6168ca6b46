# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture does not tell: filled smoothly from around, and with grain from another place of the same picture,
under what a mask covers (:mod:`join_engine.layers.clean_up`) and in the albedo under highlights that the camera clips.

This is not in the paper. A smooth spot in wood or stone is what one sees first of an albedo, however right its colour.
So a place is looked for whose surroundings look most like those of the spot, and its grain is added. It is made up, and
pixel by pixel no nearer to the truth than none.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.split import halved, resized

_SEEN_AT_MOST = 512  # pixels of the longer side, for the search; the lengths that follow are in these pixels
_RING = 12  # around what is wanted, in which another place must look alike
_GRAIN, _STRUCTURE = 1.5, 8.0  # standard deviations of blurs: grain is finer, what is smooth is coarser
_TRIES = 12  # other places at most
_ALIKE = 1e-4  # mean squared difference of logarithms below which two places look the same
# Readability below which a highlight leaves no grain, and from which on there is all of it.
_LOST, _READ = 0.5, 0.95
_LARGE = 0.008  # share of the shorter side: who has less about it is missed by nobody
_QUICK = 256, 3  # pixels and places that are enough for highlights
_NEARBY = 3  # halvings
_FLAT = 1e-4  # logarithms: less grain than that is none
_LEAST = 0.05  # share of the picture that must tell its grain


def filled(values: Tensor, known: Tensor) -> Tensor:
    """What is known, and in between the mean of what is known around it: pixels, then ever larger cells.

    Args:
        values: [1, C, h, w].
        known: [1, 1, h, w] weights in [0, 1].
    """
    sums, weights = [values * known], [known]
    while max(sums[-1].shape[2:]) > 1:
        sums.append(halved(sums[-1]))
        weights.append(halved(weights[-1]))
    found = sums[-1] / weights[-1].clamp_min(1e-8)
    for total, weight in zip(sums[-2::-1], weights[-2::-1], strict=True):
        sure = (4.0 * weight).clamp(0.0, 1.0)
        found = sure * total / weight.clamp_min(1e-8) + (1.0 - sure) * resized(found, total)
    return found


def grain_under_highlights(albedo: Tensor, readable: Tensor, visible: Tensor) -> Tensor:
    """What to add to the logarithm of an albedo, [1, 3, h, w]: grain where large highlights leave none.

    Args:
        albedo: its logarithm, [1, 3, h, w], smooth where nothing could be read.
        readable: how far the pixels could be read, [1, 1, h, w] in [0, 1].
        visible: 0 where the picture is cut out.
    """
    shown = (visible > 0.5).to(albedo)
    lost, known = shown * (readable < _LOST), shown * (readable > _READ)
    radius = max(1, round(_LARGE * min(albedo.shape[2:])))
    large = 1.0 - _widest(1.0 - lost, radius)
    if not large.any() or known.mean() < _LEAST:
        return torch.zeros_like(albedo)
    wanted = _widest(large, 2 * radius) * shown * (1.0 - known)
    grain = grain_at(albedo, known, *places(albedo.mean(dim=1, keepdim=True), known, wanted, *_QUICK))
    # What is left there of the picture's own grain counts, and none is to have more than what lies around.
    own = shown * (albedo - _blurred(albedo, shown, _GRAIN)).mean(dim=1, keepdim=True).abs()
    usual, left, made = filled(own, known), _nearby(own), _nearby(grain.mean(dim=1, keepdim=True).abs())
    return wanted * grain * ((usual - left) / made.clamp_min(_FLAT)).clamp(0.0, 1.0)


def _nearby(values: Tensor) -> Tensor:
    """Means of what is around, [1, C, h, w]."""
    means = values
    for _ in range(_NEARBY):
        means = halved(means)
    return resized(means, values)


def _widest(values: Tensor, radius: int) -> Tensor:
    """The largest of [B, C, H, W] in squares."""
    size = 2 * radius + 1
    across = functional.max_pool2d(values, (1, size), 1, (0, radius))
    return functional.max_pool2d(across, (size, 1), 1, (radius, 0))


def grain_at(log: Tensor, known: Tensor, rows: Tensor, columns: Tensor, goes_on: Tensor) -> Tensor:
    """Grain of other places of logarithms [1, C, H, W], with structure as far as it goes on there: [1, C, H, W]; see
    :func:`places`."""
    fine = log - _blurred(log, known, _GRAIN)
    coarse = log - fine - _blurred(log, known, _STRUCTURE)
    return (fine * known)[:, :, rows, columns] + goes_on * (coarse * known)[:, :, rows, columns]


def places(
    features: Tensor, known: Tensor, wanted: Tensor, seen_at: int = _SEEN_AT_MOST, tries: int = _TRIES
) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel that is wanted another of the same picture that is known.

    All of a region come from one shift, as far as it stays within what is known: the one whose ring around the region
    looks most like its own, but for what is smooth. The others from the next best, and so on; where there is none, a
    pixel is its own place.

    Args:
        features: [1, C, H, W], compared by their squared differences.
        known, wanted: [1, 1, H, W] of 0 and 1.
        seen_at: pixels of the longer side, at most, at which rings are compared.
        tries: how many shifts are tried.

    Returns:
        Rows and columns, [H, W] each; and how far structure goes on there, [H, W] in [0, 1]: the correlation of the two
        rings, grain left out.
    """
    height, width = known.shape[2:]
    factor = _factor(known, seen_at)
    small = (_shrunk(known, factor) > 0.999).to(known)
    smooth = _blurred(features, known, _STRUCTURE)
    detail = _shrunk(features - smooth, factor)
    coarse = _shrunk(_blurred(features, known, _GRAIN) - smooth, factor)
    axes = (torch.arange(side, device=known.device) for side in (height, width))
    rows, columns = (grid.clone() for grid in torch.meshgrid(*axes, indexing="ij"))
    goes_on = torch.zeros_like(known[0, 0])
    left = wanted[0, 0] > 0.5
    for _ in range(tries):
        if not left.any():
            break
        missing = _shrunk(left.to(known)[None, None], factor)[0, 0] > 0.0
        ring = _widest(missing.to(known)[None, None], _RING) * small
        cost, share = _costs(detail, small, missing, ring)
        worth = (cost + _ALIKE) / share.clamp_min(1e-3)  # a place that looks alike and fills little is worth less
        worth[share < 0.05] = torch.inf
        best = int(worth.argmin())
        if not torch.isfinite(worth.flatten()[best]):
            break
        # The far half of the shifts are negative ones.
        down, right = (
            (one + side) % (2 * side) - side
            for one, side in zip(divmod(best, worth.shape[1]), small.shape[2:], strict=True)
        )
        there, at = _moved(left, known, factor * down, factor * right)
        rows[there[:, 0], there[:, 1]], columns[there[:, 0], there[:, 1]] = at[:, 0], at[:, 1]
        goes_on[there[:, 0], there[:, 1]] = _correlation(coarse, *_moved(ring[0, 0] > 0.5, small, down, right))
        left[there[:, 0], there[:, 1]] = False
    return rows, columns, goes_on


def _moved(pixels: Tensor, known: Tensor, down: int, right: int) -> tuple[Tensor, Tensor]:
    """Those of some pixels (bool [H, W]) that a shift brings to known ones, and where to: [n, 2] each."""
    here = pixels.nonzero()
    at = here + torch.tensor([down, right], device=here.device)
    inside = (at >= 0).all(dim=1) & (at < torch.tensor(pixels.shape, device=here.device)).all(dim=1)
    here, at = here[inside], at[inside]
    good = known[0, 0, at[:, 0], at[:, 1]] > 0.5
    return here[good], at[good]


def _correlation(features: Tensor, here: Tensor, there: Tensor) -> float:
    """Of features [1, C, H, W] of zero mean at two lists of places, in [0, 1]."""
    one, other = (features[0, :, at[:, 0], at[:, 1]] for at in (here, there))
    energy = float((one.square().sum() * other.square().sum()).sqrt())
    return max(0.0, float((one * other).sum()) / max(energy, 1e-9))


def _costs(features: Tensor, known: Tensor, missing: Tensor, ring: Tensor) -> tuple[Tensor, Tensor]:
    """By shift (of twice the size, negative ones behind): the mean squared difference of the ring, and the share of
    what is missing that it brings to something known."""
    size = tuple(2 * side for side in known.shape[2:])
    valid = torch.fft.rfft2(known[0, 0], size)

    def correlated(here: Tensor, there: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(here, size).conj() * there, size)

    count = correlated(ring[0, 0], valid).clamp_min(1e-3)
    total = torch.zeros_like(count)
    for plane in features[0] * known[0]:
        total += correlated(ring[0, 0] * plane.square(), valid)
        total += correlated(ring[0, 0], torch.fft.rfft2(plane.square(), size))
        total -= 2.0 * correlated(ring[0, 0] * plane, torch.fft.rfft2(plane, size))
    cost = torch.where(count > 0.5 * ring.sum(), (total / count).clamp_min(0.0), torch.inf)
    return cost, correlated(missing.to(known), valid) / missing.sum()


def _factor(known: Tensor, seen_at: int = _SEEN_AT_MOST) -> int:
    """By how much a picture is shrunk to be looked at."""
    return -(-max(known.shape[2:]) // seen_at)


def _blurred(values: Tensor, known: Tensor, deviation: float) -> Tensor:
    """[1, C, H, W] under a Gaussian over what is known."""
    factor = _factor(known)
    reach = int(3 * deviation)
    weights = (-0.5 * (torch.arange(-reach, reach + 1).to(values) / deviation).square()).exp()

    def blurred(planes: Tensor) -> Tensor:
        count = planes.shape[1]
        across, down = (weights.reshape(shape).repeat(count, 1, 1, 1) for shape in ((1, 1, 1, -1), (1, 1, -1, 1)))
        planes = planes.to(memory_format=torch.channels_last)  # a quarter of the time
        planes = functional.conv2d(planes, across, padding=(0, reach), groups=count)
        return functional.conv2d(planes, down, padding=(reach, 0), groups=count)

    small = _shrunk(known, factor)
    low = blurred(_shrunk(values * known, factor)) / blurred(small).clamp_min(1e-6)
    return low if factor == 1 else resized(low, values)


def _shrunk(planes: Tensor, factor: int) -> Tensor:
    """[1, C, H, W], every so many pixels averaged, those at the edges over what there is."""
    if factor == 1:
        return planes
    return functional.avg_pool2d(planes, factor, ceil_mode=True, count_include_pad=False)
