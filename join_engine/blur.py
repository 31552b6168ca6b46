# SPDX-License-Identifier: GPL-3.0-or-later
"""The Gaussian blur of whole images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    """[B, C, H, W] → the same, smoothed by a Gaussian of that standard deviation in pixels; the border repeats."""
    channels = images.shape[1]
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(channels, 1, -1)
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel[:, :, :, None], groups=channels)
    return functional.conv2d(rows, kernel[:, :, None], groups=channels)
