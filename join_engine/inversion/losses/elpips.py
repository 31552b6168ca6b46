# SPDX-License-Identifier: GPL-3.0-or-later
"""E-LPIPS (Kettunen et al. 2019, arXiv:1906.03973): an LPIPS-shaped distance under an ensemble of random transforms.

The same draw of transforms, and of dropout in the features, serves both images; the distance is the mean over draws.
What no transform can hide from the features cannot be cheated by an optimisation either.

Works over any :data:`join_engine.networks.features.Features`: the bank's trunk, random features, or trunks with the
weights of others (:mod:`join_engine.inversion.losses.elpips_weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional

from ...networks.features import takes_one_size
from .perceptual import lpips_distance, taps_of, unit_features

_BORDER = 7  # pixels of reflected border that the offset moves about in
_KEEP = 0.99  # of the numbers that dropout drops from
_COLOUR_LOW, _COLOUR_SPAN = 0.2, 0.8
_PERMUTATIONS = tuple(permutations(range(3)))


@dataclass(frozen=True)
class Transforms:
    """One draw of the ensemble, for all images of a batch.

    Attributes:
        scale: side of the box that is averaged to one pixel, with ``phase`` (rows, columns) pixels of reflected
            border before the first box.
        shift: rows and columns of reflected border before the image, out of ``border``.
        border: rows and columns added in all; 0 keeps the size: the border on one side is paid for on the other.
        flip: whether rows and columns run backwards.
        transpose: whether rows become columns. With the flips, all right-angled rotations.
        channels: which channel becomes the first, second and third.
        colour: [3] factor of each channel.
    """

    scale: int
    phase: tuple[int, int]
    shift: tuple[int, int]
    border: tuple[int, int]
    flip: tuple[bool, bool]
    transpose: bool
    channels: tuple[int, ...]
    colour: Tensor

    @classmethod
    def draw(cls, rng: torch.Generator, size: tuple[int, int], fixed_size: bool = False) -> Transforms:
        """Draw for images of ``size`` (rows, columns) with a generator on the CPU. ``fixed_size``: the features take
        images of one size only, so neither the scale nor the border may change it."""

        def below(limit: int) -> int:
            return int(torch.randint(limit, (), generator=rng))

        scale, phase = 1, (0, 0)
        largest = 1 if fixed_size else max(1, min(size) // 64)
        if largest > 1:
            weights = torch.arange(1, largest + 1, dtype=torch.float64).reciprocal().square()
            scale = 1 + int(torch.multinomial(weights, 1, generator=rng))
            phase = (below(scale), below(scale))
        rows, columns = (min(_BORDER, side // scale - 1) for side in size)
        shift = (below(rows + 1), below(columns + 1))
        flip = (below(2) == 1, below(2) == 1)
        transpose = below(2) == 1
        channels = _PERMUTATIONS[below(len(_PERMUTATIONS))]
        colour = _COLOUR_LOW + _COLOUR_SPAN * torch.rand(3, generator=rng)
        border = (0, 0) if fixed_size else (rows, columns)
        return cls(scale, phase, shift, border, flip, transpose, channels, colour)

    def __call__(self, images: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] → [B, 3, H′, W′] in [0, 1]."""
        small = self._shrunk(images)
        rows = self._indices(0, small.shape[2]).to(images.device)
        columns = self._indices(1, small.shape[3]).to(images.device)
        moved = small[:, list(self.channels)][:, :, rows][:, :, :, columns]
        coloured = moved * self.colour.to(images)[:, None, None]
        return coloured.transpose(2, 3) if self.transpose else coloured

    def _shrunk(self, images: Tensor) -> Tensor:
        """Means over boxes; reflected pixels complete the first and the last ones."""
        if self.scale == 1:
            return images
        (top, left), (height, width) = self.phase, images.shape[2:]
        bottom, right = -(height + top) % self.scale, -(width + left) % self.scale
        padded = functional.pad(images, (left, right, top, bottom), mode="reflect")
        return functional.avg_pool2d(padded, self.scale)

    def _indices(self, axis: int, length: int) -> Tensor:
        """[length + border] where each row (or column) comes from."""
        positions = (torch.arange(length + self.border[axis]) - self.shift[axis]).abs()
        reflected = torch.where(positions >= length, 2 * (length - 1) - positions, positions)
        return reflected.flip(0) if self.flip[axis] else reflected


class Dropout:
    """Drops single numbers of what each convolution sees, the same for all images of a batch.

    :meth:`again` replays the masks for the other image.
    """

    def __init__(self, rng: torch.Generator) -> None:
        self._rng = rng  # on the device of the features
        self._masks: list[Tensor] = []
        self._next = 0

    def again(self) -> Dropout:
        """Begin with the first mask again."""
        self._next = 0
        return self

    def __call__(self, features: Tensor) -> Tensor:
        if self._next == len(self._masks):
            drawn = torch.rand((1, *features.shape[1:]), generator=self._rng, device=features.device)
            self._masks.append((drawn < _KEEP).to(features.dtype) / _KEEP)
        mask = self._masks[self._next]
        self._next += 1
        return features * mask


class ELpips:
    """E-LPIPS to fixed targets, with the interface of :class:`join_engine.inversion.losses.perceptual.FeatureDistance`.

    Every call draws anew from one stream, which the seed determines: an optimisation sees another draw at each step.
    All images of a batch get the same draw, which is the one that each would get alone: what an image comes to does not
    depend on its company, and the distances of a batch can be compared.

    Args:
        features: takes images [B, 3, H, W] in [0, 1] and a function for the input of each convolution. Discriminators
            take one size only: for them, the images keep theirs.
        target: [B, 3, H, W] in [0, 1].
        draws: how many are averaged in a call.
        dtype: precision of the features' convolutions.

    Attributes:
        heads: per tap, non-negative weights of its channels [C], taken from ``features.heads`` where there are such.
    """

    def __init__(
        self,
        features: Callable[..., list[Tensor]],
        target: Tensor,
        draws: int = 1,
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._features = features
        self._target = target
        self._draws = draws
        self._dtype = dtype
        self._fixed_size = takes_one_size(features)
        self._rng = torch.Generator().manual_seed(seed)
        self.heads: Sequence[Tensor] | None = getattr(features, "heads", None)

    def __call__(self, image: Tensor) -> Tensor:
        """Images [B, 3, H, W] in [0, 1] → distance [B], the mean over the draws."""
        distances = [self._one_draw(image) for _ in range(self._draws)]
        return torch.stack(distances).mean(dim=0)

    def _one_draw(self, image: Tensor) -> Tensor:
        size = (int(image.shape[2]), int(image.shape[3]))
        transforms = Transforms.draw(self._rng, size, self._fixed_size)
        seed = int(torch.randint(2**31, (), generator=self._rng))
        on_device = torch.Generator(image.device).manual_seed(seed)
        dropout = Dropout(on_device)
        with torch.no_grad():
            theirs = [unit_features(tap) for tap in self._taps(transforms(self._target), dropout)]
        mine = [unit_features(tap) for tap in self._taps(transforms(image), dropout.again())]
        return lpips_distance(mine, theirs, self.heads)

    def _taps(self, images: Tensor, dropout: Dropout) -> list[Tensor]:
        return taps_of(self._features, images, self._dtype, dropout)
