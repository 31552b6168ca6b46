# SPDX-License-Identifier: GPL-3.0-or-later
"""The kNN loss of JoIN (section 3.4, Eq. 8–10), which keeps a latent code among the codes that its generator knows; and
the in-domain loss (Eq. 7), the baseline that it replaces.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MORE = 14  # candidates beyond k
# Codes that are kept near at hand while a code is followed: fewer are left too soon, more take longer to look through.
_SHELL = 512
_SLACK = 1e-4  # of a distance; more than rounding can hide
_SOON = 0.5  # of the way that a code may move before it must be searched for anew


class KnnLoss:
    """Softmax-weighted mean distance from a code to its nearest neighbours among sampled codes.

    With d_j = ‖w − w_j‖₂ for the k nearest codes w_j and their mean distance d̄ = (1/k) Σ_j d_j:

    - Eq. 10 gives d̄. It prints a sum and calls it "the mean distance to nearest neighbors": it is the mean.
    - Eq. 9 gives D = Σ_j exp(−0.5 d_j / d̄).
    - Eq. 8 gives the loss Σ_j d_j exp(−0.5 d_j / d̄) / D.

    The neighbours are exact, found anew at each call: matrix products with the resident codes, in chunks, give a few
    more candidates than needed, of which the true distances choose. The gradient is that of the whole expression,
    weights included, with the neighbours held; it is finite where a code is hit. For codes that move little from call
    to call, :meth:`follow` finds the same neighbours in a fraction of the time.

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
        return self.among(w, self.nearest(w.reshape(-1, w.shape[-1])))

    def follow(self) -> Follower:
        """The same loss for the codes of one optimisation."""
        return Follower(self)

    def among(self, w: Tensor, nearest: Tensor) -> Tensor:
        """Latent codes [B, L, D] and the indices [B·L, k] of their neighbours → loss [B]."""
        batch, per_item, width = w.shape
        flat = w.reshape(-1, width)
        distances = _safe_norm(flat[:, None] - self.codes[nearest])  # [B·L, k]
        mean = distances.mean(dim=1, keepdim=True)  # Eq. 10
        # All k neighbours can only be hit at once where they are one and the same code: then any weights will do.
        scaled = distances / mean.clamp_min(torch.finfo(w.dtype).tiny)
        weights = torch.softmax(-0.5 * scaled, dim=1)  # Eq. 9 within Eq. 8
        return (distances * weights).sum(dim=1).reshape(batch, per_item).mean(dim=1)

    @torch.no_grad()
    def nearest(self, w: Tensor) -> Tensor:
        """Indices [M, k] of the nearest codes to w [M, D], in no order."""
        return torch.cat([self.choose(part, self._closeness(part))[0] for part in self._chunks(w)])

    @torch.no_grad()
    def near(self, w: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Indices [M, count] of the nearest codes to w [M, D], and the distance [M] of the farthest of them; both but
        for rounding."""
        found = [self._closeness(part).topk(count, dim=1, sorted=False) for part in self._chunks(w)]
        closeness = torch.cat([part.values.amin(dim=1) for part in found])
        squared = self.centre(w).square().sum(dim=1) - 2.0 * closeness
        return torch.cat([part.indices for part in found]), squared.clamp_min(0.0).sqrt()

    def choose(self, w: Tensor, closeness: Tensor, shell: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of codes with a ``closeness`` [M, C], the indices [M, k] of the nearest and the distance [M] of the farthest.

        Rounding of the closeness is mended among a few more than are needed. ``shell``: [M, C], which codes they are;
        None: all, C is N.
        """
        found = closeness.topk(min(self._candidates, closeness.shape[1]), dim=1, sorted=False).indices
        found = found if shell is None else shell.gather(1, found)
        squared = (w[:, None] - self.codes[found]).square().sum(dim=2)
        nearest = squared.topk(self.neighbours, dim=1, largest=False, sorted=False)
        return found.gather(1, nearest.indices), nearest.values.amax(dim=1).sqrt()

    def centre(self, w: Tensor) -> Tensor:
        """Codes [..., D] less the mean of all."""
        return w - self._mean

    def centred(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Sampled codes [..., D] less their mean, and half of their squared length [...]."""
        return self._centred[indices], self._half_squares[indices]

    def _chunks(self, w: Tensor) -> tuple[Tensor, ...]:
        return w.split(max(1, self._chunk_bytes // (len(self.codes) * w.element_size())))

    def _closeness(self, w: Tensor) -> Tensor:
        """[M, N]; ‖w − c‖² is smallest where w·c − ‖c‖²/2 is largest."""
        return torch.addmm(self._half_squares, self.centre(w), self._centred.T, beta=-1)


class Follower:
    """:class:`KnnLoss` for codes that move: their neighbours, exact as ever, are looked for in a shell around them.

    The shell of a code holds all codes within a radius of where it was when it was last searched for among all. As long
    as its k-th neighbour within the shell is nearer than the radius less the way that it has moved, no code outside can
    be nearer (the triangle inequality; the neighbour lists of molecular dynamics rest on it). Else it is searched for
    anew, and with it those that soon would be: the search reads all codes from memory, however many it serves.

    Calls must bring the same number of codes in the same order. What one code gets does not depend on the others.
    ``searches``: how often all codes were gone through.
    """

    def __init__(self, loss: KnnLoss) -> None:
        self._loss = loss
        self._count = min(max(_SHELL, 4 * loss.neighbours), len(loss.codes))
        self._shell = torch.empty(0, 0, dtype=torch.long)  # [M, C] indices
        self._codes = self._half_squares = self._centre = self._radius = torch.empty(0)
        self.searches = 0

    def __call__(self, w: Tensor) -> Tensor:
        """As :meth:`KnnLoss.__call__`."""
        return self._loss.among(w, self.nearest(w.detach().reshape(-1, w.shape[-1])))

    @torch.no_grad()
    def nearest(self, w: Tensor) -> Tensor:
        """As :meth:`KnnLoss.nearest`."""
        if len(self._shell) != len(w):
            self._begin(w)
        else:
            nearest, farthest = self._within(w)
            margin = self._radius - farthest
            moved = torch.linalg.vector_norm(w - self._centre, dim=1)
            if bool((moved < margin).all()):
                return nearest
            self._search(w, ~(moved < _SOON * margin))
        return self._within(w)[0]

    def _begin(self, w: Tensor) -> None:
        self._shell = w.new_empty(len(w), self._count, dtype=torch.long)
        self._codes = w.new_empty(len(w), self._count, w.shape[1])
        self._half_squares = w.new_empty(len(w), self._count)
        self._centre, self._radius = torch.empty_like(w), w.new_empty(len(w))
        self._search(w, torch.ones(len(w), dtype=torch.bool, device=w.device))

    def _search(self, w: Tensor, which: Tensor) -> None:
        """Shells around the codes ``which`` [M] of w [M, D]."""
        shell, edge = self._loss.near(w[which], self._count)
        self._centre[which], self._shell[which] = w[which], shell
        self._codes[which], self._half_squares[which] = self._loss.centred(shell)
        all_of_them = self._count == len(self._loss.codes)
        self._radius[which] = torch.inf if all_of_them else edge * (1.0 - _SLACK)
        self.searches += 1

    def _within(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """Of the shells: indices [M, k] of the nearest codes, and the distance [M] of the farthest of them."""
        centred = self._loss.centre(w)[:, :, None]
        closeness = torch.baddbmm(self._half_squares[:, :, None], self._codes, centred, beta=-1).squeeze(2)  # [M, C]
        return self._loss.choose(w, closeness, self._shell)


def _safe_norm(difference: Tensor) -> Tensor:
    """Euclidean norm over the last axis, with gradient 0 instead of 0/0 where the difference is zero."""
    squared = difference.square().sum(dim=-1)
    hit = squared == 0
    return torch.where(hit, squared, torch.where(hit, 1.0, squared).sqrt())


def in_domain_loss(w: Tensor, mean: Tensor) -> Tensor:
    """‖w − w̄‖₂ of Eq. 7: codes [B, L, D] and their mean [D] → loss [B], the mean over L.

    The gradient at the mean itself, where an inversion starts, is 0.
    """
    return torch.linalg.vector_norm(w - mean, dim=-1).mean(dim=1)
