# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a sample until nothing is against it: what is not finite, empty, black or blown out is drawn anew.

No bpy: the caller brings the renderer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.scene import Scene
from dataset_tools.errors import SampleError
from dataset_tools.rendering import metering
from dataset_tools.storage.passes import ALPHA, COMBINED, Passes

# How often a sample may be redrawn before its seed is called hopeless.
ATTEMPTS = 8

_LARGEST_HALF = 65504.0
# An image whose 95th percentile stays below this would be under 6% in 8-bit sRGB.
_BLACK = 0.005
# White in sRGB in all channels, over more than this share of the frame: nothing to be read there.
_WHITE = 1.0
_WHITE_SHARE = 0.5
# Pixels where nothing reflects are background; some at the rim of an object do no harm.
_BACKGROUND_SHARE = 0.25
# A cut-out has to show this much of things.
_THINGS_SHARE = 0.08
# Spread of the image relative to its mean: below it there is no edge, no gradient and no texture.
_FLAT = 1e-3


def reasons(passes: Passes) -> tuple[str, ...]:
    """Why to refuse a sample: any of "not finite", "empty", "black", "blown out"; () when it is good.

    ``passes`` are the eleven passes and the combined image, [H, W, 3] linear; a cut-out's alpha [H, W] among them says
    what to look at.
    """
    # Alone: of what is not finite nothing else can be said. What half floats cannot hold is infinite to us.
    if not all(np.all(np.abs(layer) <= _LARGEST_HALF) for layer in passes.values()):
        return ("not finite",)
    shown = passes[ALPHA] > 0.5 if ALPHA in passes else np.ones(passes[COMBINED].shape[:2], bool)
    if float(shown.mean()) < _THINGS_SHARE:
        return ("empty",)
    image = passes[COMBINED][shown]
    found = {
        "empty": _is_empty(passes, shown),
        "black": float(np.percentile(image.max(axis=-1), 95.0)) < _BLACK,
        "blown out": float(np.mean(image.min(axis=-1) >= _WHITE)) > _WHITE_SHARE,
    }
    return tuple(reason for reason, applies in found.items() if applies)


def _is_empty(passes: Passes, shown: np.ndarray) -> bool:
    """No surface in a large part of what is shown [H, W], or the same value everywhere there."""
    reflects = np.maximum(passes["diffuse_color"], passes["glossy_color"])[shown].max(axis=-1) > 0.0
    image = passes[COMBINED][shown]
    return float(np.mean(~reflects)) > _BACKGROUND_SHARE or float(image.std()) <= _FLAT * float(image.mean())


@dataclass(frozen=True)
class Rendered:
    """Passes and combined image by name, [H, W, 3] float32 linear (of a cut-out also alpha, [H, W]), and the seconds
    that Cycles spent sampling them."""

    passes: dict[str, np.ndarray]
    sampling_seconds: float


@dataclass(frozen=True)
class Take:
    """A render that passed, its scene, and for each attempt before it the reasons for which it was refused.

    ``sampling_seconds`` count all attempts. ``exposure`` is what the light in the passes was multiplied by, None where
    the scene has no camera that meters.
    """

    scene: Scene
    passes: dict[str, np.ndarray]
    rejected: tuple[str, ...]
    sampling_seconds: float
    exposure: float | None = None


def take(describe: Callable[[int], Scene], render: Callable[[Scene], Rendered], label: str) -> Take:
    """Render what ``describe(attempt)`` says, from attempt 0 on, until the gate has nothing against it.

    Raises SampleError, which begins with ``label``, when it refuses all of ATTEMPTS.
    """
    rejected: list[str] = []
    sampling_seconds = 0.0
    for attempt in range(ATTEMPTS):
        scene = describe(attempt)
        rendered = render(scene)
        sampling_seconds += rendered.sampling_seconds
        shown, exposure = metered(rendered.passes, scene)
        found = reasons(shown)
        if not found:
            return Take(scene, shown, tuple(rejected), sampling_seconds, exposure)
        rejected.append(" and ".join(found))
    raise SampleError(f"{label} came out {rejected[-1]} in {ATTEMPTS} attempts: choose another --seed.")


def metered(passes: dict[str, np.ndarray], scene: Scene) -> tuple[dict[str, np.ndarray], float | None]:
    """The passes in the camera's units, and the factor that brought their light there, where the scene is metered."""
    if scene.metering is None:
        return passes, None
    factor = metering.exposure(passes, scene.metering)
    return metering.exposed(passes, factor), factor
