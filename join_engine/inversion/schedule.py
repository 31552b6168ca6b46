# SPDX-License-Identifier: GPL-3.0-or-later
"""The learning-rate schedule of StyleGAN2's projector (Karras et al. 2020, appendix D)."""

from __future__ import annotations

import math


def ramped(progress: float, ramp_up: float = 0.05, ramp_down: float = 0.25) -> float:
    """Factor of the learning rate at ``progress`` in [0, 1]: linear up from 0, flat, down to 0 along a cosine."""
    down = min(1.0, (1.0 - progress) / ramp_down) if ramp_down else 1.0
    up = min(1.0, progress / ramp_up) if ramp_up else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * down)) * up
