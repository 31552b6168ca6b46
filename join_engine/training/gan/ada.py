# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller of adaptive discriminator augmentation (Karras et al. 2020, arXiv:2006.06676, section 3.1).

A discriminator that overfits calls nearly all training images real. The augmentation's strength p goes up while the
mean sign of D(real) is above a target, and down while it is below.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Steps between adjustments, and the thousands of images in which p can travel from 0 to 1; as published.
_INTERVAL = 4
_TRAVEL_KIMG = 500.0


class AdaController:
    """Adjusts p, and stays on the device: reading p is the only thing that waits for it.

    Args:
        target: wanted mean sign of D(real), 0.6 in the paper.
        travel_kimg: thousand images in which p may go from 0 to 1.

    Attributes:
        p: probability of each augmentation, a scalar in [0, 1].
    """

    def __init__(
        self, target: float = 0.6, travel_kimg: float = _TRAVEL_KIMG, device: torch.device | str = "cpu"
    ) -> None:
        self.target = target
        self.travel = travel_kimg * 1000.0
        self.p = torch.zeros((), device=device)
        # Sum of the signs since the last adjustment, steps and images that went into it.
        self.seen = torch.zeros(3, device=device)

    def observe(self, sign: Tensor, batch: int) -> None:
        """Take in the mean sign of D(real) over a whole batch, a scalar without gradient."""
        counts = torch.tensor([1.0, float(batch)]).to(self.seen)
        self.seen = self.seen + torch.cat([sign.to(self.seen).view(1), counts])

    def adjust(self, steps: int) -> None:
        """Move p when it is time; ``steps`` counts the steps done."""
        if steps % _INTERVAL:
            return
        total, count, images = self.seen.unbind()
        direction = (total / count.clamp(min=1) - self.target).sign()
        self.p = (self.p + direction * images / self.travel).clamp(0.0, 1.0)
        self.seen = torch.zeros_like(self.seen)

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint stores."""
        return {"p": self.p, "seen": self.seen}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of :meth:`tensors`; raises KeyError when something lacks."""
        self.p = tensors["p"].to(self.p)
        self.seen = tensors["seen"].to(self.seen)
