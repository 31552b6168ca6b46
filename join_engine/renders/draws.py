# SPDX-License-Identifier: GPL-3.0-or-later
"""Random draws that depend on a seed and on what they are for, and on nothing that happened before.

A training that is resumed at step k draws what it would have drawn without the interruption, and no random state has
to be stored.
"""

from __future__ import annotations

import numpy as np
import torch


def seed_of(*keys: int) -> int:
    """One seed for these keys (seed, step, purpose …), unlike that of any others."""
    # torch looks at 32 bits of a seed only, so the keys are hashed into them.
    (state,) = np.random.SeedSequence(keys).generate_state(1)
    return int(state)


def draws(*keys: int) -> torch.Generator:
    """A generator on the CPU for these keys."""
    return torch.Generator().manual_seed(seed_of(*keys))


def uniform(rng: torch.Generator, count: int, low: float, high: float) -> torch.Tensor:
    """[count, 1, 1, 1] values in [low, high), one per image."""
    return low + (high - low) * torch.rand(count, 1, 1, 1, generator=rng)
