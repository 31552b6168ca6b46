# SPDX-License-Identifier: GPL-3.0-or-later
"""What shall go from a photo, as the artist has drawn it: a Mask of the Image Editor, or a painted image."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..engine.failure import Failure
from ..engine.pixels import Source
from . import images

_PIECES = 24
"""Straight pieces of each curve between two points."""


def name_in(space: Any) -> str:
    """Of the Mask that an Image Editor shows; empty for none."""
    shown = space is not None and space.type == "IMAGE_EDITOR" and getattr(space, "mask", None)
    return str(space.mask.name) if shown else ""


def read_mask(drawn: str, painted: str, like: Source) -> Source:
    """What shall go, 1 there and 0 elsewhere, for the same part and the same size as an image.

    Args:
        drawn: name of a Mask, or empty.
        painted: name of an image that is black where all is well, or empty.
        like: the image, as it was read.

    Raises:
        Failure: ``mask_missing`` where there is none, ``mask_empty``, ``mask_size``, and as
            :func:`images.read_source`.
    """
    if not drawn and not painted:
        raise Failure("mask_missing", "No mask is chosen.", "Draw one in the Image Editor's Mask mode, or paint one.")
    width, height = like.width, like.height
    plane = np.zeros((height, width), np.float32)
    if drawn:
        mask: Any = bpy.data.masks.get(drawn)
        if mask is None:
            raise Failure("mask_missing", f"There is no mask '{drawn}' in this file.", "Draw one in the Image Editor.")
        plane = np.maximum(plane, rasterized(mask, width, height))
    if painted:
        image = images.find_image(painted)
        if images.size_of(image) != (width, height):
            size = " × ".join(map(str, images.size_of(image)))
            words = f"The mask '{image.name}' is {size} and the image {width} × {height}."
            raise Failure("mask_size", words, "Paint a mask of the image's size.")
        pixels = images.read_source(image).all()
        shown = pixels[..., 3] if pixels.shape[2] == 4 else np.float32(1.0)
        plane = np.maximum(plane, pixels[..., :3].max(axis=2) * shown)
    if not plane.any():
        raise Failure("mask_empty", "The mask covers nothing of the image.", "Draw it over what shall go.")
    flat = np.ascontiguousarray(plane[::-1]).ravel()
    return Source("mask", flat, width, height, 1, box=like.box, shrink=like.shrink)


def rasterized(mask: Any, width: int, height: int) -> np.ndarray:
    """``[height, width]`` of 0 and 1, top row first: what a Mask covers. Layers add up, but for those that subtract;
    feather, opacity and tracking are not looked at."""
    covered = np.zeros((height, width), bool)
    for layer in mask.layers:
        if layer.hide:
            continue
        own = np.zeros((height, width), bool)
        for spline in layer.splines:
            if spline.use_fill and len(spline.points) > 2:
                own |= _filled(_outline(spline, width, height), width, height)
        if layer.invert:
            own = ~own
        covered = covered & ~own if layer.blend == "SUBTRACT" else covered | own
    return covered[::-1].astype(np.float32)


def _outline(spline: Any, width: int, height: int) -> np.ndarray:
    """The closed outline of a spline: pixels ``[n, 2]``, x and y from the lower left corner."""
    points = list(spline.points)
    t = np.linspace(0.0, 1.0, _PIECES, endpoint=False)[:, None]
    pieces = []
    for one, other in zip(points, points[1:] + points[:1], strict=True):
        a, b, c, d = (np.array(p[:2]) for p in (one.co, one.handle_right, other.handle_left, other.co))
        pieces.append((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
    outline = np.concatenate(pieces)
    # A Mask's unit is the longer side, and its middle that of the image.
    longest = max(width, height)
    middle = np.array([width, height]) / 2
    return np.asarray((outline - 0.5) * longest + middle)


def _filled(outline: np.ndarray, width: int, height: int) -> np.ndarray:
    """Bool ``[height, width]``, bottom row first: pixels whose middle lies inside, by the rule of even and odd."""
    crossed = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        low, high = min(y0, y1), max(y0, y1)
        rows = np.arange(max(int(np.ceil(low - 0.5)), 0), min(int(np.ceil(high - 0.5)), height))
        x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        np.add.at(crossed, (rows, np.ceil(x - 0.5).clip(0, width).astype(int)), 1)
    return np.asarray(crossed.cumsum(axis=1)[:, :width] % 2 == 1)
