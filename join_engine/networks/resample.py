# SPDX-License-Identifier: GPL-3.0-or-later
"""Resampling by two with StyleGAN2's [1, 3, 3, 1] low-pass filter (Karras et al. 2020, appendix B).

Each function keeps the mean: a constant image stays that constant in the interior, at either size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

_TAPS = (1.0, 3.0, 3.0, 1.0)


def filter_kernel(gain: float = 1.0) -> torch.Tensor:
    """[4, 4] separable filter whose sum is ``gain``."""
    taps = torch.tensor(_TAPS)
    kernel = torch.outer(taps, taps)
    return kernel * (gain / kernel.sum())


def blur(images: torch.Tensor, kernel: torch.Tensor, padding: tuple[int, int]) -> torch.Tensor:
    """Filter every channel by itself: [B, C, H, W] → [B, C, H + Σpadding − 3, …]. ``kernel``: [4, 4], symmetric, so
    that correlation and convolution are the same. ``padding``: zeros before and after, on both axes."""
    channels = images.shape[1]
    weight = kernel.to(images).expand(channels, 1, 4, 4)
    before, after = padding
    if before == after:
        return F.conv2d(images, weight, padding=before, groups=channels)
    return F.conv2d(F.pad(images, (before, after, before, after)), weight, groups=channels)


def upsample(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] → [B, C, 2H, 2W]; ``kernel`` has sum 1."""
    channels = images.shape[1]
    # A transposed convolution is the zero-insertion and the filter in one; 4 makes up for the inserted zeros.
    weight = (kernel * 4.0).to(images).expand(channels, 1, 4, 4)
    return F.conv_transpose2d(images, weight, stride=2, padding=1, groups=channels)


def downsample(images: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """[B, C, H, W] → [B, C, H/2, W/2]; ``kernel`` has sum 1."""
    # Filtering all and dropping every second is twice as fast on CPUs as a strided depthwise convolution, whose
    # backward pass in bfloat16 takes the slow path.
    return blur(images, kernel, padding=(2, 2))[:, :, 1::2, 1::2]
