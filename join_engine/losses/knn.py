# SPDX-License-Identifier: GPL-3.0-or-later
"""The kNN loss of JoIN (section 3.4, Eq. 8–10): keeps a latent code among the codes that its generator knows."""

from __future__ import annotations

import torch
from torch import Tensor

_MORE = 14  # candidates beyond k


class KnnLoss:
    """Softmax-weighted mean distance from a code to its nearest neighbours among sampled codes.

    With d_j = ‖w − w_j‖₂ for the k nearest codes w_j and their mean distance d̄ = (1/k) Σ_j d_j:

    - Eq. 10 gives d̄. It prints a sum and calls it "the mean distance to nearest neighbors": it is the mean.
    - Eq. 9 gives D = Σ_j exp(−0.5 d_j / d̄).
    - Eq. 8 gives the loss Σ_j d_j exp(−0.5 d_j / d̄) / D.

    The neighbours are exact, found anew at each call: matrix products with the resident codes, in chunks, give a few
    more candidates than needed, of which the true distances choose. The gradient is that of the whole expression,
    weights included, with the neighbours held; it is finite where a code is hit.

    Args:
        codes: [N, D], the sampled codes (the paper: 100,000, of truncated z).
        neighbours: k (the paper: 50); all codes, where there are fewer.
        chunk_bytes: how large a table of closeness may become.
    """

    def __init__(self, codes: Tensor, neighbours: int = 50, chunk_bytes: int = 64 * 2**20) -> None:
        self.codes = codes
        self.neighbours = min(neighbours, len(codes))
        self._candidates = min(self.neighbours + _MORE, len(codes))
        self._chunk_bytes = chunk_bytes
        # About their mean, where the squares are small and little is lost to rounding.
        self._mean = codes.mean(dim=0)
        self._centred = codes - self._mean
        self._half_squares = self._centred.square().sum(dim=1) * 0.5  # [N]

    @property
    def resident_bytes(self) -> int:
        """What is held in memory between calls, the codes themselves included."""
        return sum(part.numel() * part.element_size() for part in (self.codes, self._centred, self._half_squares))

    def __call__(self, w: Tensor) -> Tensor:
        """Latent codes [B, L, D] → loss [B], the mean over the L codes of one item (L is 1 in W space)."""
        batch, per_item, width = w.shape
        flat = w.reshape(-1, width)
        distances = _safe_norm(flat[:, None] - self.codes[self.nearest(flat)])  # [B·L, k]
        mean = distances.mean(dim=1, keepdim=True)  # Eq. 10
        # All k neighbours can only be hit at once where they are one and the same code: then any weights will do.
        scaled = distances / mean.clamp_min(torch.finfo(w.dtype).tiny)
        weights = torch.softmax(-0.5 * scaled, dim=1)  # Eq. 9 within Eq. 8
        return (distances * weights).sum(dim=1).reshape(batch, per_item).mean(dim=1)

    @torch.no_grad()
    def nearest(self, w: Tensor) -> Tensor:
        """Indices [M, k] of the nearest codes to w [M, D], in no order."""
        rows = max(1, self._chunk_bytes // (len(self.codes) * w.element_size()))
        return torch.cat([self._nearest(part) for part in w.split(rows)])

    def _nearest(self, w: Tensor) -> Tensor:
        """‖w − c‖² is smallest where w·c − ‖c‖²/2 is largest; rounding is mended among the candidates."""
        closeness = torch.addmm(self._half_squares, w - self._mean, self._centred.T, beta=-1)  # [M, N]
        found = closeness.topk(self._candidates, dim=1, sorted=False).indices
        squared = (w[:, None] - self.codes[found]).square().sum(dim=2)
        return found.gather(1, squared.topk(self.neighbours, dim=1, largest=False, sorted=False).indices)


def _safe_norm(difference: Tensor) -> Tensor:
    """Euclidean norm over the last axis, with gradient 0 instead of 0/0 where the difference is zero."""
    squared = difference.square().sum(dim=-1)
    hit = squared == 0
    return torch.where(hit, squared, torch.where(hit, 1.0, squared).sqrt())
