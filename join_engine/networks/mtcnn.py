# SPDX-License-Identifier: GPL-3.0-or-later
"""MTCNN: three small networks that find faces, their eyes, noses and mouth corners, each looking closer than the one
before (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks").

Architectures and parameter names are those of the published weights, thresholds and steps those of the paper's code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of the pyramid: from one size to the next, and the side of what the first network looks at.
_FACTOR, _WINDOW, _STRIDE = 0.709, 12, 2
_PROPOSED, _REFINED, _SURE = 0.6, 0.7, 0.7
# How much two boxes may have in common.
_SAME_SIZE, _ALL_SIZES, _LAST = 0.5, 0.7, 0.7
_MOST = 4096  # proposals: of white noise there are few, of what is made up for it no end


class _Net(nn.Module):
    """Begins with convolutions named as in the published weights: channels in and out, side of the kernel, side of the
    pooling that follows (0 for none)."""

    def __init__(self, *layers: tuple[int, int, int, int]) -> None:
        super().__init__()
        for number, (before, after, kernel, pool) in enumerate(layers, start=1):
            self.add_module(f"conv{number}", nn.Conv2d(before, after, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(after))
            if pool:
                self.add_module(f"pool{number}", nn.MaxPool2d(pool, 2, ceil_mode=True))
        self._order = list(self._modules)

    def features(self, images: Tensor) -> Tensor:
        for name in self._order:
            images = self.get_submodule(name)(images)
        return images


class Proposals(_Net):
    """The first: everywhere in a picture, is there a face in the window of 12 pixels?"""

    def __init__(self) -> None:
        super().__init__((3, 10, 3, 2), (10, 16, 3, 0), (16, 32, 3, 0))
        self.conv4_1, self.conv4_2 = nn.Conv2d(32, 2, 1), nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[B, 3, H, W] in [-1, 1] → how sure [B, h, w], and by how much the window is off [B, 4, h, w]."""
        found = self.features(images)
        return self.conv4_1(found).softmax(dim=1)[:, 1], self.conv4_2(found)


