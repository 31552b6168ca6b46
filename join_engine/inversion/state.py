# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stages of an inversion hand on to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank
from ..color import srgb_decode
from ..networks.frozen import Frozen
from ..networks.residuals import Residual, Residuals, aligned
from ..networks.stylegan2 import Generator, Hooks, generate
from .codebook import CodeBook

_DARKEST, _BRIGHTEST = 0.01, 4.0  # of a shading that is divided by, and of an albedo that comes of it


def together(masks: Mapping[int, Tensor], resolution: int) -> Tensor:
    """Masks of several resolutions put together as SAMM does, from coarse to fine: α ← α (1 + α_i − α), clipped.

    By resolution [B, 1, r, r] in [0, 1] → [B, 1, R, R]; in between they are enlarged bicubically.
    """
    found: Tensor | None = None
    for side in sorted(masks):
        if found is None:
            found = masks[side]
        else:
            found = functional.interpolate(found, (side, side), mode="bicubic", align_corners=False).clamp(0.0, 1.0)
            found = (found * (1.0 + masks[side] - found)).clamp(0.0, 1.0)
    assert found is not None
    if found.shape[-1] == resolution:
        return found
    return functional.interpolate(found, (resolution, resolution), mode="bicubic", align_corners=False).clamp(0.0, 1.0)


