# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos of one thing under other light, laid over one another: whole and subpixel shifts, found by correlation.

Light changes more between such photos than paint does. What is compared therefore is what light changes least: the
chromaticity, the fine part of the logarithm of the luminance, and how strong its edges are, whichever side they are lit
from. Only shifts are found: a camera on a tripod does not turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..color import LUMINANCE_WEIGHTS
from ..errors import JoinError
from .between import blurred
from .frame import shrunk

# Longest side at which photos are compared.
_SEEN_AT_MOST = 512
# Share of the shorter side by which a photo may be shifted.
REACH = 1 / 16
# A correlation that many times the standard deviation of those at all other shifts is no chance.
_SURE = 9.0
# Features of a smaller standard deviation than that (natural logarithms) are noise.
_PLAIN = 0.025
# Plain things whose chromaticities differ by more (natural logarithms) are different things.
_OTHER_COLOUR = 0.35
# Where staying does nearly as well as the best shift, it is the likelier: a plain thing under other light.
_STAYS = 0.7
_FINER = 20  # steps in a pixel
_STILL = 0.1  # pixels; a smaller shift leaves a photo as it is
_EPSILON = 0.004


@dataclass(frozen=True)
class Aligned:
    """A photo laid over the others.

    Attributes:
        pixels: linear [H, W, C], moved; the same array where nothing had to be moved.
        inside: bool [H, W]: the photo shows this; elsewhere its edge is repeated.
        shift: by how many pixels it was moved down and to the right.
    """

    pixels: np.ndarray
    inside: np.ndarray
    shift: tuple[float, float]

    def follow(self, plane: np.ndarray) -> np.ndarray:
        """[H, W, C] in [0, 1] that belongs to the photo, moved as it was."""
        return _moved(plane, self.shift).pixels


def align(photos: Sequence[np.ndarray], names: Sequence[str]) -> list[Aligned]:
    """Move photos onto the one that most of them match best; in the order given, which does not matter otherwise.
    Raises JoinError ``photos_sizes`` for photos of different sizes, ``photos_differ`` for one that shows something else
    or is shifted by more than :data:`REACH` of its shorter side.

    Args:
        photos: linear [H, W, 3 or 4] ≥ 0.
        names: what the photos are called in messages.
    """
    first = photos[0].shape[:2]
    for photo, name in zip(photos, names, strict=True):
        if photo.shape[:2] != first:
            (height, width), (other_height, other_width) = first, photo.shape[:2]
            raise JoinError(
                "photos_sizes",
                f"'{name}' is {other_width} × {other_height} and '{names[0]}' is {width} × {height}: "
                "they must be of one size.",
                "Use photos from one camera on a tripod, all cropped alike.",
            )
    seen = [_Seen(photo) for photo in photos]
    pairs = {(i, j): seen[i].shift_to(seen[j]) for i in range(len(seen)) for j in range(len(seen)) if i < j}
    shifts = _shifts(pairs, names)
    return [_moved(photo, shift) for photo, shift in zip(photos, shifts, strict=True)]


def _shifts(
    pairs: dict[tuple[int, int], tuple[float, float, float]], names: Sequence[str]
) -> list[tuple[float, float]]:
    """What moves each photo onto the first: from photo to photo, the best matches first."""
    count = len(names)
    match = np.zeros((count, count))
    for (i, j), (_, _, sure) in pairs.items():
        match[i, j] = match[j, i] = sure
    start = int(np.argmax(np.minimum(match, 2.0).sum(axis=1)))
    found = {start: (0.0, 0.0)}
    while len(found) < count:
        left = [index for index in range(count) if index not in found]
        index, known = max(((i, j) for i in left for j in found), key=lambda pair: match[pair])
        if match[index, known] < 1.0:
            message = f"'{names[index]}' does not show the same as '{names[start]}', or is shifted too far."
            hint = "Leave it out, or use photos of one thing that differ in nothing but their light."
            raise JoinError("photos_differ", message, hint)
        down, right, _ = pairs[min(index, known), max(index, known)]
        sign = 1.0 if index < known else -1.0
        found[index] = (found[known][0] + sign * down, found[known][1] + sign * right)
    return [found[index] for index in range(count)]


