# SPDX-License-Identifier: GPL-3.0-or-later
"""Transfer curves and tone maps: the one place in the project where colour is computed.

Every function works on numpy arrays and on torch tensors alike and imports neither, so that Blender, the
renderer and the engine share the same curves. Values are scene-linear Rec.709 unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# numpy.ndarray or torch.Tensor: anything with .clip(low, high) and arithmetic.
Array = Any

_SRGB_LINEAR_KNEE = 0.0031308
_SRGB_ENCODED_KNEE = 0.04045
# Encoded sRGB stops following the power curve here (a linear 2.2): a generator that overshoots keeps a bounded slope.
_SRGB_ENCODED_LIMIT = 1.5
# Reinhard's inverse has a pole at 1. Beyond this tone-mapped value (a linear 24) it goes on as its tangent.
_REINHARD_LIMIT = 0.96

LUMINANCE_WEIGHTS = (0.2126, 0.7152, 0.0722)


def srgb_encode(linear: Array) -> Array:
    """Piecewise sRGB curve (IEC 61966-2-1), linear → encoded; any shape. Negative values continue linearly.

    Its exponent is the γ = 2.4 of JoIN's "gamma/sRGB tone-mapping" (section 7) and the ``sRGB()`` of Eq. 5 and 6.
    Written as a sum of two clipped terms, so that no gradient of an unused branch can become NaN.
    """
    toe = linear.clip(None, _SRGB_LINEAR_KNEE) * 12.92
    shoulder = linear.clip(_SRGB_LINEAR_KNEE, None) ** (1 / 2.4) * 1.055
    return toe + (shoulder - 1.055 * _SRGB_LINEAR_KNEE ** (1 / 2.4))


def srgb_decode(encoded: Array) -> Array:
    """Inverse of :func:`srgb_encode`, encoded → linear; any shape.

    Finite with a finite gradient everywhere: above an encoded 1.5 it continues along its tangent.
    """
    toe = encoded.clip(None, _SRGB_ENCODED_KNEE) / 12.92
    base = (encoded.clip(_SRGB_ENCODED_KNEE, _SRGB_ENCODED_LIMIT) + 0.055) / 1.055
    offset = ((_SRGB_ENCODED_KNEE + 0.055) / 1.055) ** 2.4
    limit_slope = 2.4 / 1.055 * ((_SRGB_ENCODED_LIMIT + 0.055) / 1.055) ** 1.4
    beyond = (encoded.clip(_SRGB_ENCODED_LIMIT, None) - _SRGB_ENCODED_LIMIT) * limit_slope
    return toe + (base**2.4 - offset) + beyond


def reinhard_encode(linear: Array) -> Array:
    """Global Reinhard tone map x / (1 + x), linear [0, ∞) → [0, 1); any shape. Negative values count as 0."""
    positive = linear.clip(0.0, None)
    return positive / (positive + 1.0)


def reinhard_decode(encoded: Array) -> Array:
    """Inverse of :func:`reinhard_encode`, y / (1 − y); any shape.

    Finite with a finite gradient everywhere: above y = 0.96 (a linear 24) it continues along its tangent, where
    the exact inverse has a pole; below 0 it follows y / (1 − y), which tends to −1.
    """
    below = encoded.clip(None, _REINHARD_LIMIT)
    beyond = (encoded.clip(_REINHARD_LIMIT, None) - _REINHARD_LIMIT) / (1.0 - _REINHARD_LIMIT) ** 2
    return below / (1.0 - below) + beyond


@dataclass(frozen=True)
class ComponentTransform:
    """T of JoIN's Eq. 2: between a linear component and the [-1, 1] in which its generator works."""

    name: str
    encode: Callable[[Array], Array]
    decode: Callable[[Array], Array]

    def to_generator(self, linear: Array) -> Array:
        """T: linear component → generator's range, [-1, 1] for all that can be rendered; any shape."""
        return self.encode(linear) * 2.0 - 1.0

    def from_generator(self, output: Array) -> Array:
        """T⁻¹ of Eq. 2: generator output → linear component; any shape, finite for any finite input."""
        return self.decode((output + 1.0) * 0.5)


COMPONENT_TRANSFORMS = {
    "srgb": ComponentTransform("srgb", srgb_encode, srgb_decode),
    "reinhard": ComponentTransform("reinhard", reinhard_encode, reinhard_decode),
}
