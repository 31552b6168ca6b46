# SPDX-License-Identifier: GPL-3.0-or-later
"""A patch of one decomposition's paint laid into another's light.

Semantic diffusion (Zhu et al., ECCV 2020, supplement, section 6) lays a patch of pixels into other surroundings, light
and all. Of layers only the albedo is laid there, at its own resolution; shading and specular stay as they are, to the
bit. The albedo's codes then follow by the same search, so that what is edited along them afterwards knows of the patch;
but it compares pixels, everywhere and at a higher rate: the published one, of the patch alone, forgets what is around
(``paste-scores``).
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..bank import Bank
from ..errors import JoinError
from ..images.between import between
from ..images.frame import Frame, picture_of, shrunk
from ..images.room import refuse_too_large
from ..inversion.diffusion import component_codes
from ..inversion.progress import Monitor
from ..layers.decomposition import Decomposition
from ..memory import WHOLE_BYTES_PER_PIXEL
from .relighter import Relighter, frame_of, item_like

ALBEDO = "albedo"
STEPS, _RATE = 60, 0.05
_SMALLEST, _SOFTEST = 0.01, 256
_DARK = 0.003  # added before logarithms: what is darker is noise


def paste(
    mine: Decomposition,
    patch: np.ndarray,
    mask: np.ndarray,
    bank: Bank,
    scale: float = 1.0,
    feather: float = 4.0,
    steps: int = STEPS,
    monitor: Monitor | None = None,
) -> Decomposition:
    """Lay another material's albedo where a mask is.

    The middle of the patch comes to the middle of what the mask covers; where the patch ends it goes on mirrored.
    Raises JoinError ``mask_size``, ``mask_empty``, ``settings_invalid``, ``image_too_large``, ``bank_mismatch``,
    ``decomposition_broken``.

    Args:
        mine: that is pasted into.
        patch: the other's albedo, linear [h, w, 3] ≥ 0.
        mask: [H, W] in [0, 1], of the size of ``mine``.
        bank: that ``mine`` was made with.
        scale: how large the patch's pixels become, in pixels of ``mine``.
        feather: over how many pixels the edge is soft, all of them inside of the mask; 0 for a hard one.
        steps: of the search for the albedo's codes; none leaves them as they are.
        monitor: see :func:`join_engine.inversion.invert.invert`.

    Returns:
        Outside of the mask and in all layers but the albedo the same to the bit, with the albedo's codes in W+. Its
        settings tell under ``pasted`` the share of the picture that was covered; it has no metrics and no confidence,
        for what it makes was never photographed. Residual features of the albedo are gone.
    """
    start = time.perf_counter()
    _check(mine, mask, scale, feather)
    Relighter(mine, bank)  # whose codes fit the bank
    share = feathered(mask, feather)
    under, over = (np.log(np.maximum(one, 0.0) + _DARK) for one in (mine.layers[ALBEDO], laid(patch, mask, scale)))
    mixed = (np.exp(under + (over - under) * share[..., None]) - _DARK).clip(0.0, None).astype(np.float32)
    albedo = np.where(share[..., None] > 0.0, mixed, mine.layers[ALBEDO])
    layers = {**mine.layers, ALBEDO: albedo}
    codes = dict(mine.codes)
    if steps:
        codes[ALBEDO] = _codes(bank, mine, albedo, steps, monitor)
    pasted = {"share": float((share > 0.0).mean()), "scale": scale, "feather": feather, "steps": steps}
    return replace(
        mine,
        layers=layers,
        codes=codes,
        settings={**mine.settings, "pasted": pasted},
        metrics={},
        seconds={"paste": time.perf_counter() - start},
        features={name: found for name, found in mine.features.items() if name != ALBEDO},
        other={},
        confidence=None,
    )


def _check(mine: Decomposition, mask: np.ndarray, scale: float, feather: float) -> None:
    """Raises JoinError ``mask_size``, ``mask_empty``, ``settings_invalid`` or ``image_too_large``."""
    height, width = mine.size
    if mask.shape != (height, width):
        words = f"The mask is {mask.shape[1]} × {mask.shape[0]} and the layers {width} × {height}."
        raise JoinError("mask_size", words, "Paint a mask of their size.")
    if not (mask > 0.0).any():
        raise JoinError("mask_empty", "The mask covers nothing.", "Paint over what shall be covered.")
    if not (_SMALLEST <= scale <= 1.0 / _SMALLEST and 0.0 <= feather <= _SOFTEST):
        words = f"A patch needs a scale of {_SMALLEST} to {1 / _SMALLEST:g} and a feather of 0 to {_SOFTEST} pixels."
        raise JoinError("settings_invalid", words, "Choose others.")
    refuse_too_large("The picture", width, height, WHOLE_BYTES_PER_PIXEL)


def laid(patch: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """A patch [h, w, C], its middle at that of what a mask [H, W] covers, mirrored beyond its edges: [H, W, C]."""
    if scale < 1.0:  # averaged down first, as any picture
        longest = max(1, round(max(patch.shape[:2]) * scale))
        scale *= max(patch.shape[:2]) / longest
        patch = picture_of(shrunk(patch, longest))
    covered = mask > 0.0
    for axis in (0, 1):
        there = np.flatnonzero(covered.any(axis=1 - axis))
        middle = (there[0] + there[-1] + 1) / 2.0
        length = patch.shape[axis]
        place = (np.arange(mask.shape[axis]) + 0.5 - middle) / scale + length / 2.0
        # Positions of any size turn back at either end.
        patch = between(patch, length - np.abs(place % (2 * length) - length) - 0.5, axis)
    return patch


def feathered(mask: np.ndarray, pixels: float) -> np.ndarray:
    """A mask [H, W] in [0, 1] whose edge rises over so many pixels inside of it; 0 stays 0 everywhere.

    The picture's own edge is none.
    """
    if pixels <= 0.0:
        return mask.astype(np.float32)
    depth = _depth(mask > 0.0, pixels)
    rise = (depth / pixels).clip(0.0, 1.0)
    return (mask * rise * rise * (3.0 - 2.0 * rise)).astype(np.float32)


def _depth(inside: np.ndarray, most: float) -> np.ndarray:
    """How far each pixel of a bool [H, W] is from the nearest that is outside, up to ``most``; 0 outside."""
    reach = int(np.ceil(most))
    far = np.float32((reach + 1) ** 2)
    squares = np.where(inside, far, np.float32(0.0))
    for axis in (0, 1):  # the squared distance is the smallest sum of squares over rows, then over columns
        lines = np.moveaxis(squares, axis, 0)
        best = lines.copy()
        for step in range(1, min(reach, len(lines) - 1) + 1):
            best[step:] = np.minimum(best[step:], lines[:-step] + step**2)
            best[:-step] = np.minimum(best[:-step], lines[step:] + step**2)
        squares = np.moveaxis(best, 0, axis)
    return np.where(inside, np.sqrt(squares), 0.0)


def _codes(
    bank: Bank, mine: Decomposition, albedo: np.ndarray, steps: int, monitor: Monitor | None = None
) -> np.ndarray:
    """Of the albedo with the patch, [num_ws, w_dim]."""
    target = fitted(bank, albedo, frame_of(mine, bank))
    start = item_like(mine.codes[ALBEDO], target)
    everywhere = torch.ones_like(target[:, :1])
    found = component_codes(bank, ALBEDO, start, target, everywhere, steps, _RATE, "pixels", monitor)
    return found[0].cpu().numpy().astype(np.float32)


def fitted(bank: Bank, albedo: np.ndarray, frame: Frame) -> Tensor:
    """An albedo, linear [H, W, 3], as its generator would have to make it, [1, 3, R, R]."""
    part = bank.components[ALBEDO]
    return part.transform.to_generator(frame.fit(albedo)).to(part.w_avg)
