# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an inversion begins, and which of several beginnings it follows."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..codebook import POOL_PART
from ..losses.guide import know_mirrored
from ..presets import EncoderStart, KeepBest, MeanStart, Mirrored, PoolStart
from ..progress import Clock, Monitor, Progress
from ..state import InversionState


def mirrored(settings: Mirrored, state: InversionState, monitor: Monitor) -> None:
    """Mirror images beside the images, for a bank whose encoders know them; see :meth:`InversionState.settle`."""
    if not know_mirrored(state.bank):
        return
    images = torch.arange(len(state.target), device=state.target.device)
    state.take(images.repeat(2), state.starts)
    state.target = _half_flipped(state.target)
    state.saturated = None if state.saturated is None else _half_flipped(state.saturated)
    state.mirrored = True


def _half_flipped(images: Tensor) -> Tensor:
    upright, other = images.chunk(2)
    return torch.cat([upright, other.flip(3)])


def mean_start(settings: MeanStart, state: InversionState, monitor: Monitor) -> None:
    """All components at their mean code w̄ (JoIN, section 7)."""
    for name, w in state.latents.items():
        state.latents[name] = state.bank.components[name].w_avg.expand(len(w), 1, -1).clone()


def encoder_start(settings: EncoderStart, state: InversionState, monitor: Monitor) -> None:
    """Every component at the code that its encoder finds in the image (JoIN, section 4.1).

    Raises:
        JoinError: ``encoder_missing`` when the bank lacks one and the settings ask for it.
    """
    if not settings.required and not state.bank.has_encoders:
        mean_start(MeanStart(), state, monitor)
        return
    for name in state.latents:
        codes = state.bank.components[name].encode(state.target)  # [B, 1 or num_ws, w_dim]
        state.latents[name] = _in_w(codes) if settings.space == "w" else codes


def _in_w(codes: Tensor) -> Tensor:
    """Codes per layer [B, num_ws, w_dim] → their mean [B, 1, w_dim]."""
    return codes.mean(dim=1, keepdim=True)


def pool_start(settings: PoolStart, state: InversionState, monitor: Monitor) -> None:
    """Several starts per image: the mean codes first, those of the encoders if the settings and the bank have it so,
    then combinations of samples that explain the image best.

    The search is not in the paper, whose encoders serve the same end: an optimisation "can get stuck in local minima
    if the initial latent codes lie far from the target codes" (section 4.1).
    """
    targets = functional.adaptive_avg_pool2d(state.target, settings.size)
    steps = len(state.latents) * math.ceil(settings.pool / POOL_PART) + len(targets)
    report = _Report(monitor, steps)
    for name in state.latents:
        if state.codebook.pool(name, settings.pool, settings.size, report.proceed) is None:
            state.cancelled = True
            return
    given = _given_starts(settings, state)  # per component [images, 1 or 2, w_dim]
    rest = settings.starts - next(iter(given.values())).shape[1]
    found = []  # per image, component → indices [rest]
    for target in targets:
        found.append(_search(settings, state, target, rest))
        if not report.proceed():
            state.cancelled = True
            return
    count = settings.starts
    state.take(torch.arange(len(targets), device=state.target.device).repeat_interleave(count), count)
    for name in state.latents:
        chosen = torch.stack([indices[name] for indices in found])  # [images, rest]
        codes = state.codebook.codes(name)[chosen]
        state.latents[name] = torch.cat([given[name], codes], dim=1).flatten(0, 1)[:, None].clone()


def _given_starts(settings: PoolStart, state: InversionState) -> dict[str, Tensor]:
    """The starts that need no search, per component [images, at most ``starts``, w_dim]."""
    with_encoder = settings.encoder and state.bank.has_encoders
    given = {}
    for name in state.latents:
        component = state.bank.components[name]
        starts = [component.w_avg.expand(len(state.target), 1, -1)]
        if with_encoder:
            starts.append(_in_w(component.encode(state.target)))
        given[name] = torch.cat(starts, dim=1)[:, : settings.starts]
    return given


class _Report:
    """Tells of a step and asks whether to go on."""

    def __init__(self, monitor: Monitor, steps: int) -> None:
        self._monitor = monitor
        self._steps = steps
        self._clock = Clock(steps)
        self._done = 0

    def proceed(self) -> bool:
        self._done += 1
        left = self._clock.left(self._done)
        self._monitor.on_progress(Progress(PoolStart.kind, self._done, self._steps, None, left))
        return not self._monitor.cancelled()


@torch.no_grad()
def _search(settings: PoolStart, state: InversionState, target: Tensor, count: int) -> dict[str, Tensor]:
    """Coordinate descent over the pool: one component at a time takes the sample that fits the others best.

    Args:
        target: [3, S, S], sRGB-encoded.
        count: how many combinations are wanted.

    Returns:
        Per component, indices into the sampled codes of the best ``count`` combinations, best first.
    """
    model = state.bank.forward_model
    pools: dict[str, Tensor] = {}
    for name in model.components:
        pool = state.codebook.pool(name, settings.pool, settings.size)
        assert pool is not None
        pools[name] = pool
    rng = torch.Generator().manual_seed(state.seed)
    tries = max(settings.tries, settings.starts)
    chosen = {name: torch.randint(len(pool), (tries,), generator=rng).to(target.device) for name, pool in pools.items()}
    error = target.new_full((tries,), torch.inf)
    for _ in range(settings.pool):  # ends as soon as nothing gets better
        before = error
        for name in model.components:
            layers = {other: pool[chosen[other]][:, None] for other, pool in pools.items()}
            layers[name] = pools[name][None]  # [tries, pool, 3, S, S] once composed
            errors = (model.render(layers) - target).square().mean(dim=(2, 3, 4))
            error, chosen[name] = errors.min(dim=1)
        if torch.equal(error, before):
            break
    order = error.argsort(stable=True)[:count]
    return {name: indices[order] for name, indices in chosen.items()}


def keep_best(settings: KeepBest, state: InversionState, monitor: Monitor) -> None:
    """Per image, go on with the starts of lowest loss, best first."""
    kept = min(settings.starts, state.starts)
    order = state.loss.view(-1, state.starts).argsort(dim=1, stable=True)[:, :kept]  # [images, kept]
    first = torch.arange(len(order), device=order.device)[:, None] * state.starts
    state.take((first + order).flatten(), kept)
