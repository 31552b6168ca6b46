# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stages of an inversion hand on to each other, and how they tell of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank, BankComponent
from ..losses.knn import KnnLoss
from ..networks.stylegan2 import Generator

POOL_PART = 64


@dataclass(frozen=True)
class Progress:
    """Step ``step`` of ``of`` in ``stage``, the mean loss where there is one, and the seconds left in the stage."""

    stage: str
    step: int
    of: int
    loss: float | None
    seconds_left: float


class Clock:
    """Estimates the time left from the steps done, the first of which prepares much and is slow."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._start = time.perf_counter()
        self._counted = 0  # of the steps done, those before the start

    def left(self, done: int) -> float:
        """Seconds, after ``done`` steps."""
        now = time.perf_counter()
        pace = (now - self._start) / (done - self._counted)
        if done == 1:
            self._start, self._counted = now, 1
        return pace * (self._steps - done)


@dataclass(frozen=True)
class Monitor:
    """What a stage reports to and asks; the default is silent and never cancels.

    Args:
        on_progress: called after every step.
        cancelled: asked before every step; True ends the stage with the best codes so far.
        preview_every: call ``on_preview`` at each so many steps; 0 never.
        on_preview: gets the step and the generators' outputs, each [B, 3, R, R] in the generator's range.
    """

    on_progress: Callable[[Progress], None] = lambda progress: None
    cancelled: Callable[[], bool] = lambda: False
    preview_every: int = 0
    on_preview: Callable[[int, Mapping[str, Tensor]], None] = lambda step, outputs: None


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
        return (w - self._mean) @ self._to_white

    def color(self, u: Tensor) -> Tensor:
        """Inverse of :meth:`whiten`."""
        return u @ self._from_white + self._mean


class CodeBook:
    """The sampled codes of each component with their kNN losses, made once per bank and kept (they take a second)."""

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._losses: dict[tuple[str, int], KnnLoss] = {}
        self._whitenings: dict[str, Whitening] = {}
        self._pools: dict[tuple[str, int, int], Tensor] = {}

    def codes(self, component: str) -> Tensor:
        """[100000, w_dim], from truncated z (JoIN, section 3.4)."""
        return self._bank.components[component].sample_codes()

    def whitening(self, component: str) -> Whitening:
        """Of one component's codes."""
        if component not in self._whitenings:
            self._whitenings[component] = Whitening(self.codes(component))
        return self._whitenings[component]

    def pool(self, component: str, count: int, size: int, proceed: Callable[[], bool] = lambda: True) -> Tensor | None:
        """The first ``count`` samples as linear images [count, 3, size, size], averaged down in linear light.

        ``proceed`` is asked after each :data:`POOL_PART` samples, since they take seconds; None when it says no.
        """
        key = (component, count, size)
        if key not in self._pools:
            part = self._bank.components[component]
            images = []
            for w in self.codes(component)[:count].split(POOL_PART):
                with torch.no_grad():
                    images.append(_small(part, w, size))
                if not proceed():
                    return None
            self._pools[key] = torch.cat(images)
        return self._pools[key]

    def knn(self, component: str, neighbours: int) -> KnnLoss:
        """The kNN loss of one component."""
        key = (component, neighbours)
        if key not in self._losses:
            self._losses[key] = KnnLoss(self.codes(component), neighbours)
        return self._losses[key]