@dataclass
class InversionState:
    """Codes on their way to a batch of images that do not know of each other.

    Attributes:
        bank: the generators.
        target: [B, 3, R, R], sRGB-encoded.
        mirrored: the second half of the items are the mirror images of the first (:meth:`settle`).
        latents: per component [B, L, w_dim]; L is 1 in W space and the generator's ``num_ws`` in W+.
        loss: [B], of ``latents``; infinite before the first evaluation.
        codebook: sampled codes of the bank.
        residuals: what the features of each component's generator get beside what its codes make of them, of all items;
            empty where the codes are all that there is.
        flows: by resolution, [B, 2, r, r]: where the features of all generators are taken from
            (:func:`join_engine.networks.residuals.aligned`); empty where they stay.
        masks: by resolution, [B, 1, r, r] in [0, 1]: what is foreign to the bank (:func:`together`); empty where
            everything is to be made by it.
        saturated: [B, 3, R, R] booleans: where the target is white and its true brightness unknown.
        region: [B, 1, R, R] in [0, 1]: where the joint inversion compares with the target; None for everywhere.
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
    residuals: dict[str, Residuals] = field(default_factory=dict)
    flows: dict[int, Tensor] = field(default_factory=dict)
    masks: dict[int, Tensor] = field(default_factory=dict)
    saturated: Tensor | None = None
    region: Tensor | None = None
    seed: int = 0
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
        return cls(bank, target, latents, loss, codebook or CodeBook(bank), saturated=saturated, seed=seed)

    def take(self, items: Tensor) -> None:
        """Go on with these items (indices [B′]; repeats are allowed)."""
        self.target = self.target[items]
        self.saturated = None if self.saturated is None else self.saturated[items]
        self.region = None if self.region is None else self.region[items]
        self.loss = self.loss[items]
        self.latents = {name: w[items] for name, w in self.latents.items()}
        self.residuals = {
            name: {side: residual[items] for side, residual in residuals.items()}
            for name, residuals in self.residuals.items()
        }
        self.flows = {side: flow[items] for side, flow in self.flows.items()}
        self.masks = {side: mask[items] for side, mask in self.masks.items()}
        self.tuned = None if self.tuned is None else [self.tuned[item] for item in items.tolist()]

    def copy(self) -> InversionState:
        """Another state that begins here."""
        return replace(
            self,
            latents=dict(self.latents),
            residuals=dict(self.residuals),
            flows=dict(self.flows),
            masks=dict(self.masks),
            seconds=dict(self.seconds),
        )

    def settle(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of all items, [B, 3, R, R] each → of those that stand for images as they are.

        With mirror images beside them, these are the first half, and their outputs the mean of both views.
        """
        if not self.mirrored:
            return dict(outputs)
        halves = {name: output.chunk(2) for name, output in outputs.items()}
        return {name: (upright + other.flip(3)) / 2.0 for name, (upright, other) in halves.items()}

    def part(self, items: Tensor) -> InversionState:
        """A state of their own for some items (indices [B′])."""
        alone = replace(self.copy(), mirrored=False)
        alone.take(items)
        return alone

    def join(self, parts: Sequence[InversionState]) -> None:
        """Be where these states are, of all items in their order (:meth:`part`)."""
        first = parts[0]
        self.loss = torch.cat([part.loss for part in parts])
        self.latents = {name: torch.cat([part.latents[name] for part in parts]) for name in first.latents}
        self.residuals = {
            name: {side: Residual.joined([part.residuals[name][side] for part in parts]) for side in residuals}
            for name, residuals in first.residuals.items()
        }
        self.flows = {side: torch.cat([part.flows[side] for part in parts]) for side in first.flows}
        self.masks = {side: torch.cat([part.masks[side] for part in parts]) for side in first.masks}

    def synthesize(
        self,
        latents: Mapping[str, Tensor] | None = None,
        dtype: torch.dtype | None = None,
        residuals: Mapping[str, Residuals] | None = None,
        flows: Mapping[int, Tensor] | None = None,
        frozen: Frozen | None = None,
    ) -> dict[str, Tensor]:
        """Generators' outputs G_i(w_i) of Eq. 2 for the given codes, residuals and flows (default: the state's), with
        fixed noise.

        Per component [B, L, w_dim] → [B, 3, R, R] in the generator's range. ``dtype`` is that of the convolutions
        (None: of the codes). ``frozen``: makes the same of the bank's own generators, sooner, in a precision of its
        own.
        """
        outputs, residuals = {}, self.residuals if residuals is None else residuals
        flows = self.flows if flows is None else flows
        latents = self.latents if latents is None else latents
        if frozen is not None and self.tuned is None:
            return frozen(latents, {name: _hooks(residuals.get(name, {}), flows) for name in latents})
        for name, w in latents.items():
            changes = residuals.get(name, {})
            if self.tuned is None:
                outputs[name] = generate(self.bank.components[name].generator, w, dtype, _hooks(changes, flows))
            else:
                made = []
                for item, generators in enumerate(self.tuned):
                    own = slice(item, item + 1)
                    mine = {side: residual[own] for side, residual in changes.items()}
                    moves = {side: flow[own] for side, flow in flows.items()}
                    made.append(generate(generators[name], w[own], dtype, _hooks(mine, moves)))
                outputs[name] = torch.cat(made)
        return outputs

    def decode(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Linear components T_i⁻¹(G_i(w_i)) of Eq. 2, [B, 3, R, R]."""
        return {name: self.bank.components[name].transform.from_generator(out) for name, out in outputs.items()}

    @property
    def foreign(self) -> Tensor | None:
        """How foreign each pixel is to the bank, [B, 1, R, R] in [0, 1]; None without masks."""
        return together(self.masks, self.target.shape[-1]) if self.masks else None

    def blended(self, outputs: Mapping[str, Tensor], masks: Mapping[int, Tensor] | None = None) -> dict[str, Tensor]:
        """Outputs of all items, with which the image is α · target + (1 − α) · I in linear light, α being how foreign
        a pixel is to the bank; as they are without masks.

        What is foreign counts as paint: the albedo there is what shading and specular leave of the target. A GAN of
        whole images has the target itself.
        """
        masks = self.masks if masks is None else masks
        names = set(outputs)
        if not masks or not (names == {"image"} or {"albedo", "shading"} <= names):
            return dict(outputs)
        alpha, linear = together(masks, self.target.shape[-1]), self.decode(outputs)
        shown = srgb_decode(self.target)
        name = "image" if names == {"image"} else "albedo"
        if name == "albedo":
            shown = (shown - linear["specular"] if "specular" in linear else shown).clamp_min(0.0)
            shown = shown / linear["shading"].clamp_min(_DARKEST)
        part = torch.lerp(linear[name], shown.clamp_max(_BRIGHTEST), alpha)
        return {**outputs, name: self.bank.components[name].transform.to_generator(part)}

    def render(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """I(w_1, …, w_n) of Eq. 3, sRGB-encoded, [B, 3, R, R]; where the target is saturated, cut off at white.

        ``outputs`` are of all items, or settled ones.
        """
        image = self.bank.forward_model.render(self.decode(outputs))
        if self.saturated is None:
            return image
        return torch.where(self.saturated[: len(image)], image.clip(None, 1.0), image)


def _hooks(residuals: Residuals, flows: Mapping[int, Tensor]) -> Hooks:
    """What becomes of a generator's features: moved first, then with their residuals."""

    def apply(side: int, features: Tensor) -> Tensor:
        features = aligned(features, flows[side]) if side in flows else features
        return residuals[side](features) if side in residuals else features

    return {side: partial(apply, side) for side in {*residuals, *flows}}
