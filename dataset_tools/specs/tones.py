# SPDX-License-Identifier: GPL-3.0-or-later
"""Tones of skin by the individual typology angle, arctan((L* − 50) / b*) in degrees (Chardon et al. 1991)."""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.covering import Color

# The six usual classes from the lightest to the darkest, and the range of each in degrees.
TONES: dict[str, tuple[float, float]] = {
    "very light": (55.0, 63.0),
    "light": (41.0, 55.0),
    "intermediate": (28.0, 41.0),
    "tan": (10.0, 28.0),
    "brown": (-30.0, 10.0),
    "dark": (-64.0, -30.0),
}

# Skin from dark to light: L*, and a* and b* that usually go with it (as spectrophotometers find on faces).
_LIGHTNESS = (26.0, 32.0, 40.0, 48.0, 55.0, 61.0, 67.0, 74.0)
_REDNESS = (7.0, 9.5, 12.0, 13.0, 12.5, 11.5, 10.0, 8.0)
_YELLOWNESS = (7.0, 11.0, 16.0, 19.0, 20.0, 18.5, 15.5, 12.0)
_WHITE = (0.95047, 1.0, 1.08883)
_FROM_XYZ = np.array(((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570)))


def skin_color(ita: float, ruddy: float, sallow: float) -> Color:
    """Linear Rec.709 of a skin of that angle; ``ruddy`` and ``sallow`` (−1 to 1) make it redder and yellower than most.

    Raises ValueError for an angle that no skin has.
    """
    if not TONES["dark"][0] <= ita <= TONES["very light"][1]:
        raise ValueError(f"no skin has a typology angle of {ita:g} degrees")
    yellow = 2.0 * sallow
    low, high = _LIGHTNESS[0], _LIGHTNESS[-1]
    for _ in range(40):
        middle = 0.5 * (low + high)
        found = math.degrees(math.atan2(middle - 50.0, float(np.interp(middle, _LIGHTNESS, _YELLOWNESS)) + yellow))
        low, high = (middle, high) if found < ita else (low, middle)
    lightness = 0.5 * (low + high)
    a = float(np.interp(lightness, _LIGHTNESS, _REDNESS)) + 2.2 * ruddy
    b = float(np.interp(lightness, _LIGHTNESS, _YELLOWNESS)) + yellow
    r, g, blue = (float(c) for c in np.clip(_linear(lightness, a, b), 0.008, 0.85))
    return (r, g, blue)


def _linear(lightness: float, a: float, b: float) -> np.ndarray:
    fy = (lightness + 16.0) / 116.0
    xyz = np.array([_cube(fy + a / 500.0), _cube(fy), _cube(fy - b / 200.0)]) * _WHITE
    return np.asarray(_FROM_XYZ @ xyz)


def _cube(value: float) -> float:
    return value**3 if value > 6.0 / 29.0 else 3.0 * (6.0 / 29.0) ** 2 * (value - 4.0 / 29.0)