def generate(generator: Generator, w: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """G(w) with fixed noise: codes [B, 1 or num_ws, w_dim] → [B, 3, R, R] in the generator's range.

    ``dtype`` is that of the convolutions (None: of the codes); what comes out is in the precision of the weights.
    """
    return generator.synthesis(w.expand(-1, generator.num_ws, -1), "const", dtype or w.dtype)


def _small(component: BankComponent, w: Tensor, size: int) -> Tensor:
    """Codes [N, w_dim] → linear images [N, 3, size, size]."""
    linear = component.transform.from_generator(generate(component.generator, w[:, None]))
    return functional.adaptive_avg_pool2d(linear, size)


@dataclass
class InversionState:
    """Codes on their way to a batch of images that do not know of each other.

    Attributes:
        bank: the generators.
        target: [B, 3, R, R], sRGB-encoded.
        starts: how many items stand for one image, one after the other: B is images × starts.
        mirrored: the second half of the items are the mirror images of the first (:meth:`settle`).
        latents: per component [B, L, w_dim]; L is 1 in W space and the generator's ``num_ws`` in W+.
        loss: [B], of ``latents``; infinite before the first evaluation.
        codebook: sampled codes of the bank.
        saturated: [B, 3, R, R] booleans: where the target is white and its true brightness unknown.
        seed: of everything random.
        dtype: precision of the convolutions while codes are searched for; None for that of the codes, in
            which results are made in any case.
        tuned: fine-tuned generators of each item, by component; None while the bank's own are used.
        cancelled: a stage was told to stop; later stages do not run.
        seconds: per stage.
    """

    bank: Bank
    target: Tensor
    latents: dict[str, Tensor]
    loss: Tensor
    codebook: CodeBook
    saturated: Tensor | None = None
    seed: int = 0
    starts: int = 1
    mirrored: bool = False
    dtype: torch.dtype | None = None
    tuned: list[dict[str, Generator]] | None = None
    cancelled: bool = False
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        bank: Bank,
        target: Tensor,
        seed: int = 0,
        codebook: CodeBook | None = None,
        saturated: Tensor | None = None,
    ) -> InversionState:
        """A state at the mean codes, for sRGB-encoded targets [B, 3, R, R] on the bank's device."""
        batch = len(target)
        latents = {
            name: bank.components[name].w_avg.expand(batch, 1, -1).clone() for name in bank.forward_model.components
        }
        loss = target.new_full((batch,), torch.inf)
        return cls(bank, target, latents, loss, codebook or CodeBook(bank), saturated, seed)

    def take(self, items: Tensor, starts: int) -> None:
        """Go on with these items (indices [B′]; repeats are allowed), of which ``starts`` stand for one image."""
        self.target = self.target[items]
        self.saturated = None if self.saturated is None else self.saturated[items]
        self.loss = self.loss[items]
        self.latents = {name: w[items] for name, w in self.latents.items()}
        self.tuned = None if self.tuned is None else [self.tuned[item] for item in items.tolist()]
        self.starts = starts

    def copy(self) -> InversionState:
        """Another state that begins here."""
        return replace(self, latents=dict(self.latents), seconds={})

    def settle(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of all items, [B, 3, R, R] each → of those that stand for images as they are.

        With mirror images beside them, these are the first half, and their outputs the mean of both views.
        """
        if not self.mirrored:
            return dict(outputs)
        halves = {name: output.chunk(2) for name, output in outputs.items()}
        return {name: (upright + other.flip(3)) / 2.0 for name, (upright, other) in halves.items()}

    def only(self, item: int) -> InversionState:
        """A state of its own for one item."""
        alone = replace(self.copy(), mirrored=False)
        alone.take(torch.tensor([item], device=self.target.device), 1)
        return alone

    def synthesize(
        self, latents: Mapping[str, Tensor] | None = None, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """Generators' outputs G_i(w_i) of Eq. 2 for the given codes (default: the state's), with fixed noise.

        Per component [B, L, w_dim] → [B, 3, R, R] in the generator's range. ``dtype`` is that of the convolutions
        (None: of the codes).
        """
        outputs = {}
        for name, w in (self.latents if latents is None else latents).items():
            if self.tuned is None:
                outputs[name] = generate(self.bank.components[name].generator, w, dtype)
            else:
                parts = zip(self.tuned, w.split(1), strict=True)
                outputs[name] = torch.cat([generate(generators[name], code, dtype) for generators, code in parts])
        return outputs

    def decode(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Linear components T_i⁻¹(G_i(w_i)) of Eq. 2, [B, 3, R, R]."""
        return {name: self.bank.components[name].transform.from_generator(out) for name, out in outputs.items()}

    def render(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """I(w_1, …, w_n) of Eq. 3, sRGB-encoded, [B, 3, R, R]; where the target is saturated, cut off at white.

        ``outputs`` are of all items, or settled ones.
        """
        image = self.bank.forward_model.render(self.decode(outputs))
        if self.saturated is None:
            return image
        return torch.where(self.saturated[: len(image)], image.clip(None, 1.0), image)
