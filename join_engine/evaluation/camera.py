# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders as a camera shows them, at their own size or at a bank's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..bank import Bank
from ..color import LUMINANCE_WEIGHTS
from ..images.frame import Frame
from ..renders.compose import photograph
from ..renders.samples import Sample

METERED = 0.18
"""Mean luminance of what a camera meters."""
_LEAST_LIGHT = 1e-4

Layers = dict[str, np.ndarray]


def metered(
    bank: Bank, components: Mapping[str, np.ndarray], luminance: float | None = METERED
) -> tuple[np.ndarray, float]:
    """A render as a metering camera shows it, linear [H, W, 4] in [0, 1], transparent where it shows nothing; and the
    factor that the camera takes the render's light times. ``components``: of the bank's forward model, linear [H, W,
    3]. ``luminance``: mean of the photo that the camera aims at; None leaves the exposure as it is."""
    image = np.asarray(bank.forward_model.compose(components))
    visible = sum(components[name].sum(axis=2) for name in bank.forward_model.components) > 0.0
    light = np.minimum(image @ np.array(LUMINANCE_WEIGHTS, np.float32), 2.0)
    mean = float(light[visible].mean()) if visible.any() else 0.0
    exposure = 1.0 if luminance is None else luminance / max(mean, _LEAST_LIGHT)
    shown = (image * exposure).clip(0.0, 1.0)
    return np.concatenate([shown, visible[..., None]], axis=2).astype(np.float32), exposure


def photographed(
    bank: Bank, components: Mapping[str, np.ndarray], luminance: float | None = METERED
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """As :func:`metered`, and the components at the camera's exposure, linear [H, W, 3]."""
    photo, exposure = metered(bank, components, luminance)
    return photo, {name: part if name == "albedo" else part * exposure for name, part in components.items()}


def at_resolution(sample: Mapping[str, np.ndarray], resolution: int) -> Layers:
    """Linear components [H, W, 3] → [R, R, 3]."""
    resized = {}
    for name, pixels in sample.items():
        square = Frame(pixels.shape[0], pixels.shape[1], resolution).fit(np.asarray(pixels, np.float32))
        resized[name] = square[0].permute(1, 2, 0).numpy()
    return resized


def squares(bank: Bank, samples: Sequence[Sample]) -> Tensor:
    """Photographs of renders at the bank's resolution and on its device, sRGB-encoded [B, 3, R, R]."""
    truths = (at_resolution(sample.components, bank.header.resolution) for sample in samples)
    linear = np.stack([np.asarray(bank.forward_model.compose(truth)) for truth in truths])
    device = next(iter(bank.components.values())).w_avg.device
    return photograph(torch.from_numpy(linear.transpose(0, 3, 1, 2).copy())).to(device)
