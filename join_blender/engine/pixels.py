# SPDX-License-Identifier: GPL-3.0-or-later
"""From the pixels that Blender hands out to those that the engine wants, band by band.

Blender's are ``[H · W · C]``, bottom row first, encoded or premultiplied as the image is. The engine's are float32
``[H, W, 3 or 4]``, linear Rec.709, top row first, with straight alpha. An image of 8192² is a gigabyte: it is converted
in bands of rows, in a thread, and never lies in memory a second time as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .background import advice
from .failure import Failure
from .vocabulary import color

_BAND = 1 << 17
"""Pixels that are converted at a time."""

_LARGE = 16 << 20
"""Bytes."""

_PREVIEW_SIDE = 256
"""Pixels: Blender shows a small picture of about this size without blur."""

_METERED = 1 << 16
"""Pixels."""

_UNCOVERED = 1 / 255
"""Alpha below which there is none, as in the engine's ``images/exr.py``."""
_BROKEN_AT_MOST = 0.01
"""Share of the pixels; the engine's own limit, in its ``images/files.py``."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, from the top left corner; right and bottom are outside."""


@dataclass(frozen=True)
class Source:
    """An image as Blender handed it out.

    Args:
        name: what the user calls it.
        flat: float32 ``[height · width · channels]``, bottom row first.
        encoded: the colours are sRGB-encoded bytes (as k / 255).
        premultiplied: the colours are multiplied by alpha.
        has_alpha: the last of 2 or 4 channels says something.
        box: the part that is wanted; None for all.
        shrink: every so many pixels in a row and in a column become one.
        layer: of a multilayer file, the one that these pixels are of.
        notes: sentences about what a person would want to know.
    """

    name: str
    flat: np.ndarray
    width: int
    height: int
    channels: int
    encoded: bool = False
    premultiplied: bool = False
    has_alpha: bool = True
    box: Box | None = None
    shrink: int = 1
    layer: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what the engine gets."""
        left, top, right, bottom = self.box or (0, 0, self.width, self.height)
        return (right - left) // self.shrink, (bottom - top) // self.shrink

    @property
    def part(self) -> Box:
        """The part that is taken: the box, cut so that ``shrink`` divides it."""
        left, top = self.box[:2] if self.box else (0, 0)
        width, height = self.size
        return left, top, left + width * self.shrink, top + height * self.shrink

    def alpha(self) -> np.ndarray | None:
        """``[H, W]`` of what the engine gets; None where the image is opaque.

        Raises:
            Failure: ``image_transparent``.
        """
        if not self.has_alpha or self.channels not in (2, 4):
            return None
        width, height = self.size
        alpha = np.empty((height, width), np.float32)
        for start, stop, rows in self._bands():
            alpha[start:stop] = _shrunk(self._covered(rows), self.shrink)[..., 0]
        if not alpha.any():
            raise Failure("image_transparent", f"The image '{self.name}' is transparent everywhere.", _NOTHING)
        return None if (alpha == 1.0).all() else alpha

    def bands(self, with_alpha: bool) -> Iterator[np.ndarray]:
        """Linear ``[rows, W, 3 or 4]`` from the top down. A few broken pixels pass: the engine fills them.

        Raises:
            Failure: ``image_not_finite`` where there are more.
        """
        width, height = self.size
        broken, most = 0, _BROKEN_AT_MOST * width * height * self.shrink**2
        for _, _, rows in self._bands():
            broken += np.count_nonzero(~np.isfinite(rows).all(axis=-1))
            if broken > most:
                raise Failure(
                    "image_not_finite",
                    f"The image '{self.name}' holds pixels that are no numbers (NaN or infinity).",
                    "Render or export it again without them.",
                )
            yield self._converted(rows, with_alpha)

    def write(self, path: Path) -> np.ndarray | None:
        """Write what the engine gets as ``.npy``; returns :meth:`alpha`.

        Raises:
            Failure: what :meth:`alpha` and :meth:`bands` raise, and ``disk``.
        """
        alpha = self.alpha()
        width, height = self.size
        shape = (height, width, 3 if alpha is None else 4)
        try:
            with path.open("wb") as file:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
                for band in self.bands(alpha is not None):
                    np.ascontiguousarray(band, "<f4").tofile(file)
        except OSError as error:
            text = f"The pixels could not be written to {path.parent} ({error.strerror or error})."
            raise Failure("disk", text, advice(error)) from error
        return alpha

    def all(self) -> np.ndarray:
        """What the engine gets, ``[H, W, 3 or 4]``."""
        alpha = self.alpha()
        return np.concatenate(list(self.bands(alpha is not None)))

    def _bands(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """First and last row of the result, and the image's rows ``[rows · shrink, width · shrink, C]`` for them."""
        whole = self.flat.reshape(self.height, self.width, self.channels)[::-1]
        left, top, right, _ = self.part
        width, height = self.size
        step = max(_BAND // max(width * self.shrink**2, 1), 1)
        for start in range(0, height, step):
            stop = min(start + step, height)
            yield start, stop, whole[top + start * self.shrink : top + stop * self.shrink, left:right]

    def _covered(self, rows: np.ndarray) -> np.ndarray:
        """Alpha ``[H, W, 1]``. Light where nothing covers a pixel, such as a flame's, counts as covered."""
        alpha = rows[..., -1:]
        if not self.premultiplied:
            return alpha
        light = rows[..., :-1].max(axis=-1, keepdims=True)
        return np.where((alpha < _UNCOVERED) & (light > _UNCOVERED), np.float32(1.0), alpha)

    def _converted(self, rows: np.ndarray, with_alpha: bool) -> np.ndarray:
        colour = rows[..., :3] if self.channels >= 3 else np.repeat(rows[..., :1], 3, axis=2)
        if self.encoded:
            # A byte has 256 values: look them up, which is many times faster than raising each pixel to a power.
            colour = SRGB_DECODED[np.rint(colour * 255.0).astype(np.uint8)]
        if not with_alpha:
            return _shrunk(colour, self.shrink)
        alpha = self._covered(rows)
        if self.premultiplied and self.shrink == 1:
            colour = colour / np.where(alpha > 0.0, alpha, 1.0)
        elif self.shrink > 1:  # transparent pixels have no say in the colour of the mean
            small = _shrunk(alpha, self.shrink)
            colour = _shrunk(colour if self.premultiplied else colour * alpha, self.shrink)
            alpha, colour = small, colour / np.where(small > 0.0, small, 1.0)
        return np.concatenate([colour, alpha], axis=2)


_NOTHING = "Nothing to decompose."


def _shrunk(rows: np.ndarray, factor: int) -> np.ndarray:
    """``[H · factor, W · factor, C]`` → the means ``[H, W, C]``."""
    if factor == 1:
        return rows
    height, width, channels = rows.shape
    blocks = rows.reshape(height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


SRGB_DECODED = color.srgb_decode(np.arange(256) / 255.0).astype(np.float32)
"""Byte → linear."""


def load_layer(path: str, with_alpha: bool = False) -> np.ndarray:
    """A layer that the engine wrote: float32 ``[H, W, 3]``, or 4 channels where it has an alpha that is wanted.

    Raises:
        Failure: ``layer_broken`` when it is not that.
    """
    try:
        # A large one is read where it is needed: reading it at once would keep all of Python waiting.
        large = Path(path).stat().st_size > _LARGE
        pixels = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Failure(
            "layer_broken", f"A layer of the engine cannot be read: {path} ({error}).", "Run it again."
        ) from error
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.size == 0:
        raise Failure(
            "layer_broken", f"A layer of the engine has the wrong shape {pixels.shape}: {path}.", "Run it again."
        )
    return np.asarray(pixels[..., : 4 if with_alpha else 3], dtype=np.float32)


def brightness(layer: np.ndarray) -> float:
    """The value that one pixel in a hundred of a layer ``[H, W, 3]`` exceeds in its brightest channel; of a large one
    not every pixel is looked at."""
    step = max(math.isqrt(layer.shape[0] * layer.shape[1] // _METERED), 1)
    return float(np.quantile(layer[::step, ::step].max(axis=2), 0.99))


def thinned(rows: np.ndarray) -> np.ndarray:
    """Every so many pixels of ``[H, W, C]``, as many as :func:`square` needs."""
    step = max(1, max(rows.shape[:2]) // _PREVIEW_SIDE)
    return rows[::step, ::step, :3].clip(0.0, None)


def square(encoded: np.ndarray) -> np.ndarray:
    """``[H, W, 3]`` as shown, the bottom row first → ``[side, side, 4]`` for a small picture of Blender's, enlarged to
    about :data:`_PREVIEW_SIDE`; what it lacks of a square is clear."""
    times = max(1, _PREVIEW_SIDE // max(encoded.shape[:2]))
    large = encoded.clip(0.0, 1.0).repeat(times, axis=0).repeat(times, axis=1)
    side = max(large.shape[:2])
    made = np.zeros((side, side, 4), np.float32)  # anything else would be stretched
    top, left = (side - large.shape[0]) // 2, (side - large.shape[1]) // 2
    made[top : top + large.shape[0], left : left + large.shape[1], :3] = large
    made[top : top + large.shape[0], left : left + large.shape[1], 3] = 1.0
    return made


def resized(alpha: np.ndarray, height: int, width: int) -> np.ndarray:
    """``[H, W]`` at another size, by the nearest pixel: for previews."""
    rows = np.arange(height) * alpha.shape[0] // height
    columns = np.arange(width) * alpha.shape[1] // width
    return np.ascontiguousarray(alpha[rows][:, columns])
