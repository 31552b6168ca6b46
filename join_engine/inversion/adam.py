# SPDX-License-Identifier: GPL-3.0-or-later
"""Adam for a search among codes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Kingma and Ba 2015, to the bit what ``torch.optim.Adam`` does with its defaults.

    Torch's own imports its compiler when the first one is made, which takes the better part of a second: as long as the
    whole search of the default preset. ``variables``: leaf tensors.
    """

    def __init__(self, variables: Sequence[Tensor]) -> None:
        self._variables = list(variables)
        self._means = [torch.zeros_like(variable) for variable in variables]
        self._squares = [torch.zeros_like(variable) for variable in variables]
        self._steps = 0

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the variables by their gradients, which are forgotten; one without a gradient stays."""
        self._steps += 1
        size = rate / (1.0 - _FIRST**self._steps)
        correction = math.sqrt(1.0 - _SECOND**self._steps)
        for variable, mean, square in zip(self._variables, self._means, self._squares, strict=True):
            gradient = variable.grad
            if gradient is None:
                continue
            mean.lerp_(gradient, 1.0 - _FIRST)
            square.mul_(_SECOND).addcmul_(gradient, gradient, value=1.0 - _SECOND)
            variable.addcdiv_(mean, (square.sqrt() / correction).add_(_EPSILON), value=-size)
            variable.grad = None