class Refinement(_Net):
    """The second, which looks at 24 × 24 pixels."""

    def __init__(self) -> None:
        super().__init__((3, 28, 3, 3), (28, 48, 3, 3), (48, 64, 2, 0))
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1, self.dense5_2 = nn.Linear(128, 2), nn.Linear(128, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[N, 3, 24, 24] → how sure [N], and by how much the box is off [N, 4]."""
        found = self.prelu4(self.dense4(_flat(self.features(images))))
        return self.dense5_1(found).softmax(dim=1)[:, 1], self.dense5_2(found)


class Landmarks(_Net):
    """The third, which looks at 48 × 48 pixels and tells the five places as well."""

    def __init__(self) -> None:
        super().__init__((3, 32, 3, 3), (32, 64, 3, 3), (64, 64, 3, 2), (64, 128, 2, 0))
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1, self.dense6_2, self.dense6_3 = nn.Linear(256, 2), nn.Linear(256, 4), nn.Linear(256, 10)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[N, 3, 48, 48] → as the second, and the places [N, 2, 5]: x, then y, in sides of the box."""
        found = self.prelu5(self.dense5(_flat(self.features(images))))
        places = self.dense6_3(found).reshape(-1, 2, 5)
        return self.dense6_1(found).softmax(dim=1)[:, 1], self.dense6_2(found), places


@dataclass(frozen=True)
class Found:
    """The faces in a picture, surest first.

    Attributes:
        boxes: [N, 4] left, top, right, bottom in pixels, the corner of the first one being (0, 0).
        sure: [N] in [0, 1].
        places: [N, 5, 2] x and y of the eyes (left, right, as the picture is looked at), the nose, the mouth's corners.
    """

    boxes: Tensor
    sure: Tensor
    places: Tensor


class Mtcnn(nn.Module):
    """All three; see :meth:`forward`."""

    def __init__(self) -> None:
        super().__init__()
        self.proposals, self.refinement, self.landmarks = Proposals(), Refinement(), Landmarks()

    @torch.no_grad()
    def forward(self, picture: Tensor, smallest: float) -> Found:
        """The faces in one picture. ``picture``: sRGB-encoded [3, H, W] in [0, 1]. ``smallest``: side of the smallest
        face that is looked for, in pixels, 12 or more."""
        image = (picture * 2.0 - 1.0)[None] * (127.5 / 128.0)
        boxes = self._proposed(image, smallest)
        sure, off = self.refinement(_looked_at(image, boxes, 24)) if len(boxes) else (torch.zeros(0), torch.zeros(0, 4))
        boxes, (sure, off) = _kept(boxes, sure > _REFINED, sure, off)
        boxes = _squared(_corrected(boxes, off)[_apart(_corrected(boxes, off), sure, _ALL_SIZES)])
        if not len(boxes):
            return Found(boxes, boxes[:, 0], boxes.new_zeros(0, 5, 2))
        sure, off, places = self.landmarks(_looked_at(image, boxes, 48))
        boxes, (sure, off, places) = _kept(boxes, sure > _SURE, sure, off, places)
        size = boxes[:, 2:] - boxes[:, :2]
        places = boxes[:, :2, None] + places * size[:, :, None]
        boxes = _corrected(boxes, off)
        chosen = _apart(boxes, sure, _LAST, of_smaller=True)
        return Found(boxes[chosen], sure[chosen], places[chosen].transpose(1, 2))

    def _proposed(self, image: Tensor, smallest: float) -> Tensor:
        """Square boxes [N, 4] in which the first network supposes faces."""
        scale = _WINDOW / smallest
        boxes, sures = [image.new_zeros(0, 4)], [image.new_zeros(0)]
        while min(image.shape[2:]) * scale >= _WINDOW:
            size = [max(_WINDOW, math.ceil(side * scale)) for side in image.shape[2:]]
            sure, off = self.proposals(functional.interpolate(image, size, mode="area"))
            rows, columns = (sure[0] > _PROPOSED).nonzero(as_tuple=True)
            corner = torch.stack([columns, rows], dim=1) * float(_STRIDE)
            window = torch.cat([corner, corner + _WINDOW], dim=1) / scale
            here = sure[0, rows, columns]
            chosen = _apart(window, here, _SAME_SIZE)
            boxes.append(_corrected(window[chosen], off[0][:, rows, columns].T[chosen]))
            sures.append(here[chosen])
            scale *= _FACTOR
        every, sure = torch.cat(boxes), torch.cat(sures)
        return _squared(every[_apart(every, sure, _ALL_SIZES)])


def _kept(boxes: Tensor, where: Tensor, *others: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    return boxes[where], tuple(other[where] for other in others)


def _flat(found: Tensor) -> Tensor:
    """[N, C, h, w] in the order of the published weights: columns, rows, channels."""
    return found.permute(0, 3, 2, 1).reshape(len(found), -1)


def _corrected(boxes: Tensor, off: Tensor) -> Tensor:
    """Boxes [N, 4] moved by what a network says, in sides of each."""
    return boxes + off * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)


def _squared(boxes: Tensor) -> Tensor:
    """The same middles, as wide and high as the longer side."""
    middle = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    half = 0.5 * (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True) if len(boxes) else boxes[:, :1]
    return torch.cat([middle - half, middle + half], dim=1)


def _looked_at(image: Tensor, boxes: Tensor, side: int) -> Tensor:
    """[N, 3, side, side] of a picture [1, 3, H, W], grey beyond its edges."""
    height, width = image.shape[2:]
    found = []
    for left, top, right, bottom in boxes.round().long().tolist():
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        inside = image[:, :, max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        beyond = (max(-left, 0), max(right - width, 0), max(-top, 0), max(bottom - height, 0))
        if 0 in inside.shape:
            inside, beyond = image.new_zeros(1, 3, 1, 1), (0, 0, 0, 0)
        found.append(functional.interpolate(functional.pad(inside, beyond), (side, side), mode="area"))
    return torch.cat(found)


def _apart(boxes: Tensor, sure: Tensor, most: float, of_smaller: bool = False) -> Tensor:
    """Which of the boxes [N, 4] to keep, surest first: none has more in common with a surer one than ``most`` of both
    together, or of the smaller one."""
    order = sure.argsort(descending=True, stable=True)[:_MOST]
    kept: list[int] = []
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp_min(0.0).prod(dim=1)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        low = torch.maximum(boxes[best, :2], boxes[rest, :2])
        high = torch.minimum(boxes[best, 2:], boxes[rest, 2:])
        common = (high - low).clamp_min(0.0).prod(dim=1)
        both = torch.minimum(areas[best], areas[rest]) if of_smaller else areas[best] + areas[rest] - common
        order = rest[common <= most * both]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)
