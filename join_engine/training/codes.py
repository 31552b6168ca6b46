# SPDX-License-Identifier: GPL-3.0-or-later
"""Codes of renders whose components are known: where the encoders see them, or found by inverting each component."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank, BankComponent
from ..errors import JoinError
from ..inversion.codebook import Whitening
from ..renders.compose import ComponentSets, photograph

_BATCH = 32
# As of the presets' joint optimisation, in whitened coordinates.
_LEARNING_RATE, _NORMAL_WEIGHT = 0.05, 0.01
# Without an encoder an inversion starts at the nearest of so many samples, compared at this size.
_POOL, _SMALL = 2048, 8


def codes_of(bank: Bank, name: str, data: ComponentSets, indices: Tensor, mirror: bool, steps: int) -> Tensor:
    """Codes of one component of some samples. Raises JoinError ``encoder_missing``.

    Args:
        bank: with an encoder of the component, unless there are ``steps``.
        name: of the component.
        data: components in the generators' range.
        indices: [N] of samples.
        mirror: of the mirrored samples.
        steps: of an optimiser that brings the generator's output nearer to the true component; 0 for the encoder's
            word alone.

    Returns:
        [N, L, w_dim]; L is 1, or one per layer for an encoder of W+ without steps.
    """
    component = bank.components[name]
    if component.encoder is None and not steps:
        message = f"This bank has no encoder of '{name}', so that codes have to be found by inversion."
        hint = "Say with --steps how many steps that may take, about 60, or put an encoder into the bank."
        raise JoinError("encoder_missing", message, hint)
    inversion = _Inversion(component, steps) if steps else None
    found = []
    for part in indices.split(_BATCH):
        components = data.batch(part)
        if mirror:
            components = {other: images.flip(3) for other, images in components.items()}
        start = None
        if component.encoder is not None:
            with torch.no_grad():
                start = component.encode(photograph(data.compose(components)).to(component.w_avg))
        if inversion is not None:
            start = inversion(components[name].to(component.w_avg), start)
        assert start is not None
        found.append(start.cpu())
    return torch.cat(found)


class _Inversion:
    """Codes that make a component: squared error in [0, 1], and the bank's own codes as a prior."""

    def __init__(self, component: BankComponent, steps: int) -> None:
        self._component = component
        self._steps = steps
        self._whitening = Whitening(component.sample_codes())
        self._pool: Tensor | None = None

    def __call__(self, target: Tensor, start: Tensor | None) -> Tensor:
        """[B, 3, R, R] in the generator's range, [B, L, w_dim] or None → [B, 1, w_dim]."""
        begin = self._nearest(target) if start is None else start.mean(dim=1, keepdim=True)
        u = self._whitening.whiten(begin).requires_grad_()
        optimizer = torch.optim.Adam([u], lr=_LEARNING_RATE)
        generator = self._component.generator
        for _ in range(self._steps):
            made = generator.synthesis(self._whitening.color(u).expand(-1, generator.num_ws, -1), noise="const")
            # Sums over the batch: each sample has a problem of its own.
            loss = ((made - target) / 2.0).square().mean(dim=(1, 2, 3)).sum()
            loss = loss + _NORMAL_WEIGHT * u.square().mean(dim=(1, 2)).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return self._whitening.color(u.detach())

    @torch.no_grad()
    def _nearest(self, target: Tensor) -> Tensor:
        codes = self._component.sample_codes()[:_POOL]
        generator = self._component.generator
        if self._pool is None:
            parts = [generator.synthesis(w[:, None].expand(-1, generator.num_ws, -1)) for w in codes.split(_BATCH)]
            self._pool = torch.cat([functional.adaptive_avg_pool2d(part, _SMALL).flatten(1) for part in parts])
        small = functional.adaptive_avg_pool2d(target, _SMALL).flatten(1)
        return codes[torch.cdist(small, self._pool).argmin(dim=1)][:, None]
