# SPDX-License-Identifier: GPL-3.0-or-later
"""Between a photo that shows a face somewhere and the square of a bank of faces: FFHQ's crop, there and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..face_crop import FaceCrop
from .frame import Frame, shrunk

_FINEST = 8  # samples along each side of the square's pixels; of what is finer still, the photo is averaged down first
# From where on outside the middle, in halves of the crop's side, only what is coarse is believed, and from where on
# nothing else: beyond its edge the square has nothing to tell.
_KNOWN, _UNKNOWN = 0.85, 1.15
_COARSE = 4  # cells along each side
# Likewise, from where on the photo around it takes over, and how far it must reach for that.
_EDGE, _GOES_ON = 0.72, 1.05


@dataclass(frozen=True)
class FaceFrame(Frame):
    """Where a face lies in a photo of ``height`` × ``width``; a :class:`join_engine.images.frame.Frame` whose square of
    side ``resolution`` shows a part of the photo, turned. ``crop``: in the photo's pixels, the corner of the first one
    being (0, 0)."""

    crop: FaceCrop

    @property
    def _scale(self) -> float:
        """Pixels of the square for one of the photo."""
        return self.resolution / self.crop.side

    @property
    def inner_height(self) -> int:
        return max(1, round(self.height * self._scale))

    @property
    def inner_width(self) -> int:
        return max(1, round(self.width * self._scale))

    def at(self, height: int, width: int) -> FaceFrame:
        """The same of a smaller or larger copy of the photo."""
        scale = max(height, width) / max(self.height, self.width)
        (x, y), (right, down) = self.crop.center, self.crop.right
        crop = FaceCrop((x * scale, y * scale), (right * scale, down * scale))
        return FaceFrame(height, width, self.resolution, crop)

    def fit(self, image: np.ndarray) -> Tensor:
        """Linear [H, W, C] → linear [1, C, R, R], antialiased in linear light; mirrored beyond the photo's edges."""
        fine = min(_FINEST, max(1, math.ceil(1.0 / self._scale - 1e-6)))
        longest = math.ceil(max(self.height, self.width) * fine * self._scale)
        picture = shrunk(image, longest)
        count = fine * self.resolution
        across = (torch.arange(count, dtype=torch.float64) + 0.5) * (2.0 / count) - 1.0
        v, u = torch.meshgrid(across, across, indexing="ij")
        (x, y), (right, down) = self.crop.center, self.crop.right
        grid = torch.stack([(x + u * right - v * down) / self.width, (y + u * down + v * right) / self.height], dim=-1)
        mode = "bilinear" if fine > 1 else "bicubic"  # the mean of several is smooth enough
        sampled = _sampled(picture, (2.0 * grid - 1.0).float(), mode, "reflection")
        return functional.avg_pool2d(sampled, fine)

    def inner(self, square: Tensor) -> Tensor:
        """[B, 3, R, R] → what it tells of the whole photo, with as many pixels as it has: [B, 3, h, w]."""
        return self._onto(square, self.inner_height, self.inner_width, slice(0, self.inner_height))

    def restore(self, square: Tensor) -> Tensor:
        """[B, 3, R, R] → [B, 3, H, W] by smooth (bicubic) resampling; around the crop goes on what is coarse in it."""
        return self._onto(square, self.height, self.width, slice(0, self.height))

    def restored_rows(self, square: Tensor) -> Callable[[slice], Tensor]:
        """Gives rows of what :meth:`restore` makes without making the others."""
        return partial(self._onto, square, self.height, self.width)

    def known(self, rows: slice | None = None) -> Tensor:
        """[1, 1, H, W] (or those rows of it) in [0, 1]: how far a pixel of the photo lies inside the crop, with a soft
        edge where the photo goes on beyond it."""
        places = self._places(self.height, self.width, rows or slice(0, self.height))
        inside = torch.ones(places.shape[:2])
        reach = self._reach()
        for axis in (0, 1):
            for side in (-1, 1):
                if side * reach[side][axis] > _GOES_ON:
                    inside = inside * _falling(side * places[..., axis], _EDGE, 1.0)
        return inside[None, None]

    def nearby(self, reach: float) -> Tensor:
        """[1, 1, H, W] in [0, 1]: 1 in the crop, and falling to 0 so many of its sides beyond its edge."""
        places = self._places(self.height, self.width, slice(0, self.height))
        return _falling(places.abs().amax(dim=-1), 1.0, 1.0 + 2.0 * reach)[None, None]

    def _reach(self) -> dict[int, tuple[float, float]]:
        """How far the photo goes on in the crop's own axes: lowest and highest u and v of its corners."""
        height, width = self.height, self.width
        corners = torch.tensor([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]], dtype=torch.float64)
        places = _in_crop(self.crop, corners[:, 0], corners[:, 1])
        low, high = places.amin(dim=0), places.amax(dim=0)
        return {-1: (float(low[0]), float(low[1])), 1: (float(high[0]), float(high[1]))}

    def _places(self, height: int, width: int, rows: slice) -> Tensor:
        """[rows, width, 2] float32: u and v of the pixels of a copy of the photo of that size."""
        y = (torch.arange(height, dtype=torch.float64)[rows] + 0.5) * (self.height / height)
        x = (torch.arange(width, dtype=torch.float64) + 0.5) * (self.width / width)
        return _in_crop(self.crop, x[None, :], y[:, None]).float()

    def _onto(self, square: Tensor, height: int, width: int, rows: slice) -> Tensor:
        places = self._places(height, width, rows).to(square.device)
        side = math.ceil(self.crop.side * height / self.height)
        if side < self.resolution:  # the copy has fewer pixels than the square
            size = (max(1, side),) * 2
            square = functional.interpolate(square, size, mode="bilinear", align_corners=False, antialias=True)
        coarse = functional.adaptive_avg_pool2d(square, _COARSE)
        fine = _sampled(square, places, "bicubic", "border")
        far = places.abs().amax(dim=-1)
        share = _falling(far, _KNOWN, _UNKNOWN)
        return share * fine + (1.0 - share) * _sampled(coarse, places, "bilinear", "border")


def _in_crop(crop: FaceCrop, x: Tensor, y: Tensor) -> Tensor:
    """u and v [..., 2] of places: the inverse of :meth:`join_engine.face_crop.FaceCrop.place`."""
    (right, down), (across, below) = crop.right, crop.center
    x, y = x - across, y - below
    square = right**2 + down**2
    return torch.stack(
        torch.broadcast_tensors((x * right + y * down) / square, (y * right - x * down) / square), dim=-1
    )


def _falling(values: Tensor, start: float, end: float) -> Tensor:
    """1 below ``start``, 0 above ``end``, smooth in between."""
    t = ((values - start) / (end - start)).clamp(0.0, 1.0)
    return 1.0 - t * t * (3.0 - 2.0 * t)


def _sampled(planes: Tensor, grid: Tensor, mode: str, beyond: str) -> Tensor:
    """[B, C, h, w] at places [H, W, 2] in [-1, 1]: [B, C, H, W]."""
    grid = grid[None].expand(len(planes), -1, -1, -1)
    return functional.grid_sample(planes, grid, mode=mode, padding_mode=beyond, align_corners=False)
