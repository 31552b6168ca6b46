# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion of all generators (JoIN, sections 3.1 and 3.3, Eq. 3 and 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from ...bank import Bank
from ...device import in_threads, shares
from ...networks.frozen import Frozen
from ...networks.residuals import Residual, Residuals
from ..adam import Adam
from ..losses.guide import encoders_see, guide_loss
from ..losses.knn import in_domain_loss
from ..losses.perceptual import PerceptualLoss
from ..losses.reconstruction import features_lacking, reconstruction_loss
from ..losses.style_codes import domain_loss, gaussian_prior, variation
from ..progress import Clock, Monitor, Progress
from ..stage import Stage, register
from ..state import InversionState

Codes = dict[str, Tensor]

_FINAL_DRAWS = 8
_SMALL = 64  # pixels: so small a network is no faster in two threads than in one


@dataclass(frozen=True)
class Point:
    """Where a search is.

    Attributes:
        codes: of each component, [B, L, w_dim].
        residuals: of the components that have any.
        masks: of what is foreign to the bank, by resolution, if any are searched for.
        flows: of the features, by resolution, likewise.
    """

    codes: Codes
    residuals: dict[str, Residuals]
    masks: dict[int, Tensor] = field(default_factory=dict)
    flows: dict[int, Tensor] = field(default_factory=dict)

    def copy(self) -> Point:
        """The same, of which nothing is searched for."""
        return Point(
            {name: w.detach().clone() for name, w in self.codes.items()},
            {
                name: {side: Residual(one.delta.detach().clone(), one.mask) for side, one in residuals.items()}
                for name, residuals in self.residuals.items()
            },
            {side: mask.detach().clone() for side, mask in self.masks.items()},
            {side: flow.detach().clone() for side, flow in self.flows.items()},
        )

    @torch.no_grad()
    def take(self, other: Point, items: Tensor) -> None:
        """Take over where another search is, of the items [B] that are true."""
        for name, w in other.codes.items():
            self.codes[name] = torch.where(items[:, None, None], w, self.codes[name])
        for name, residuals in other.residuals.items():
            mine = self.residuals[name]
            self.residuals[name] = {
                side: Residual(torch.where(items[:, None, None, None], one.delta, mine[side].delta), one.mask)
                for side, one in residuals.items()
            }
        for maps, theirs in ((self.masks, other.masks), (self.flows, other.flows)):
            for side, found in theirs.items():
                maps[side] = torch.where(items[:, None, None, None], found, maps[side])


