# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the module that aligns what a bank's generators make and masks what they cannot (for the method `samm`).

SAMM's training (supplement, section 2) through the frozen encoders and generators of a bank, of one generator or of
several at once: pictures are composed renders, most of them with something foreign pasted on
(:mod:`join_engine.renders.foreign`). May be killed at any moment; the same command goes on.

What is judged is α · I + (1 − α) · Ĝ, Ĝ being made of the encoders' codes with aligned features, where for several
generators all that is foreign counts as paint: by pixels, features (Eq. 1) and Gram matrices (Eq. 2) of the bank's
trunk, by the bank's discriminators (Eq. 4), and by L_mask. The modules of the four resolutions set in one by one.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank, find_bank, fingerprint, load_bank
from ..errors import JoinError
from ..inversion.codebook import CodeBook
from ..inversion.losses.perceptual import style_loss, tap_weights, taps_of
from ..inversion.stages.masking import ENABLED, mask_loss
from ..inversion.state import InversionState, together
from ..networks.features import RandomFeatures
from ..networks.samm import REACH, Aligned, Samm, SammConfig
from ..options import positive
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.draws import draws
from ..renders.foreign import with_foreign
from . import options as training
from .gan.losses import generator_loss
from .learner import Learner, VariedSettings, discriminator_of
from .unet import fitted

_VALIDATED = 32  # samples at a time
_ADVERSARIAL_INTERVAL = 4  # steps; it then counts as much more
_UNSEEN = 7  # seed of the patches that it is judged by


@dataclass(frozen=True)
class SammSettings(VariedSettings):
    """How to train it.

    Attributes:
        pixel: weight of the squared error in pixels.
        feature: weight of L_feat, Eq. 1.
        style: weight of the Gram matrices in it, λ_style of Eq. 3.
        adversarial: weight of Eq. 4, by the frozen discriminator of one component in each step by turns.
        area: weight of max(0, mean m_i − φ_i).
        coarse: φ of the masks of up to a quarter of the picture's side.
        fine: φ of the finer ones.
        binary: weight of min(m_i, 1 − m_i).
        smooth: weight of the flows' mean squared step from place to place, in parts of their reach; not of SAMM.
        told: weight of the cross-entropy of α with where the foreign patch is; not of SAMM, which is not told.
        foreign: share of the pictures that get a patch.
    """

    batch: int = 8
    lr: float = 1e-3
    turns: bool = True
    pixel: float = 1.0
    feature: float = 1.0
    style: float = 50.0
    adversarial: float = 0.005
    area: float = 5.0
    coarse: float = 0.3
    fine: float = 0.25
    binary: float = 0.2
    smooth: float = 0.1
    told: float = 0.0
    foreign: float = 0.85