class _Seen:
    """What of a photo is compared."""

    def __init__(self, photo: np.ndarray) -> None:
        small = shrunk(photo[..., :3], _SEEN_AT_MOST)[0].permute(1, 2, 0).double().numpy()
        self._scale = max(photo.shape[:2]) / max(small.shape[:2])
        logarithm = np.log(small.clip(0.0, None) + _EPSILON)
        grey = np.log(small.clip(0.0, None) @ np.array(LUMINANCE_WEIGHTS) + _EPSILON)
        fine = grey - blurred(grey, 3.0)
        edges = np.hypot(*np.gradient(blurred(grey, 0.7)))
        chroma = [logarithm[..., channel] - logarithm[..., 1] for channel in (0, 2)]
        self.colour = np.array([np.median(one) for one in chroma])
        features = [*(one - blurred(one, 8.0) for one in chroma), fine, edges - blurred(edges, 8.0)]
        self.energy = float(np.sqrt(np.mean([np.square(feature) for feature in features[:3]])))
        window = np.outer(*(np.hanning(side + 2)[1:-1] for side in grey.shape))
        self._shape = grey.shape
        spectra = []
        for feature in features:
            # Quiet against loud: a few strong edges, or the rim of a highlight, must not decide alone.
            spread = feature.std() + 1e-3
            spectra.append(np.fft.fft2(np.tanh(feature / spread) * window))
        self._spectra = spectra

    def shift_to(self, other: _Seen) -> tuple[float, float, float]:
        """What moves this photo onto another, down and right in its pixels; and how sure that is: 1 is enough."""
        if max(self.energy, other.energy) < _PLAIN:  # nothing to go by but the colour
            far = float(np.abs(self.colour - other.colour).max())
            return 0.0, 0.0, _OTHER_COLOUR / max(far, 1e-3)
        both = zip(self._spectra, other._spectra, strict=True)
        product = np.sum([_whitened(mine, theirs) for mine, theirs in both], axis=0)
        surface = np.fft.ifft2(product).real
        reach = max(1, round(REACH * min(self._shape)))
        steps = np.arange(-reach, reach + 1)
        near = surface[np.ix_(steps, steps)]
        row, column = np.unravel_index(int(near.argmax()), near.shape)
        if surface[0, 0] >= _STAYS * near[row, column]:
            row = column = reach
        outside = surface.copy()
        outside[np.ix_(steps, steps)] = np.nan
        chance = float(np.nanstd(outside))
        sure = float(near[row, column] / max(chance, 1e-12)) / _SURE
        down, right = _refined(product, int(steps[row]), int(steps[column]))
        return down * self._scale, right * self._scale, sure


def _whitened(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The cross-power spectrum, such that each feature counts the same and no frequency counts for all."""
    product = theirs * mine.conj()
    size = np.abs(product)
    return product / (np.sqrt(size * size.mean()) + 1e-12) / math.sqrt(product.size)


def _refined(product: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """The peak near a whole shift, to a twentieth of a pixel (Guizar-Sicairos et al. 2008: a small part of the inverse
    transform, at finer steps)."""
    steps = np.arange(-_FINER, _FINER + 1) / _FINER
    height, width = product.shape
    down, right = row + steps, column + steps
    rows = np.exp(2j * np.pi * np.outer(down, np.fft.fftfreq(height)))
    columns = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(width), right))
    fine = (rows @ product @ columns).real
    i, j = np.unravel_index(int(fine.argmax()), fine.shape)
    return float(down[i]), float(right[j])


def _moved(photo: np.ndarray, shift: tuple[float, float]) -> Aligned:
    height, width = photo.shape[:2]
    if max(map(abs, shift)) < _STILL:
        return Aligned(photo, np.ones((height, width), bool), (0.0, 0.0))
    down, right = (0.0 if abs(one) < _STILL else one for one in shift)
    moved = _along(_along(photo, down, 0), right, 1).clip(0.0, float(photo.max()))
    rows, columns = np.arange(height) - down, np.arange(width) - right
    inside = ((rows >= 0) & (rows <= height - 1))[:, None] & ((columns >= 0) & (columns <= width - 1))[None]
    return Aligned(moved.astype(np.float32), inside, (down, right))


def _along(photo: np.ndarray, shift: float, axis: int) -> np.ndarray:
    """Moved along one axis by cubic interpolation (Catmull-Rom), edges repeated; whole pixels stay bit for bit."""
    length = photo.shape[axis]
    first = math.floor(-shift)
    t = -shift - first
    if t == 0.0:
        weights = {0: 1.0}
    else:
        weights = {
            -1: -0.5 * t + t**2 - 0.5 * t**3,
            0: 1.0 - 2.5 * t**2 + 1.5 * t**3,
            1: 0.5 * t + 2.0 * t**2 - 1.5 * t**3,
            2: -0.5 * t**2 + 0.5 * t**3,
        }
    places = {step: (np.arange(length) + first + step).clip(0, length - 1) for step in weights}
    return sum(np.float32(weight) * photo.take(places[step], axis=axis) for step, weight in weights.items())  # type: ignore[return-value]
