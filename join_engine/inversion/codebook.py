# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes sampled from a bank's generators, and what is computed of them once per bank."""

from __future__ import annotations

import threading

import torch
from torch import Tensor

from ..bank import Bank
from .losses.knn import KnnLoss
from .losses.style_codes import straightened


class Whitening:
    """Coordinates in which sampled codes [N, w_dim] have zero mean and unit covariance."""

    def __init__(self, codes: Tensor) -> None:
        self._mean = codes.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov(codes.T.double()))
        widths = values.clamp_min(1e-8).sqrt()
        self._to_white = (vectors / widths).to(codes.dtype)  # [w_dim, w_dim], applied from the right
        self._from_white = (vectors * widths).T.to(codes.dtype)

    def whiten(self, w: Tensor) -> Tensor:
        """Codes [..., w_dim] → whitened coordinates."""
        return self.turn(w - self._mean)

    def turn(self, step: Tensor) -> Tensor:
        """A difference of codes [..., w_dim] → of whitened coordinates."""
        return step @ self._to_white

    def color(self, u: Tensor) -> Tensor:
        """Inverse of :meth:`whiten`."""
        return u @ self._from_white + self._mean


class CodeBook:
    """The sampled codes of each component with their kNN losses, made once per bank and kept (they take a second),
    whichever of several threads asks first."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._lock = threading.RLock()
        self._losses: dict[tuple[str, int], KnnLoss] = {}
        self._whitenings: dict[tuple[str, bool], Whitening] = {}

    def codes(self, component: str) -> Tensor:
        """[100000, w_dim], from truncated z (JoIN, section 3.4)."""
        with self._lock:
            return self._bank.components[component].sample_codes()

    def whitening(self, component: str, straight: bool = False) -> Whitening:
        """Of one component's codes; ``straight``: after the inverse of the mapping's last activation, μ and Σ of SAM's
        Eq. 3.6."""
        key = (component, straight)
        with self._lock:
            if key not in self._whitenings:
                codes = self.codes(component)
                self._whitenings[key] = Whitening(straightened(codes) if straight else codes)
            return self._whitenings[key]

    def knn(self, component: str, neighbours: int) -> KnnLoss:
        """The kNN loss of one component."""
        key = (component, neighbours)
        with self._lock:
            if key not in self._losses:
                self._losses[key] = KnnLoss(self.codes(component), neighbours)
            return self._losses[key]
