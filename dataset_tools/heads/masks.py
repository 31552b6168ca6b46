# SPDX-License-Identifier: GPL-3.0-or-later
"""Where on a head something grows or has a colour: functions of the place on the base mesh, whatever the shape is.

Places are [N, 3] in metres on the base mesh; results are [N] in [0, 1].
"""

from __future__ import annotations

import numpy as np

# About the middle of the base mesh's skull, and its jaw's axis.
_SKULL = np.array((0.0, -0.055, 0.735))
_AXIS = np.array((0.0, -0.06))

# Degrees from the front (0) to the back of the head, and the hairline's elevation there. Just before the ear it
# dips to the sideburn.
_HAIRLINE = (
    (0, 20, 38, 52, 64, 72, 80, 84, 90, 104, 114, 130, 155, 180),
    (38, 39, 43, 36, 19, -2, -8, 8, 24, 22, -2, -30, -40, -42),
)
# Degrees from the front, and the heights at which a full beard ends above and below.
_BEARD_TOP = ((0, 9, 18, 28, 42, 58, 72, 82, 88), (0.680, 0.679, 0.672, 0.658, 0.656, 0.668, 0.690, 0.712, 0.720))
_BEARD_END = ((0, 40, 60, 80, 88), (0.612, 0.614, 0.622, 0.645, 0.675))


def _smooth(value: np.ndarray, low: float, high: float) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _ball(places: np.ndarray, center: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
    """1 at a centre, 0 beyond an ellipsoid; mirrored, so that a centre at x > 0 stands for both sides."""
    mirrored = places * (1.0, 1.0, 1.0)
    mirrored[:, 0] = np.abs(mirrored[:, 0])
    return 1.0 - _smooth(np.linalg.norm((mirrored - center) / radii, axis=1), 0.0, 1.0)


def scalp(places: np.ndarray, receding: float = 0.0) -> np.ndarray:
    """Where hair grows on the head; ``receding`` (0 to 1) moves the hairline up in front and thins the crown."""
    around = places - _SKULL
    azimuth = np.degrees(np.arctan2(np.abs(around[:, 0]), -around[:, 1]))
    elevation = np.degrees(np.arctan2(around[:, 2], np.hypot(around[:, 0], around[:, 1])))
    line = np.interp(azimuth, *_HAIRLINE)
    back = receding * (14.0 + 22.0 * np.exp(-(((azimuth - 36.0) / 16.0) ** 2))) * (1.0 - _smooth(azimuth, 50.0, 75.0))
    grown = _smooth(elevation - line - back, -2.5, 4.0)
    crown = _ball(places, (0.0, 0.0, 0.845), (0.075, 0.085, 0.06))
    return grown * (1.0 - np.clip(1.6 * receding - 0.4, 0.0, 1.0) * crown)


def beard(places: np.ndarray, part: str = "full") -> np.ndarray:
    """Where a beard grows: the "full" one, the "goatee" with the moustache, or the "moustache" alone."""
    azimuth = np.degrees(np.arctan2(np.abs(places[:, 0] - _AXIS[0]), -(places[:, 1] - _AXIS[1])))
    height = places[:, 2]
    below = _smooth(np.interp(azimuth, *_BEARD_TOP) - height, -0.002, 0.004)
    above = _smooth(height - np.interp(azimuth, *_BEARD_END), -0.004, 0.008)
    grown = below * above * (1.0 - _smooth(azimuth, 83.0, 88.0)) * (places[:, 1] < -0.05)
    upper = _smooth(height, 0.660, 0.664) * (1.0 - _smooth(azimuth, 15.0, 19.0))
    if part == "moustache":
        return grown * upper
    if part == "goatee":
        chin = (1.0 - _smooth(azimuth, 13.0, 18.0)) * (1.0 - _smooth(height, 0.650, 0.668))
        return grown * np.maximum(upper, chin)
    return grown


def brows(places: np.ndarray, thickness: float, arch: float) -> np.ndarray:
    """Where the brows grow: ``thickness`` in metres at their inner ends, ``arch`` in metres."""
    x = np.abs(places[:, 0])
    along = (x - 0.013) / 0.042
    middle = 0.7508 + arch * np.sin(np.pi * np.clip(0.12 + 0.78 * along, 0.0, 1.0)) - 0.004 * along**2
    half = 0.5 * thickness * np.clip(1.05 - 0.8 * along, 0.12, 1.0)
    inside = 1.0 - _smooth(np.abs(places[:, 2] - middle) / half, 0.7, 1.1)
    ends = _smooth(along, -0.04, 0.08) * (1.0 - _smooth(along, 0.85, 1.05))
    return inside * ends * (places[:, 1] < -0.08)


def blush(places: np.ndarray) -> np.ndarray:
    """Where blood shows: cheeks, the nose's tip, ears and chin."""
    cheeks = _ball(places, (0.045, -0.125, 0.690), (0.032, 0.05, 0.030))
    nose = _ball(places, (0.0, -0.165, 0.690), (0.016, 0.03, 0.014))
    ears = _ball(places, (0.082, -0.045, 0.705), (0.02, 0.035, 0.05))
    chin = 0.5 * _ball(places, (0.0, -0.150, 0.632), (0.018, 0.03, 0.012))
    return np.clip(cheeks + 0.9 * nose + 0.8 * ears + chin, 0.0, 1.0)


def sockets(places: np.ndarray) -> np.ndarray:
    """Around the eyes, where skin is thin and dark."""
    return _ball(places, (0.030, -0.135, 0.722), (0.024, 0.03, 0.016))


def freckles(places: np.ndarray) -> np.ndarray:
    """Where freckles are: across nose and cheeks, and thinly on the forehead."""
    band = _ball(places, (0.030, -0.14, 0.702), (0.050, 0.06, 0.030))
    nose = _ball(places, (0.0, -0.16, 0.705), (0.02, 0.04, 0.03))
    forehead = 0.4 * _ball(places, (0.0, -0.15, 0.785), (0.06, 0.06, 0.035))
    return np.clip(band + nose + forehead, 0.0, 1.0)


def folds(places: np.ndarray) -> np.ndarray:
    """Where age draws lines: the forehead and beside the eyes."""
    forehead = _ball(places, (0.0, -0.15, 0.785), (0.055, 0.06, 0.032))
    beside = _ball(places, (0.052, -0.115, 0.725), (0.016, 0.03, 0.018))
    return np.clip(forehead + beside, 0.0, 1.0)
