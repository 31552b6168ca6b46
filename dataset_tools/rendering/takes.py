# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendering a sample until the quality gate lets it through. No bpy: the caller brings the renderer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.scene import Scene
from dataset_tools.errors import SampleError
from dataset_tools.rendering import gate, metering


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

    Raises SampleError, which begins with ``label``, when it refuses all of gate.ATTEMPTS.
    """
    rejected: list[str] = []
    sampling_seconds = 0.0
    for attempt in range(gate.ATTEMPTS):
        scene = describe(attempt)
        rendered = render(scene)
        sampling_seconds += rendered.sampling_seconds
        shown, exposure = metered(rendered.passes, scene)
        reasons = gate.reasons(shown)
        if not reasons:
            return Take(scene, shown, tuple(rejected), sampling_seconds, exposure)
        rejected.append(" and ".join(reasons))
    raise SampleError(f"{label} came out {rejected[-1]} in {gate.ATTEMPTS} attempts: choose another --seed.")


def metered(passes: dict[str, np.ndarray], scene: Scene) -> tuple[dict[str, np.ndarray], float | None]:
    """The passes in the camera's units, and the factor that brought their light there, where the scene is metered."""
    if scene.metering is None:
        return passes, None
    factor = metering.exposure(passes, scene.metering)
    return metering.exposed(passes, factor), factor
