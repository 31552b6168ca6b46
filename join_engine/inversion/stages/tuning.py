# SPDX-License-Identifier: GPL-3.0-or-later
"""Pivotal tuning of all generators with the local discriminator loss (JoIN, section 4.2, Eq. 11–13)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank
from ...errors import JoinError
from ...networks.stylegan2 import generate
from ..losses.reconstruction import features_lacking, reconstruction_loss
from ..progress import Clock, Monitor, Progress
from ..stage import Stage, register
from ..state import InversionState

FORMS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "change": lambda after, before: (after - before).abs().mean(),
    "softplus": lambda after, before: functional.softplus(-after).mean(),
    "printed": lambda after, before: after.sum(),
}


@register
@dataclass(frozen=True)
class Tuning(Stage):
    """Fine-tuning of the generators around the codes (JoIN's Eq. 13).

    Args:
        steps, learning_rate: of Adam on all weights of the synthesis networks.
        pixel_weight, feature_weight, features, ensemble: of the reconstruction loss, as in
            :class:`join_engine.inversion.stages.joint.Joint`.
        discriminator_weight: λ_LD.
        discriminator_every: apply the discriminator loss at each so many steps, so many times as strong.
        anchors: n_a of Eq. 12.
        locality: β of Eq. 12: 0 looks at the pivot alone, 1 at the whole distribution.
        discriminator_form: what Eq. 12 is, of the outputs of the discriminator now and before the tuning: a key of
            :data:`FORMS`.
    """

    kind: ClassVar[str] = "tuning"
    words: ClassVar[str] = "Refining"
    tunes: ClassVar[bool] = True
    steps: int = 150
    learning_rate: float = 1e-3
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    discriminator_weight: float = 1e-2
    discriminator_every: int = 4
    anchors: int = 4
    locality: float = 0.3
    discriminator_form: str = "change"
    features: str = "random"
    ensemble: bool = False

    @property
    def cost(self) -> float:
        return 2.0 * self.steps * (2.0 if self.ensemble else 1.0)

    def lacks(self, bank: Bank) -> str:
        features = self.features + ("+discriminator" if self.discriminator_weight else "")
        return features_lacking(features, bank)

    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Fine-tune a copy of every generator per image, with the codes ŵ_i held as pivots (Eq. 13).

        L_G of Eq. 11 is the reconstruction loss of the joint inversion. Eq. 12 adds up the discriminators' outputs on
        anchors G_i((1 − β) ŵ_i + β w_k); minimised as printed, it would make the anchors look fake. Its purpose is "to
        preserve the generator priors", so what is minimised is by how much the outputs have changed since before the
        tuning, |D_i(G_i(·)) − D_i(G_i⁰(·))|, as the mean over the anchors, which makes λ independent of their number.
        (The generator's own loss in StyleGAN2, softplus(−D), would go on training the neighbours instead of holding
        them. ``evaluate --methods local-sweep`` measures all three.) Raises JoinError ``discriminator_missing`` when
        the bank holds none and the settings ask for the loss; ``settings_invalid`` for an unknown form of it.
        """
        if self.discriminator_form not in FORMS:
            message = f"There is no form '{self.discriminator_form}' of the local discriminator loss."
            raise JoinError("settings_invalid", message, f"Known are: {', '.join(FORMS)}.")
        for name in state.latents if self.discriminator_weight else ():
            if state.bank.components[name].discriminator is None:
                message = f"This bank has no discriminator of '{name}', which tuning needs."
                hint = "Choose another preset, or a bank with discriminators."
                raise JoinError("discriminator_missing", message, hint)
        of = len(state.target) * self.steps
        clock = Clock(of)
        state.tuned = [
            {name: state.bank.components[name].generator for name in state.latents} for _ in range(len(state.target))
        ]
        losses = []
        for item in range(len(state.target)):
            job = _Item(self, state, item)
            for step in range(self.steps):
                if monitor.cancelled():
                    state.cancelled = True
                    return
                loss = job.step(step)
                done = item * self.steps + step + 1
                monitor.on_progress(Progress(self.kind, done, of, loss, clock.left(done)))
                if monitor.preview_every and (step + 1) % monitor.preview_every == 0:
                    with torch.no_grad():
                        monitor.on_preview(done, state.settle(state.synthesize()))
            with torch.no_grad():
                losses.append(job.reconstruction())
        state.loss = torch.stack(losses)


class _Item:
    """The tuning of one image."""

    def __init__(self, settings: Tuning, state: InversionState, item: int) -> None:
        self._settings = settings
        self._components = {name: state.bank.components[name] for name in state.latents}
        self._view = state.part(torch.tensor([item], device=state.target.device))
        assert state.tuned is not None
        self._generators = state.tuned[item] = {
            name: copy.deepcopy(component.generator) for name, component in self._components.items()
        }
        for generator in self._generators.values():
            generator.synthesis.requires_grad_(True)
        self._view.tuned = [self._generators]
        self._loss = reconstruction_loss(settings, state.bank, self._view.target, state.seed)
        parameters = [p for generator in self._generators.values() for p in generator.synthesis.parameters()]
        self._optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate)
        self._rng = torch.Generator().manual_seed(state.seed)

    def step(self, step: int) -> float:
        """One optimiser step; returns the reconstruction loss before it."""
        reconstruction = self.reconstruction()
        loss = reconstruction
        if self._settings.discriminator_weight and (step + 1) % self._settings.discriminator_every == 0:
            weight = self._settings.discriminator_weight * self._settings.discriminator_every
            loss = loss + weight * self._local_discriminator_loss()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return float(reconstruction.detach())

    def reconstruction(self) -> Tensor:
        return self._loss(self._view.render(self._view.synthesize()))[0]

    def _local_discriminator_loss(self) -> Tensor:
        """Eq. 12, summed over the components."""
        losses = []
        for name, component in self._components.items():
            assert component.discriminator is not None
            pivot = self._view.latents[name]  # [1, L, w_dim]
            codes = component.sample_codes()
            drawn = torch.randint(len(codes), (self._settings.anchors,), generator=self._rng).to(codes.device)
            anchors = torch.lerp(pivot, codes[drawn][:, None], self._settings.locality)  # [n_a, L, w_dim]
            with torch.no_grad():
                before = component.discriminator(generate(component.generator, anchors))
            after = component.discriminator(generate(self._generators[name], anchors))
            losses.append(FORMS[self._settings.discriminator_form](after, before))
        return torch.stack(losses).sum()
