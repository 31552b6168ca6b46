# SPDX-License-Identifier: GPL-3.0-or-later
"""Highlights on coloured paint, by the dichromatic model (Shafer, 1985): one sees paint in its light, and grey gloss.

Grey light leaves the hue of what it is added to and takes its saturation. So where the same hue is seen without gloss
near by, what is missing of the saturation tells how much gloss there is, which the split network only supposes, and
mostly too little. It is asked where the network sees a highlight: that paint is pale may have other reasons. Of grey
paint it tells nothing, and never that there is less gloss: a more saturated speck in dull paint has as much. And it is
asked of a small picture: the colours of a camera's single pixels are noise, more so after JPEG.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..networks.split import at_most, in_cells, specular_of

# How far apart directions of hue (of length 1) may be of one paint.
_SAME_HUE = 0.15
# Chroma against grey: from where on paint is coloured, and from where on surely.
_COLOURED, _SURELY_COLOURED = 0.1, 0.3
_SEEN_AT = 128  # pixels of the longer side, at most
_CELLS = 16  # of the shorter side, and less than twice as many
_MOST_CELLS = 1024
_AT_ONCE = 4096  # pixels
_DARK = 1e-4


def gloss_on_colour(image: Tensor, gloss: Tensor, readable: Tensor, highlight: Tensor) -> Tensor:
    """Shares of gloss in the darkest channel, [1, 1, h, w] in [0, 1], with what the paint's saturation tells of them.

    Args:
        image: linear [1, 3, h, w].
        gloss: the shares that the network supposes, [1, 1, h, w] in [0, 1].
        readable: how far paint can be read, [1, 1, h, w] in [0, 1]; 0 where the picture is cut out.
        highlight: how surely it is one, [1, 1, h, w] in [0, 1].
    """
    planes = image, specular_of(image, gloss), readable * (1.0 - highlight), highlight
    small, specular, trusted, sure = at_most(_SEEN_AT, *planes)
    paleness, known = _paint_of_hue(small, specular, trusted, sure)
    chroma, grey = _chroma(small)
    least = small.amin(dim=1, keepdim=True)
    told = torch.minimum((grey - chroma.norm(dim=1, keepdim=True) * paleness).clamp_min(0.0), least)
    change = known * (told - specular).clamp_min(0.0) / least.clamp_min(_DARK)
    change = functional.interpolate(change, image.shape[2:], mode="bilinear", align_corners=False)
    return (gloss + highlight * change).clamp(0.0, 1.0)


def _paint_of_hue(image: Tensor, specular: Tensor, trusted: Tensor, highlight: Tensor) -> tuple[Tensor, Tensor]:
    """How much grey paint of each pixel's hue has beside its chroma where it has no gloss, near cells counting more
    than far ones; and how much of what is near is such paint, in [0, 1]; [1, 1, h, w] both, told under highlights."""
    light = image.mean(dim=1, keepdim=True).clamp_min(_DARK)
    weights = trusted * (1.0 - specular / light).clamp(0.0, 1.0).square()
    values = torch.cat(_chroma((image - specular).clamp_min(0.0)), dim=1) * weights
    values, weights = in_cells(_CELLS, values, weights, most=_MOST_CELLS)
    cells = (values / weights.clamp_min(1e-6))[0].flatten(1).T
    chroma = cells[:, :3].norm(dim=1)
    saturation = chroma / cells[:, 3].clamp_min(_DARK)
    hues = cells[:, :3] / chroma.clamp_min(1e-6)[:, None]
    usable = weights.flatten().square()
    coloured = ((saturation - _COLOURED) / (_SURELY_COLOURED - _COLOURED)).clamp(0.0, 1.0)

    seen = functional.normalize(_chroma(image)[0][0].flatten(1).T, dim=1)
    own, places = _places(image, weights), _places(weights, weights)
    found = torch.zeros(2, len(seen)).to(image)
    for some in highlight.flatten().nonzero()[:, 0].split(_AT_ONCE):
        near = usable / (1.0 + torch.cdist(own[some], places).square())
        alike = near * coloured * ((seen[some] @ hues.T - 1.0) / _SAME_HUE**2).exp()
        total = alike.sum(dim=1)
        found[0, some] = alike @ (1.0 / saturation.clamp_min(_COLOURED)) / total.clamp_min(1e-12)
        found[1, some] = total / near.sum(dim=1).clamp_min(1e-12)
    paleness, known = found.reshape(2, 1, 1, *image.shape[2:])
    return paleness, known


def _chroma(image: Tensor) -> tuple[Tensor, Tensor]:
    """What of an image [B, 3, h, w] is not grey, and what is, [B, 1, h, w]."""
    grey = image.mean(dim=1, keepdim=True)
    return image - grey, grey


def _places(image: Tensor, cells: Tensor) -> Tensor:
    """Where the pixels [1, C, h, w] lie among cells [1, C, rows, columns], [h · w, 2] in cells."""
    steps = [
        (torch.arange(size).to(cells) + 0.5) * (count / size)
        for size, count in zip(image.shape[2:], cells.shape[2:], strict=True)
    ]
    return torch.cartesian_prod(*steps)
