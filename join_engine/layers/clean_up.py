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
from .fill import filled, grain_at, places

Layers = dict[str, np.ndarray]

_DARK = 0.003  # added before logarithms: what is darker is noise
_RIM = 2  # pixels around what is covered that count as covered: an edge is never sharp
_LEAST = 0.05  # share of the picture that must be left


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
    found = places(features, known, 1.0 - known)
    made = {}
    for name, layer in layers.items():
        log = (planes_of(layer) + _DARK).log()
        grain = grain_at(log, known, *found)
        linear = picture_of((log + grain).exp() - _DARK).clip(0.0, None)
        made[name] = np.where(hidden[..., None], linear, layer).astype(np.float32)
    return made


def _known(hidden: np.ndarray, alpha: np.ndarray | None) -> Tensor:
    shown = ~hidden if alpha is None else ~hidden & (alpha > 0.5)
    return torch.from_numpy(shown.astype(np.float32))[None, None]
