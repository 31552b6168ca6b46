# SPDX-License-Identifier: GPL-3.0-or-later
"""Colour Retinex (Grosse et al. 2009, after Horn and Land): the light of an image without anything learned.

A gradient of the logarithm belongs to the reflectance where the chromaticity changes, or where the intensity jumps; all
others are shading. The shading, grey, is put together again by a Poisson equation with free borders.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Natural logarithms: a jump of intensity by a tenth, a change of chromaticity by a twelfth.
INTENSITY_THRESHOLD = 0.1
CHROMATICITY_THRESHOLD = 0.08
_DARKEST = 1e-3


@torch.no_grad()
def log_shading(
    image: Tensor,
    intensity_threshold: float = INTENSITY_THRESHOLD,
    chromaticity_threshold: float = CHROMATICITY_THRESHOLD,
) -> Tensor:
    """Natural logarithm of the grey shading of linear images [B, 3, H, W] ≥ 0, but for a constant: [B, 1, H, W].
    ``intensity_threshold``, ``chromaticity_threshold``: gradients of the natural logarithms above which the reflectance
    is thought to change."""
    logarithm = image.float().clamp_min(_DARKEST).log()
    intensity = logarithm.mean(dim=1, keepdim=True)  # along the grey axis
    chromaticity = logarithm - intensity
    gradients = []
    for dim in (2, 3):
        change = intensity.diff(dim=dim)
        colour = chromaticity.diff(dim=dim).square().sum(dim=1, keepdim=True).sqrt()
        reflectance = (change.abs() > intensity_threshold) | (colour > chromaticity_threshold)
        gradients.append(change.masked_fill(reflectance, 0.0))
    return integrate(*gradients) + intensity.mean(dim=(2, 3), keepdim=True)


def integrate(down: Tensor, right: Tensor) -> Tensor:
    """The functions of zero mean whose gradients are nearest to the given ones.

    Solves the Poisson equation with Neumann borders, whose eigenfunctions are those of the cosine transform.

    Args:
        down: [B, 1, H − 1, W] differences between rows.
        right: [B, 1, H, W − 1] differences between columns.

    Returns:
        [B, 1, H, W].
    """
    height, width = right.shape[2], down.shape[3]
    divergence = right.new_zeros(*right.shape[:2], height, width)
    divergence[:, :, :-1] += down
    divergence[:, :, 1:] -= down
    divergence[..., :-1] += right
    divergence[..., 1:] -= right
    rows, columns = _cosines(height, right), _cosines(width, right)
    eigenvalues = _eigenvalues(height, right)[:, None] + _eigenvalues(width, right)[None]
    eigenvalues[0, 0] = 1.0
    with torch.autocast(right.device.type, enabled=False):
        spectrum = rows @ divergence @ columns.T / eigenvalues
        spectrum[..., 0, 0] = 0.0
        return rows.T @ spectrum @ columns


def _cosines(count: int, like: Tensor) -> Tensor:
    """The orthonormal cosine transform of ``count`` values, [count, count]: a product, which for pictures of hundreds
    of pixels costs no more than a Fourier transform of the mirrored picture."""
    frequency, place = torch.arange(count, dtype=torch.float64)[:, None], torch.arange(count)[None] + 0.5
    basis = (math.pi / count * frequency * place).cos() * math.sqrt(2.0 / count)
    basis[0] /= math.sqrt(2.0)
    return basis.to(like)


def _eigenvalues(count: int, like: Tensor) -> Tensor:
    return (2.0 * (math.pi / count * torch.arange(count, dtype=torch.float64)).cos() - 2.0).to(like)
