# SPDX-License-Identifier: GPL-3.0-or-later
"""Segments of a picture: superpixels (SLIC, Achanta et al. 2012), of which neighbours of like colour are one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..color import srgb_decode

_ROUNDS, _COMPACTNESS = 10, 10.0  # the latter: how much nearness counts beside colour
# Linear Rec.709 → XYZ, each row divided by that of the white of D65.
_TO_XYZ = ((0.43395, 0.37622, 0.18983), (0.21260, 0.71520, 0.07220), (0.01776, 0.10947, 0.87277))


def lab(images: Tensor) -> Tensor:
    """sRGB-encoded [B, 3, H, W] in [0, 1] → CIE L*a*b*, white at (100, 0, 0)."""
    linear = srgb_decode(images.clamp(0.0, 1.0))
    xyz = torch.einsum("ij,bjhw->bihw", torch.tensor(_TO_XYZ).to(linear), linear)
    f = torch.where(xyz > 216 / 24389, xyz.clamp_min(1e-6) ** (1 / 3), (xyz * 24389 / 27 + 16) / 116)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


@torch.no_grad()
def superpixels(images: Tensor, count: int, alike: float = 6.0) -> Tensor:
    """Segments of sRGB-encoded pictures [B, 3, H, W]: [B, H, W] whole numbers from 0 on.

    SLIC without its enforced connectivity: nearest centres by D² = d_Lab² + (compactness · d_xy / S)², S being the
    distance of the centres at the start; after it, touching segments whose mean colours differ by less than ``alike``
    (of L*a*b*) are one.

    Args:
        count: of the superpixels, roughly.
        alike: 0 leaves the superpixels as they are.
    """
    colours = lab(images)
    return torch.stack([_of_one(colour, count, alike) for colour in colours])


def segment_means(maps: Tensor, labels: Tensor) -> Tensor:
    """Maps [B, C, H, W], in every segment of labels [B, H, W] its mean."""
    found = []
    for one, label in zip(maps.flatten(2), labels.flatten(1), strict=True):
        count = int(label.max()) + 1
        sums = one.new_zeros(len(one), count).index_add_(1, label, one)
        sizes = one.new_zeros(count).index_add_(0, label, torch.ones_like(one[0]))
        found.append((sums / sizes.clamp_min(1.0))[:, label])
    return torch.stack(found).view_as(maps)


def _of_one(colour: Tensor, count: int, alike: float) -> Tensor:
    """L*a*b* [3, H, W] → [H, W]."""
    _, height, width = colour.shape
    step = math.sqrt(height * width / count)
    places = torch.stack(
        torch.meshgrid(torch.arange(height).to(colour) + 0.5, torch.arange(width).to(colour) + 0.5, indexing="ij")
    )
    pixels = torch.cat([colour, places * (_COMPACTNESS / step)]).flatten(1).T  # [H · W, 5]
    rows, columns = max(1, round(height / step)), max(1, round(width / step))
    row = ((torch.arange(rows) + 0.5) * height / rows).long()
    column = ((torch.arange(columns) + 0.5) * width / columns).long()
    centres = pixels[(row[:, None] * width + column).flatten()]
    for _ in range(_ROUNDS):
        label = torch.cdist(pixels, centres).argmin(dim=1)
        sums = torch.zeros_like(centres).index_add_(0, label, pixels)
        sizes = torch.bincount(label, minlength=len(centres))[:, None]
        centres = torch.where(sizes > 0, sums / sizes.clamp_min(1), centres)
    label = torch.cdist(pixels, centres).argmin(dim=1).view(height, width)
    return _merged(label, colour, alike) if alike else torch.unique(label, return_inverse=True)[1]


def _merged(label: Tensor, colour: Tensor, alike: float) -> Tensor:
    """Touching segments of like mean colour are one; the most alike first, with their common mean."""
    label = torch.unique(label, return_inverse=True)[1]
    while True:
        count = int(label.max()) + 1
        flat = label.flatten()
        sizes = torch.bincount(flat, minlength=count)
        means = colour.new_zeros(count, 3).index_add_(0, flat, colour.flatten(1).T) / sizes[:, None]
        pairs = torch.cat(
            [
                torch.stack([label[:, 1:].flatten(), label[:, :-1].flatten()], dim=1),
                torch.stack([label[1:].flatten(), label[:-1].flatten()], dim=1),
            ]
        )
        pairs = torch.unique(pairs[pairs[:, 0] != pairs[:, 1]].sort(dim=1).values, dim=0)
        if not len(pairs):
            return label
        distance = (means[pairs[:, 0]] - means[pairs[:, 1]]).norm(dim=1)
        nearest = int(distance.argmin())
        if distance[nearest] >= alike:
            return label
        kept, gone = pairs[nearest].tolist()
        label = torch.unique(torch.where(label == gone, kept, label), return_inverse=True)[1]
