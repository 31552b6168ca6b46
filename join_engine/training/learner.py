# SPDX-License-Identifier: GPL-3.0-or-later
"""One network that learns from a loss: Adam, a moving average of its weights, and a state that can be resumed.

What is learned is the subclass's affair (:mod:`join_engine.training.trunk`, :mod:`join_engine.training.encoder`).
Every random draw of step k depends on (seed, k) alone.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..bank import BankComponent, fingerprint
from ..errors import JoinError
from ..networks.stylegan2 import Discriminator
from ..renders.compose import ComponentSets, mirrored, turned

Network = TypeVar("Network", bound=nn.Module)
_WARM_UP = 100  # steps, of a rate that is annealed


@dataclass(frozen=True)
class LearnerSettings:
    """How to train; may change when a training is resumed, the architecture may not.

    Attributes:
        batch: samples per step.
        lr: Adam's learning rate.
        ema_kimg: half-life of the moving average in thousand images, at most a tenth of the images seen so far.
        bf16: convolutions in bfloat16.
        seed: of everything.
    """

    batch: int = 16
    lr: float = 1e-3
    ema_kimg: float = 2.0
    bf16: bool = False
    seed: int = 0


@dataclass(frozen=True)
class VariedSettings(LearnerSettings):
    """How to train on renders that are varied.

    Attributes:
        flip: mirror half of the samples.
        turns: turn them by quarter turns, for renders that have no up and down.
    """

    flip: bool = True
    turns: bool = False

    def varied(self, samples: Mapping[str, Tensor], rng: torch.Generator) -> Mapping[str, Tensor]:
        """A batch, by component, varied so."""
        samples = mirrored(samples, rng) if self.flip else samples
        return turned(samples, rng) if self.turns else samples


Settings = TypeVar("Settings", bound=LearnerSettings)


class Learner(ABC, Generic[Settings, Network]):
    """A network in training. ``network``: with fresh weights, which follow from the seed. ``kimg``: thousand images
    over which the learning rate sinks; None for one that stays."""

    # Norm of all gradients together that a step goes by at most; None for any.
    longest_gradient: float | None = None
    # What the history says of the bank that a new training begins with: its file, and the fingerprint of the network.
    start_from: Mapping[str, str] | None = None

    def __init__(
        self,
        network: Network,
        settings: Settings,
        device: str | torch.device = "cpu",
        kimg: float | None = None,
    ) -> None:
        self.settings = settings
        self.kimg = kimg
        self.device = torch.device(device)
        self.network = network.to(self.device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.lr, betas=(0.9, 0.99))
        self.steps = 0
        self.images = 0

    @abstractmethod
    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of this step's batch, and its parts to log."""

    @abstractmethod
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Figures of the averaged network on samples that it has not seen."""

    def step(self, data: ComponentSets) -> dict[str, Tensor]:
        """One step of the optimiser. Returns scalars to log, still on the device."""
        self.network.train()
        if self.kimg is not None:
            self.anneal(self.kimg)
        loss, report = self.loss(data)
        self.optimizer.zero_grad()
        loss.backward()
        if self.longest_gradient is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.longest_gradient)
        self.optimizer.step()
        self.steps += 1
        self.images += self.settings.batch
        half_life = min(self.settings.ema_kimg * 1000, self.images / 10)
        update_average(self.average, self.network, half_life, self.settings.batch)
        return {"loss": loss.detach(), **report}

    def anneal(self, kimg: float) -> None:
        """Set this step's learning rate: it warms up, and has sunk to a hundredth along a cosine after ``kimg``
        thousand images."""
        share = min(1.0, self.images / (1000.0 * kimg))
        falling = 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * share))
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * falling * min(1.0, (self.steps + 1) / _WARM_UP)

    def precision(self) -> torch.autocast:
        """The context for forward passes of networks; data and losses stay in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16)

    def check(self) -> None:
        """Refuse to go on with weights that are no numbers. Raises JoinError ``training_diverged``."""
        if not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            message = f"The training has produced values that are not numbers, at step {self.steps:,}."
            hint = "The last snapshot, if there is one, is good: go on from it with a lower --lr."
            raise JoinError("training_diverged", message, hint)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that a checkpoint stores as tensors."""
        found = {f"network.{key}": value for key, value in self.network.state_dict().items()}
        found |= {f"average.{key}": value for key, value in self.average.state_dict().items()}
        return found | adam_tensors("adam.", self.optimizer)

    def grows_from(self, stored: Any, own: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with the identity ``stored`` is one of a smaller network, which :meth:`load_tensors`
        can go on from; ``own`` is this training's."""
        return False

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Inverse of :meth:`tensors`. Raises KeyError or RuntimeError for tensors that do not fit."""
        self.network.load_state_dict(under("network.", tensors))
        self.average.load_state_dict(under("average.", tensors))
        load_adam(self.optimizer, under("adam.", tensors))

    def begins_as(self, config: Any) -> bool:
        """Whether this network can begin as one of another bank, of that architecture."""
        return bool(config == self.network.config)

    def begin_with(self, network: nn.Module | None, what: str, file: str, missing: str, hint: str) -> None:
        """Begin with a bank's network instead of fresh weights. Raises JoinError ``missing``, or ``settings_invalid``
        for one of another architecture.

        Args:
            network: None where the bank has none.
            what: it is, in words.
            file: the bank's.
            missing: code of the error where there is none.
            hint: what to do about another architecture, before "or train from fresh weights".
        """
        if network is None:
            advice = "Choose a bank that has one, or train from fresh weights."
            raise JoinError(missing, f"There is no {what} in '{file}'.", advice)
        if not self.begins_as(network.config):
            message = f"The {what} in '{file}' has another architecture."
            raise JoinError("settings_invalid", message, f"{hint}, or train from fresh weights.")
        for own in (self.network, self.average):
            own.load_state_dict({**own.state_dict(), **network.state_dict()})
        self.start_from = {"file": file, "weights": fingerprint(network)}


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, half_life: float, batch: int) -> None:
    """Move the average of a network's weights on by a step of ``batch`` images; ``half_life`` in images."""
    beta = 0.5 ** (batch / max(half_life, 1e-8))
    for mean, current in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(current, 1.0 - beta)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


def discriminator_of(part: BankComponent) -> Discriminator:
    """That of a bank's component, to learn from. Raises JoinError ``discriminator_missing``."""
    if part.discriminator is None:
        message = f"The bank has no discriminator of '{part.name}'."
        raise JoinError("discriminator_missing", message, "Take another bank, or --adversarial 0.")
    return part.discriminator


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix``, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def adam_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What Adam remembers, by names that begin with ``prefix``."""
    states = optimizer.state_dict()["state"]
    return {f"{prefix}{index}.{key}": value for index, state in states.items() for key, value in state.items()}


def load_adam(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Inverse of :func:`adam_tensors`, for the names without the prefix."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        states.setdefault(int(index), {})[key] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": states, "param_groups": groups})
