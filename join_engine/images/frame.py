# SPDX-License-Identifier: GPL-3.0-or-later
"""Between an image of any size and the square that a bank works in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

_UNITS = 512  # columns of an identity at a time


@dataclass(frozen=True)
class Frame:
    """Where an image of ``height`` × ``width`` lies in a square of side ``resolution``: aspect kept, centred.

    Attributes:
        top, left, inner_height, inner_width: the part of the square that the image fills; around it lies the
            mirrored image.

    :class:`join_engine.images.face_frame.FaceFrame` does the same for a part of a photo.
    """

    height: int
    width: int
    resolution: int

    @property
    def inner_height(self) -> int:
        return max(1, round(self.height * self.resolution / max(self.height, self.width)))

    @property
    def inner_width(self) -> int:
        return max(1, round(self.width * self.resolution / max(self.height, self.width)))

    @property
    def top(self) -> int:
        return (self.resolution - self.inner_height) // 2

    @property
    def left(self) -> int:
        return (self.resolution - self.inner_width) // 2

    def at(self, height: int, width: int) -> Frame:
        """The same of a smaller or larger copy of the image."""
        return Frame(height, width, self.resolution)

    def fit(self, image: np.ndarray) -> Tensor:
        """Linear [H, W, 3] → linear [1, 3, R, R], antialiased in linear light; the same size stays bit for bit."""
        return self._mirrored(self.reduced(image))

    def fit_rows(self, parts: Iterable[tuple[slice, np.ndarray]]) -> Tensor:
        """:meth:`fit`, but for rounding, of an image that comes rows after rows, [h, W, 3] each."""
        weights = _weights(self.height, self.inner_height)
        small = torch.zeros(1, 3, self.inner_height, self.inner_width)
        for rows, part in parts:
            small += weights[:, rows] @ resampled(part, part.shape[0], self.inner_width)
        return self._mirrored(small)

    def _mirrored(self, small: Tensor) -> Tensor:
        rows = _mirror(self.top, self.inner_height, self.resolution)
        columns = _mirror(self.left, self.inner_width, self.resolution)
        return small[:, :, rows][:, :, :, columns]

    def reduced(self, image: np.ndarray) -> Tensor:
        """Linear [H, W, C] → the whole image as small as the square shows it, linear [1, C, h, w]."""
        return resampled(image, self.inner_height, self.inner_width)

    def inner(self, square: Tensor) -> Tensor:
        """[B, 3, R, R] → the part that shows the image."""
        return square[:, :, self.top : self.top + self.inner_height, self.left : self.left + self.inner_width]

    def restore(self, square: Tensor) -> Tensor:
        """[B, 3, R, R] → [B, 3, H, W]: crop to the image's part, then smooth (bicubic) resampling."""
        return _resize(self.inner(square), self.height, self.width, "bicubic")

    def restored_rows(self, square: Tensor) -> Callable[[slice], Tensor]:
        """Gives rows of what :meth:`restore` makes, which differ from its by rounding, without making the others."""
        inner = self.inner(square)
        wide = _resize(inner, self.inner_height, self.width, "bicubic")
        unit = torch.eye(self.inner_height).to(inner)[None, None]
        weights = _resize(unit, self.height, self.inner_height, "bicubic")[0, 0]
        return lambda rows: weights[rows] @ wide


def planes_of(image: np.ndarray) -> Tensor:
    """[H, W, C] → float32 [1, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32))[None]


def picture_of(planes: Tensor) -> np.ndarray:
    """The first of [B, C, H, W] → [H, W, C]."""
    return np.ascontiguousarray(planes[0].permute(1, 2, 0).cpu().numpy())


def shrunk(image: np.ndarray, longest: int) -> Tensor:
    """Linear [H, W, C] → linear [1, C, h, w], averaged down if a side is longer than that."""
    return resampled(image, *shrunk_size(image, longest))


def shrunk_size(image: np.ndarray, longest: int) -> tuple[int, int]:
    """Height and width of what :func:`shrunk` makes of an image [H, W, C]."""
    height, width = image.shape[:2]
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def resampled(image: np.ndarray, height: int, width: int) -> Tensor:
    """[H, W, C] → [1, C, height, width]; one channel after the other, so that a large image has no second copy."""
    channels = []
    for index in range(image.shape[2]):
        plane = torch.from_numpy(np.ascontiguousarray(image[..., index], dtype=np.float32))[None, None]
        channels.append(_resize(plane, height, width, "bilinear"))
    return torch.cat(channels, dim=1)


def _resize(planes: Tensor, height: int, width: int, mode: str) -> Tensor:
    if planes.shape[2:] == (height, width):
        return planes
    if width == 1 or planes.shape[3] == 1:  # torch shrinks such a column to one value; lying down, it is right
        lying = planes.transpose(2, 3).contiguous()
        lying = functional.interpolate(lying, (width, height), mode=mode, align_corners=False, antialias=True)
        return lying.transpose(2, 3).contiguous()
    return functional.interpolate(planes, (height, width), mode=mode, align_corners=False, antialias=True)


def _weights(height: int, smaller: int) -> Tensor:
    """[smaller, height]: how much of each row goes into each of fewer rows."""
    parts = []
    for rows in torch.arange(height).split(_UNITS):
        unit = torch.zeros(1, 1, height, len(rows))
        unit[0, 0, rows, torch.arange(len(rows))] = 1.0
        parts.append(_resize(unit, smaller, len(rows), "bilinear")[0, 0])
    return torch.cat(parts, dim=1)


def _mirror(before: int, length: int, total: int) -> Tensor:
    """Indices [total] that repeat 0 … length − 1 mirrored (edge pixels doubled) around position ``before``."""
    phase = (torch.arange(total) - before) % (2 * length)
    return torch.where(phase < length, phase, 2 * length - 1 - phase)