@register
@dataclass(frozen=True)
class Joint(Stage):
    """Joint optimisation of all codes (JoIN's Eq. 4); the defaults are those of section 5.1 where it gives any.

    Args:
        steps: optimiser steps.
        learning_rate: Adam's, at the height of the schedule.
        ramp_up, ramp_down: parts of the schedule in which the rate rises from 0 and falls to 0.
        knn_weight, neighbours: λ and k of the kNN loss (Eq. 8).
        pixel_weight, feature_weight: of the reconstruction loss (see :mod:`join_engine.inversion.losses.perceptual`).
        normal_weight: of the squared Mahalanobis distance per dimension, which is 1 on average for the bank's samples;
            not in the paper.
        style_weight: of the Gram matrices in the same features (SAMM's Eq. 2).
        features: what the reconstruction loss compares beside pixels: "random", "trunk", "discriminator", a trunk
            of ImageNet such as "efficientnet-lite0", "pixels" (nothing), or a sum such as "trunk+random" (see
            :mod:`join_engine.inversion.losses.reconstruction`).
        ensemble: compare the features under random transforms, drawn anew at each step (E-LPIPS).
        in_domain_weight: of the in-domain loss (Eq. 7), which the kNN loss replaces.
        guide_weight, guide_quarters_weight: of the distance from what the encoders see, pixel by pixel and as the mean
            of each quarter (:mod:`join_engine.inversion.losses.guide`), for a bank that has encoders; not in the paper.
        domain_weight: of what the encoders see otherwise in the image that the codes make
            (:mod:`join_engine.inversion.losses.style_codes`, of in-domain inversion), for a bank that has encoders.
        gaussian_weight, variation_weight: of the two terms of SAM's Eq. 3.6
            (:mod:`join_engine.inversion.losses.style_codes`).
        space: "w", one code per generator; "w+", one per layer; or "whitened": W, but optimised in coordinates in which
            the bank's codes have unit variance, so that a step in each direction is in proportion to their spread.
    """

    kind: ClassVar[str] = "joint"
    words: ClassVar[str] = "Optimising"
    steps: int = 1000
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    knn_weight: float = 1e-4
    neighbours: int = 50
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    normal_weight: float = 0.0
    features: str = "random"
    space: str = "w"
    ensemble: bool = False
    in_domain_weight: float = 0.0
    guide_weight: float = 0.0
    guide_quarters_weight: float = 0.0
    domain_weight: float = 0.0
    gaussian_weight: float = 0.0
    variation_weight: float = 0.0
    style_weight: float = 0.0

    @property
    def cost(self) -> float:
        return self.steps * (2.0 if self.ensemble else 1.0) * (1.2 if self.domain_weight else 1.0)

    def lacks(self, bank: Bank) -> str:
        if self.domain_weight and not bank.has_encoders:
            return "the bank has no encoders"
        return features_lacking(self.features, bank)

    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Move ``state.latents`` to the codes that minimise Eq. 4 over all components at once, and note their loss.

        The images of a batch are independent: their losses are summed, Adam works on each number by itself, and random
        draws are those that each would get alone; what differs is the rounding of the convolutions. So each thread has
        images of its own: networks this small leave most threads idle inside of one convolution. The codes with the
        lowest loss are kept per image, so that a cancelled run still returns its best. Where an ensemble is drawn anew
        at each step the lowest loss is a matter of luck: there the last codes are kept, and their loss is that of
        several draws.
        """
        frozen = Frozen({name: state.bank.components[name].generator for name in state.latents}, state.dtype)
        count = shares(len(state.target), state.target.device.type)
        with in_threads(count) as each:
            items = torch.arange(len(state.target), device=state.target.device).tensor_split(count)
            # Draws the sampled codes now, so that the time left is told right.
            searches = each(lambda own: _Search(self, state.part(own), frozen), items)
        clock = Clock(self.steps)
        with in_threads(count, alone=state.target.shape[-1] <= _SMALL) as each:
            for step in range(self.steps):
                if monitor.cancelled():
                    state.cancelled = True
                    break
                # In the middle of the step: at its ends the first and the last one would move nothing.
                progress = (step + 0.5) / self.steps
                rate = self.learning_rate * ramped(progress, self.ramp_up, self.ramp_down)
                losses = each(partial(_Search.step, rate=rate), searches)
                if monitor.preview_every and (step + 1) % monitor.preview_every == 0:
                    shown = {name: torch.cat([one.outputs[name] for one in searches]) for name in state.latents}
                    monitor.on_preview(step + 1, state.settle(shown))
                mean_loss = float(torch.cat(losses).mean())
                monitor.on_progress(Progress(self.kind, step + 1, self.steps, mean_loss, clock.left(step + 1)))
            state.join(each(_Search.found, searches))

    def _variables(self, state: InversionState) -> tuple[list[Tensor], Callable[[], Point]]:
        """Leaf tensors to optimise, and what makes of them where the search is."""
        start = {}
        for name, w in state.latents.items():
            layers = state.bank.components[name].generator.num_ws if self.space == "w+" else w.shape[1]
            start[name] = w.detach().expand(-1, layers, -1)
        if self.space != "whitened":
            plain = {name: w.clone().requires_grad_() for name, w in start.items()}
            return list(plain.values()), lambda: Point(plain, state.residuals)
        whitenings = {name: state.codebook.whitening(name) for name in start}
        white = {name: whitenings[name].whiten(w).requires_grad_() for name, w in start.items()}

        def point() -> Point:
            return Point({name: whitenings[name].color(u) for name, u in white.items()}, state.residuals)

        return list(white.values()), point

    def _seen(self, state: InversionState) -> dict[str, Tensor] | None:
        """What the guide keeps the components near, [B, 3, R, R] each; None where nothing has an idea of them."""
        return encoders_see(state.bank, state.target) if state.bank.has_encoders else None

    def _kept(self, state: InversionState) -> Callable[[Point], Tensor] | None:
        """What residuals and masks cost, [B]; None where there are none that move."""
        return None

    def _image(self, state: InversionState, outputs: Mapping[str, Tensor], point: Point) -> Tensor:
        """What is compared with the target, [B, 3, R, R]."""
        return state.render(outputs)


def _within(state: InversionState, image: Tensor) -> Tensor:
    """An image [B, 3, R, R], black where it is not compared."""
    return image if state.region is None else image * state.region


class _Search:
    """The search for some of the images, of which another thread needs to know nothing.

    Attributes:
        outputs: of the last step, without gradients, as :meth:`InversionState.synthesize` makes them.
    """

    def __init__(self, settings: Joint, state: InversionState, frozen: Frozen) -> None:
        self._settings, self._state, self._frozen = settings, state, frozen
        variables, self._point = settings._variables(state)
        self._optimizer = Adam(variables)
        self._reconstruction = self._reconstruct()
        self._prior = _Prior(settings, state)
        self._best, self._loss = self._point().copy(), torch.full_like(state.loss, torch.inf)
        self.outputs: Codes = {}

    def step(self, rate: float) -> Tensor:
        """Take one step; the loss before it, [B]."""
        state, point = self._state, self._point()
        flows = point.flows or None
        outputs = state.synthesize(point.codes, state.dtype, point.residuals, flows, self._frozen)
        loss = self._loss_of(self._reconstruction, point, outputs)
        found = loss.detach()
        if self._settings.ensemble:
            self._best = point.copy()
        else:
            better = found < self._loss
            self._best.take(point, better)
            self._loss = torch.where(better, found, self._loss)
        loss.sum().backward()
        self._optimizer.step(rate)
        self.outputs = {name: output.detach() for name, output in outputs.items()}
        return found

    def found(self) -> InversionState:
        """The state with what was best."""
        state, best = self._state, self._best
        state.latents, state.residuals = best.codes, best.residuals
        state.masks, state.flows = best.masks or state.masks, best.flows or state.flows
        state.loss = self._loss
        if self._settings.ensemble:
            with torch.no_grad():
                state.loss = self._loss_of(self._reconstruct(_FINAL_DRAWS), best, state.synthesize())
        return state

    def _reconstruct(self, draws: int = 1) -> PerceptualLoss:
        settings, state = self._settings, self._state
        target, dtype = _within(state, state.target), state.dtype if draws == 1 else None
        return reconstruction_loss(settings, state.bank, target, state.seed, draws, dtype, settings.style_weight)

    def _loss_of(self, reconstruction: PerceptualLoss, point: Point, outputs: Codes) -> Tensor:
        image = self._settings._image(self._state, outputs, point)
        return reconstruction(_within(self._state, image)) + self._prior(point, outputs, image)


class _Prior:
    """What keeps the codes among those that their generators know, and near what the encoders see, summed over the
    components."""

    def __init__(self, settings: Joint, state: InversionState) -> None:
        self._settings = settings
        self._state = state
        knn = state.codebook.knn
        names = state.latents if settings.knn_weight else ()
        self._knn = {name: knn(name, settings.neighbours).follow() for name in names}
        self._weights = settings.guide_weight, settings.guide_quarters_weight
        self._seen = settings._seen(state) if any(self._weights) else None
        self._kept = settings._kept(state)

    def __call__(self, point: Point, outputs: Codes, image: Tensor) -> Tensor:
        """Where the search is, what the generators make of it, and the image of that → [B]."""
        settings, state = self._settings, self._state
        total = torch.zeros_like(state.loss)
        for name, w in point.codes.items():
            if settings.knn_weight:
                total = total + settings.knn_weight * self._knn[name](w)
            if settings.in_domain_weight:
                mean = state.bank.components[name].w_avg
                total = total + settings.in_domain_weight * in_domain_loss(w, mean)
            if settings.normal_weight:
                whitened = state.codebook.whitening(name).whiten(w)  # [B, L, w_dim]
                total = total + settings.normal_weight * whitened.square().mean(dim=(1, 2))
            if settings.gaussian_weight:
                whiten = state.codebook.whitening(name, straight=True).whiten
                total = total + settings.gaussian_weight * gaussian_prior(w, whiten)
            if settings.variation_weight:
                total = total + settings.variation_weight * variation(w)
        if settings.domain_weight:
            total = total + settings.domain_weight * domain_loss(state.bank, point.codes, image)
        if self._seen is not None:
            total = total + guide_loss(outputs, self._seen, *self._weights)
        return total if self._kept is None else total + self._kept(point)


def ramped(progress: float, ramp_up: float = 0.05, ramp_down: float = 0.25) -> float:
    """Factor of the learning rate at ``progress`` in [0, 1]: linear up from 0, flat, down to 0 along a cosine.

    The schedule of StyleGAN2's projector (Karras et al. 2020, appendix D).
    """
    down = min(1.0, (1.0 - progress) / ramp_down) if ramp_down else 1.0
    up = min(1.0, progress / ramp_up) if ramp_up else 1.0
    return (0.5 - 0.5 * math.cos(math.pi * down)) * up
