# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion of all generators (JoIN, sections 3.1 and 3.3, Eq. 3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..losses.guide import Guide
from ..losses.knn import in_domain_loss
from ..losses.reconstruction import reconstruction_loss
from ..presets import Joint
from ..progress import Clock, Monitor, Progress
from ..state import InversionState

Codes = dict[str, Tensor]

_FINAL_DRAWS = 8


def joint_inversion(settings: Joint, state: InversionState, monitor: Monitor) -> None:
    """Move ``state.latents`` to the codes that minimise Eq. 4 over all components at once, and note their loss.

    The images of a batch are independent: their losses are summed, Adam works on each number by itself, and random
    draws are those that each would get alone; what differs is the rounding of the convolutions. The codes with the
    lowest loss are kept per image, so that a cancelled run still returns its best. Where an ensemble is drawn anew at
    each step the lowest loss is a matter of luck: there the last codes are kept, and their loss is that of several
    draws.
    """
    variables, to_codes = _variables(settings, state)
    codes = to_codes(variables)
    reconstruction = reconstruction_loss(settings, state.bank, state.target, state.seed, dtype=state.dtype)
    prior = _Prior(settings, state)  # draws the sampled codes now, so that the time left is told right
    optimizer = torch.optim.Adam(list(variables.values()), lr=settings.learning_rate)
    best, best_loss = _copy(codes), torch.full_like(state.loss, torch.inf)
    clock = Clock(settings.steps)
    for step in range(settings.steps):
        if monitor.cancelled():
            state.cancelled = True
            break
        optimizer.param_groups[0]["lr"] = settings.learning_rate * ramped(
            step / settings.steps, settings.ramp_up, settings.ramp_down
        )
        codes = to_codes(variables)
        outputs = state.synthesize(codes, state.dtype)
        loss = reconstruction(state.render(outputs)) + prior(codes, outputs)  # [B]
        if settings.ensemble:
            best = _copy(codes)
        else:
            best_loss = _keep_best(codes, loss.detach(), best, best_loss)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimizer.step()
        if monitor.preview_every and (step + 1) % monitor.preview_every == 0:
            monitor.on_preview(step + 1, state.settle({name: output.detach() for name, output in outputs.items()}))
        mean_loss = float(loss.detach().mean())
        monitor.on_progress(Progress(Joint.kind, step + 1, settings.steps, mean_loss, clock.left(step + 1)))
    state.latents, state.loss = best, best_loss
    if settings.ensemble:
        final = reconstruction_loss(settings, state.bank, state.target, state.seed, _FINAL_DRAWS)
        with torch.no_grad():
            outputs = state.synthesize()
            state.loss = final(state.render(outputs)) + prior(best, outputs)


def _variables(settings: Joint, state: InversionState) -> tuple[Codes, Callable[[Codes], Codes]]:
    """Leaf tensors [B, L, w_dim] to optimise, and how they become codes."""
    start = {}
    for name, w in state.latents.items():
        layers = state.bank.components[name].generator.num_ws if settings.space == "w+" else w.shape[1]
        start[name] = w.detach().expand(-1, layers, -1)
    if settings.space != "whitened":
        return {name: w.clone().requires_grad_() for name, w in start.items()}, lambda variables: variables
    whitenings = {name: state.codebook.whitening(name) for name in start}
    variables = {name: whitenings[name].whiten(w).requires_grad_() for name, w in start.items()}
    return variables, lambda us: {name: whitenings[name].color(u) for name, u in us.items()}


class _Prior:
    """What keeps the codes among those that their generators know, and near what the encoders see, summed over the
    components.
    """

    def __init__(self, settings: Joint, state: InversionState) -> None:
        self._settings = settings
        self._state = state
        knn = state.codebook.knn
        names = state.latents if settings.knn_weight else ()
        self._knn = {name: knn(name, settings.neighbours).follow() for name in names}
        weights = settings.guide_weight, settings.guide_quarters_weight
        guided = any(weights) and state.bank.has_encoders
        self._guide = Guide(*weights, state.bank, state.target) if guided else None

    def __call__(self, codes: Codes, outputs: Codes) -> Tensor:
        """Codes [B, L, w_dim] of each component, and what the generators make of them → [B]."""
        settings, state = self._settings, self._state
        total = torch.zeros_like(state.loss)
        for name, w in codes.items():
            if settings.knn_weight:
                total = total + settings.knn_weight * self._knn[name](w)
            if settings.in_domain_weight:
                mean = state.bank.components[name].w_avg
                total = total + settings.in_domain_weight * in_domain_loss(w, mean)
            if settings.normal_weight:
                whitened = state.codebook.whitening(name).whiten(w)  # [B, L, w_dim]
                total = total + settings.normal_weight * whitened.square().mean(dim=(1, 2))
        if self._guide is not None:
            total = total + self._guide(outputs)
        return total


def _copy(codes: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: w.detach().clone() for name, w in codes.items()}


@torch.no_grad()
def _keep_best(codes: dict[str, Tensor], loss: Tensor, best: dict[str, Tensor], best_loss: Tensor) -> Tensor:
    """Take over the codes of the images that have improved into ``best``; returns the new best loss [B]."""
    better = loss < best_loss
    for name, w in codes.items():
        best[name] = torch.where(better[:, None, None], w, best[name])
    return torch.where(better, loss, best_loss)


def ramped(progress: float, ramp_up: float = 0.05, ramp_down: float = 0.25) -> float:
    """Factor of the learning rate at ``progress`` in [0, 1]: linear up from 0, flat, down to 0 along a cosine.

    The schedule of StyleGAN2's projector (Karras et al. 2020, appendix D).
    """
    down = min(1.0, (1.0 - progress) / ramp_down) if ramp_down else 1.0
    up = min(1.0, progress / ramp_up) if ramp_up else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * down)) * up
