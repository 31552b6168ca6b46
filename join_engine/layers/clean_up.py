# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies under a sticker, a seam or the photographer's shadow: layers without what a mask covers.

This is not in the paper. Nothing of what is covered is looked at:

- Before the decomposition the photo is filled smoothly from around. What generators and split network make of that is
  what they know of paint and light there, and layers that fit those around.
- Afterwards the layers get their grain from another place of the same picture, all from the same one, so that paint and
  the light on its relief stay together: the one whose surroundings look most like those of the mask. Structure that is
  coarser than grain comes along as far as it goes on there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..errors import JoinError
from ..images.frame import picture_of, planes_of
from ..networks.split import resized
from .split import filled

Layers = dict[str, np.ndarray]

_DARK = 0.003  # added before logarithms: what is darker is noise
_RIM = 2  # pixels around what is covered that count as covered: an edge is never sharp
_LEAST = 0.05  # share of the picture that must be left
_SEEN_AT_MOST = 512  # pixels of the longer side, for the search; the lengths that follow are in these pixels
_RING = 12  # around what is covered, in which another place must look alike
_GRAIN, _STRUCTURE = 1.5, 8.0  # standard deviations of blurs: grain is finer, what is smooth is coarser
_TRIES = 12  # other places at most
_ALIKE = 1e-4  # mean squared difference of logarithms below which two places look the same


def mask_of(pixels: np.ndarray) -> np.ndarray:
    """[H, W] in [0, 1] of a picture [H, W, 3 or 4] that somebody painted: how far it is not black, nor transparent."""
    painted = pixels[..., :3].max(axis=2).clip(0.0, 1.0)
    return painted * pixels[..., 3].clip(0.0, 1.0) if pixels.shape[2] == 4 else painted


def covered(mask: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Bool [H, W]: what a mask [H, W] in [0, 1] covers, with its rim. Raises JoinError ``mask_empty`` where it covers
    nothing, ``mask_full`` where nothing is left to fill from."""
    plane = torch.from_numpy((mask > 0.02).astype(np.float32))[None, None]
    if not plane.any():
        raise JoinError("mask_empty", "The mask covers nothing.", "Paint over what shall go.")
    size = 2 * _RIM + 1
    hidden: np.ndarray = functional.max_pool2d(plane, size, 1, _RIM)[0, 0].numpy() > 0.5
    shown = ~hidden if alpha is None else ~hidden & (alpha > 0.5)
    if shown.mean() < _LEAST:
        raise JoinError("mask_full", "The mask leaves hardly anything of the picture.", "Paint over less of it.")
    return hidden


def without(colour: np.ndarray, hidden: np.ndarray, alpha: np.ndarray | None = None) -> np.ndarray:
    """Linear [H, W, 3] with what is hidden filled smoothly from around; whatever was there changes nothing."""
    known = _known(hidden, alpha)
    logs = (planes_of(np.where(hidden[..., None], np.float32(0.0), colour)) + _DARK).log()
    smooth = filled(logs, known)
    # The pyramid is in steps at its coarse levels: blurring with what is known held smooths them.
    for _ in range(24):
        blurred = functional.avg_pool2d(functional.pad(smooth, (1, 1, 1, 1), mode="replicate"), 3, 1)
        smooth = torch.where(known > 0.5, logs, blurred)
    made = picture_of(smooth.exp() - _DARK).clip(0.0, None)
    return np.where(hidden[..., None], made, colour).astype(np.float32)


@torch.no_grad()
def with_grain(layers: Mapping[str, np.ndarray], hidden: np.ndarray, alpha: np.ndarray | None = None) -> Layers:
    """Layers of a photo that :func:`without` has filled, with the grain of another place; the rest stays to the bit.

    Args:
        layers: "albedo", "shading" and others, linear [H, W, 3] ≥ 0.
        hidden: bool [H, W], see :func:`covered`.
        alpha: [H, W]; nothing is taken from what is cut out.
    """
    known = _known(hidden, alpha)
    logs = [(planes_of(layers[name]) + _DARK).log() for name in ("albedo", "shading")]
    features = torch.cat([logs[0], logs[1].mean(dim=1, keepdim=True)], dim=1)
    rows, columns, goes_on = places(features, known)
    made = {}
    for name, layer in layers.items():
        log = (planes_of(layer) + _DARK).log()
        fine = log - _blurred(log, known, _GRAIN)
        coarse = log - fine - _blurred(log, known, _STRUCTURE)
        there = (fine * known)[:, :, rows, columns] + goes_on * (coarse * known)[:, :, rows, columns]
        linear = picture_of((log + there).exp() - _DARK).clip(0.0, None)
        made[name] = np.where(hidden[..., None], linear, layer).astype(np.float32)
    return made


def places(features: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each pixel that is not known another of the same picture that is.

    All of a region come from one shift, as far as it stays within what is known: the one whose ring around the region
    looks most like its own, but for what is smooth. The others from the next best, and so on; where there is none, a
    pixel is its own place.

    Args:
        features: [1, C, H, W], compared by their squared differences.
        known: [1, 1, H, W] of 0 and 1.

    Returns:
        Rows and columns, [H, W] each; and how far structure goes on there, [H, W] in [0, 1]: the correlation of the two
        rings, grain left out.
    """
    height, width = known.shape[2:]
    factor = _factor(known)
    small = (_shrunk(known, factor) > 0.999).to(known)
    smooth = _blurred(features, known, _STRUCTURE)
    detail = _shrunk(features - smooth, factor)
    coarse = _shrunk(_blurred(features, known, _GRAIN) - smooth, factor)
    rows, columns = (grid.clone() for grid in torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"))
    goes_on = torch.zeros_like(known[0, 0])
    left = known[0, 0] < 0.5
    for _ in range(_TRIES):
        if not left.any():
            break
        missing = _shrunk(left.to(known)[None, None], factor)[0, 0] > 0.0
        ring = functional.max_pool2d(missing.to(known)[None, None], 2 * _RING + 1, 1, _RING) * small
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
    at = here + torch.tensor([down, right])
    inside = (at >= 0).all(dim=1) & (at < torch.tensor(pixels.shape)).all(dim=1)
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


def _factor(known: Tensor) -> int:
    """By how much a picture is shrunk for the search."""
    return -(-max(known.shape[2:]) // _SEEN_AT_MOST)


def _blurred(values: Tensor, known: Tensor, deviation: float) -> Tensor:
    """[1, C, H, W] under a Gaussian over what is known."""
    factor = _factor(known)
    reach = int(3 * deviation)
    weights = (-0.5 * (torch.arange(-reach, reach + 1) / deviation).square()).exp()

    def blurred(planes: Tensor) -> Tensor:
        count = planes.shape[1]
        across, down = (weights.reshape(shape).repeat(count, 1, 1, 1) for shape in ((1, 1, 1, -1), (1, 1, -1, 1)))
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


def _known(hidden: np.ndarray, alpha: np.ndarray | None) -> Tensor:
    shown = ~hidden if alpha is None else ~hidden & (alpha > 0.5)
    return torch.from_numpy(shown.astype(np.float32))[None, None]
