# SPDX-License-Identifier: GPL-3.0-or-later
"""Learned directions in a generator's latent space, as the part of a bank that they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class DirectionVectors(nn.Module):
    """One vector per name, ``vectors`` [names, L, w_dim]: L is 1 (W) or one per layer (W+)."""

    vectors: Tensor

    def __init__(self, names: int, layers: int, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(names, layers, w_dim))