class SammLearner(Learner[SammSettings, Samm]):
    """See the module. ``bank``: with encoders, and discriminators where their loss counts. ``kimg``: thousand images
    over which the learning rate sinks. Raises JoinError ``encoder_missing`` or ``discriminator_missing``."""

    longest_gradient = 1.0
    kimg: float

    def __init__(self, bank: Bank, config: SammConfig, settings: SammSettings, kimg: float) -> None:
        torch.manual_seed(settings.seed)
        self._parts = {name: bank.components[name] for name in config.components}
        super().__init__(Samm(config), settings, next(iter(self._parts.values())).w_avg.device, kimg)
        judged = self._parts if settings.adversarial else {}
        self._discriminators = {name: discriminator_of(part) for name, part in judged.items()}
        self._encoders = {name: part.encoder for name, part in self._parts.items() if part.encoder is not None}
        self._generators = {name: part.generator for name, part in self._parts.items()}
        self._features = bank.trunk or RandomFeatures().to(self.device)
        self._bank, self._codebook = bank, CodeBook(bank)

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        settings = self.settings
        rng = draws(settings.seed, self.steps)
        components = settings.varied(data.batch(random_indices(len(data), settings.batch, rng)), rng)
        photo, where = with_foreign(self._picture(data, components), rng, settings.foreign)
        photo, where = photo.to(self.device), where.to(self.device)
        begun = self.images / (1000.0 * self.kimg)
        # From which part of the training on the module of each side learns; small pictures have fewer.
        starts = zip(self.network.config.sides, ENABLED, strict=False)
        sides = [side for side, start in starts if begun >= start]
        state, found = self._aligned(self.network, photo, sides)
        blended = state.blended(found.outputs)
        made = state.render(blended).clamp(0.0, 1.0)
        areas = settings.coarse, settings.fine
        masks = mask_loss(found.masks, photo.shape[-1], settings.area, areas, settings.binary)
        parts = {"pixel": (made - photo).square().mean(), "masks": masks.mean()}
        if settings.feature:
            parts["feature"], parts["style"] = self._perceptual(made, photo)
        steps = [(flow / REACH).diff(dim=dim).square().mean() for flow in found.flows.values() for dim in (2, 3)]
        parts["smooth"] = torch.stack(steps).sum()
        if settings.told:
            alpha = together(found.masks, photo.shape[-1])
            parts["told"] = functional.binary_cross_entropy(alpha.clamp(1e-4, 1.0 - 1e-4), where)
        if settings.adversarial and self.steps % _ADVERSARIAL_INTERVAL == 0:
            name = list(self._parts)[self.steps // _ADVERSARIAL_INTERVAL % len(self._parts)]
            parts["adversarial"] = _ADVERSARIAL_INTERVAL * generator_loss(self._discriminators[name](blended[name]))
        weights = {"masks": 1.0, "style": settings.feature * settings.style}
        total = torch.stack([weights.get(name, getattr(settings, name, 1.0)) * value for name, value in parts.items()])
        return total.sum(), {name: value.detach() for name, value in parts.items()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network on pictures with patches that it has not seen: ``overlap``, intersection over union
        of α > 0.5 with the patch, ``area`` of α; and PSNR in dB, outside of the patch, of what the generators make
        without (``still``) and with the alignment (``aligned``), and everywhere of the blended picture (``blended``).
        """
        rows: dict[str, list[Tensor]] = {}
        for number, indices in enumerate(torch.arange(len(data)).split(_VALIDATED)):
            photo, where = with_foreign(self._picture(data, data.batch(indices)), draws(_UNSEEN, number), 1.0)
            photo, where = photo.to(self.device), where.to(self.device)
            state, found = self._aligned(self.average, photo)
            alpha, patch = together(found.masks, photo.shape[-1]), where > 0.5
            union = ((alpha > 0.5) | patch).sum(dim=(1, 2, 3))
            rows.setdefault("overlap", []).append(((alpha > 0.5) & patch).sum(dim=(1, 2, 3)) / union.clamp_min(1))
            rows.setdefault("area", []).append(alpha.mean(dim=(1, 2, 3)))
            blended, pictures = state.blended(found.outputs), {"aligned": found.outputs}
            state.flows = {}
            pictures["still"] = state.synthesize()
            for name, outputs, counts in (
                *((name, outputs, 1.0 - where) for name, outputs in pictures.items()),
                ("blended", blended, torch.ones_like(where)),
            ):
                error = (state.render(outputs).clamp(0.0, 1.0) - photo).square().mean(dim=1, keepdim=True) * counts
                mean = error.sum(dim=(1, 2, 3)) / counts.sum(dim=(1, 2, 3)).clamp_min(1.0)
                rows.setdefault(name, []).append(-10.0 * mean.clamp_min(1e-10).log10())
        return {"samples": float(len(data)), **{name: float(torch.cat(found).mean()) for name, found in rows.items()}}

    def _picture(self, data: ComponentSets, components: Mapping[str, Tensor]) -> Tensor:
        """sRGB-encoded composed pictures, averaged down to the generators' size."""
        linear = fitted(data.linear(components), self.network.config.resolution)
        return photograph(data.model.compose(linear))

    def _aligned(self, network: Samm, photo: Tensor, sides: list[int] | None = None) -> tuple[InversionState, Aligned]:
        """Where an inversion of photos [B, 3, R, R] stands after the module, and what it made."""
        state = InversionState.begin(self._bank, photo, codebook=self._codebook)
        with torch.no_grad():
            state.latents = {name: part.encode(photo) for name, part in self._parts.items()}
            seen = network.seen(photo, self._encoders)
        with self.precision():
            found = network(seen, self._generators, state.latents, sides)
        state.flows, state.masks = found.flows, found.masks
        return state, found

    def _perceptual(self, made: Tensor, photo: Tensor) -> tuple[Tensor, Tensor]:
        """L_feat and L_style of Eq. 1 and 2."""
        with torch.no_grad():
            theirs = taps_of(self._features, photo, None)
        mine = taps_of(self._features, made, None)
        compared = zip(tap_weights(len(mine)), mine, theirs, strict=True)
        feature = [weight * (one - other).abs().mean() for weight, one, other in compared]
        return torch.stack(feature).sum(), style_loss(mine, theirs).mean()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank with generators and encoders")
    training.add_run_options(parser)
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of f_i, coarse to fine")
    training.add_settings(parser, SammSettings())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device, with_discriminators=True)
    if not bank.has_encoders:
        message = f"The bank '{bank.header.name}' has no encoders, whose features are compared."
        raise JoinError("encoder_missing", message, "Choose a bank with encoders.")
    data = read_component_sets(options.data, bank.header.forward_model)
    with training.checked_architecture():
        generators = {name: bank.components[name].generator.config for name in data.sets}
        encoders = {name: part.encoder.config for name, part in bank.components.items() if part.encoder is not None}
        config = SammConfig.of(generators, encoders, options.widths)
    training.need_doubled(data, config.resolution, "pack_mismatch", "Export the packs again.")
    learner = SammLearner(bank, config, training.settings_of(options, SammSettings), options.kimg)
    identity = training.identity_through(bank, "samm", config.to_dict(), data.sets)
    identity["encoders"] = {
        name: fingerprint(part.encoder) for name, part in bank.components.items() if part.encoder is not None
    }
    training.train(learner, identity, data, options)
