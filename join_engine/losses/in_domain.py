# SPDX-License-Identifier: GPL-3.0-or-later
"""The in-domain loss (JoIN's Eq. 7): the baseline that the kNN loss replaces."""

from __future__ import annotations

import torch
from torch import Tensor


def in_domain_loss(w: Tensor, mean: Tensor) -> Tensor:
    """‖w − w̄‖₂ of Eq. 7: codes [B, L, D] and their mean [D] → loss [B], the mean over L.

    The gradient at the mean itself, where an inversion starts, is 0.
    """
    return torch.linalg.vector_norm(w - mean, dim=-1).mean(dim=1)
