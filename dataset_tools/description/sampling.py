# SPDX-License-Identifier: GPL-3.0-or-later
"""Small random draws that return plain Python numbers, so that descriptions stay JSON data."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from dataset_tools.description.covering import Color, Vector
from join_engine.color import srgb_decode

T = TypeVar("T")

# Range of base colours, linear: darker makes shading ill-conditioned, lighter is not found in real materials.
DARKEST = 0.02
LIGHTEST = 0.85


def uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high)."""
    return float(rng.uniform(low, high))


def warmth(rng: np.random.Generator, strength: float) -> Color:
    """The colour of a light, yellow or blue."""
    drawn = uniform(rng, -strength, strength)
    return (1.0 + drawn, 1.0, 1.0 - drawn)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number in [low, high) whose logarithm is uniform: for sizes and intensities."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def choose(rng: np.random.Generator, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of ``options``; ``weights`` need not sum to one."""
    chances = None if weights is None else np.asarray(weights, np.float64) / np.sum(weights)
    return options[int(rng.choice(len(options), p=chances))]


def vector(rng: np.random.Generator, low: Vector, high: Vector) -> Vector:
    """A point in the box from ``low`` to ``high``."""
    x, y, z = (uniform(rng, a, b) for a, b in zip(low, high, strict=True))
    return (x, y, z)


def from_hsv(hue: float, saturation: float, value: float) -> Color:
    """A linear colour inside the albedo range from hue, saturation and value as seen (sRGB-encoded)."""
    encoded = np.array(colorsys.hsv_to_rgb(hue % 1.0, saturation, value))
    r, g, b = (float(c) for c in np.clip(srgb_decode(encoded), DARKEST, LIGHTEST))
    return (r, g, b)


def palette(rng: np.random.Generator, count: int, lightest: float = 0.97, darkest: float = 0.3) -> tuple[Color, ...]:
    """``count`` linear base colours that can be told apart: one anchor and companions of other value or other hue.

    ``darkest`` and ``lightest`` bound the sRGB-encoded value of the colours.
    """
    hue = uniform(rng, 0.0, 1.0)
    # A third of real surfaces is nearly grey; the rest has a clear hue.
    saturation = uniform(rng, 0.0, 0.15) if rng.random() < 0.35 else uniform(rng, 0.2, 0.72)
    value = uniform(rng, darkest, lightest)
    colors = [from_hsv(hue, saturation, value)]
    for _ in range(count - 1):
        # Move the value away from the anchor's, to whichever side has room.
        step = uniform(rng, 0.12, 0.34) * (-1.0 if value > 0.5 * (darkest + lightest) else 1.0)
        other_hue = hue + (uniform(rng, -0.06, 0.06) if rng.random() < 0.75 else uniform(rng, 0.2, 0.8))
        other_saturation = float(np.clip(saturation + uniform(rng, -0.25, 0.25), 0.0, 0.75))
        colors.append(from_hsv(other_hue, other_saturation, float(np.clip(value + step, darkest, lightest))))
    return tuple(colors)


def natural(rng: np.random.Generator, *palettes: Sequence[str]) -> tuple[Color, ...]:
    """One of the given palettes (sRGB hex colours, such as "#7a4a2b"), moved a little in hue, saturation and value.

    All colours of the palette move together in hue and value, as one batch of a real material does, and a little by
    themselves.
    """
    chosen = palettes[int(rng.integers(len(palettes)))]
    hue, saturation = uniform(rng, -0.025, 0.025), uniform(rng, 0.7, 1.25)
    value = uniform(rng, 0.82, 1.15)
    colors = []
    for anchor in chosen:
        h, s, v = colorsys.rgb_to_hsv(*(int(anchor[i : i + 2], 16) / 255.0 for i in (1, 3, 5)))
        own = uniform(rng, 0.94, 1.06)
        colors.append(from_hsv(h + hue, min(s * saturation, 1.0), min(v * value * own, 1.0)))
    return tuple(colors)


def palettes(*known: Sequence[str]) -> Callable[[np.random.Generator], tuple[Color, ...]]:
    """What draws :func:`natural` colours of these palettes."""
    return lambda rng: natural(rng, *known)
