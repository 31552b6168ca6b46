# SPDX-License-Identifier: GPL-3.0-or-later
"""Train encoders as in-domain inversion does: guided by the domain of a bank's generators, on pictures without truth.

The domain-guided encoder of Zhu et al. (ECCV 2020, section 3.1). It may be killed at any moment; the same command goes
on from the last checkpoint.

An encoder E looks at real pictures x and is judged by what the frozen generator G makes of its codes:
‖x − G(E(x))‖² + λ ‖F(x) − F(G(E(x)))‖² + λ_adv softplus(−D(G(E(x)))), where the discriminator D learns at the same time
to tell x from G(E(x)). With --component it is the published training, of one generator and of that component's own
pictures. Without it, all encoders of the bank learn together: each tells a component of the composed picture I, and
f(T⁻¹ G_1(E_1(I)), …) of JoIN's Eq. 1 is compared with I. No component is ever told.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..bank import Bank, find_bank, load_bank
from ..inversion.losses.perceptual import FeatureDistance
from ..networks.encoder import SPACES, Encoder, EncoderConfig
from ..networks.features import Features, RandomFeatures
from ..networks.stylegan2 import Discriminator
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.contact_sheet import save_sheet
from ..renders.draws import draws
from . import options as training
from .encoder import architecture, check_fit
from .gan.losses import discriminator_loss, generator_loss, r1_penalty
from .learner import Learner, VariedSettings, adam_tensors, load_adam, under

GUIDED = "domain-guided"
"""What its checkpoints say that they are, and its command behind train-."""
_SPREAD_CODES = 10_000
_SHEET_SAMPLES = 12
_R1_INTERVAL = 16  # steps, as in the GANs' training


@dataclass(frozen=True)
class GuidedSettings(VariedSettings):
    """How to train domain-guided encoders.

    Attributes:
        pixel: weight of the squared error of the picture in [-1, 1].
        perceptual: weight of the distance in the trunk's features, mean over its taps. (Published: of VGG16's conv4_3.)
        adversarial: weight of softplus(−D(G(E(x)))); 0 trains no discriminator. Published with the paper: 0.08.
        code: weight of the squared offset from the mean code, per dimension, in units of the codes' own variance; not
            in the paper, where nothing but the domain tells one component from another either.
        r1: γ of the discriminator's R1. (Published: 10, at 256 pixels.)
    """

    pixel: float = 1.0
    perceptual: float = 0.8
    adversarial: float = 0.08
    code: float = 0.005
    r1: float = 0.1


class GuidedLearner(Learner[GuidedSettings, nn.ModuleDict]):
    """See the module. ``bank``: the generators, with a discriminator where one component's own is to begin with.
    ``configs``: the encoders' architectures by component: one, or all of the bank."""

    def __init__(
        self, bank: Bank, configs: Mapping[str, EncoderConfig], features: Features, settings: GuidedSettings
    ) -> None:
        torch.manual_seed(settings.seed)
        self._parts = {name: bank.components[name] for name in configs}
        first = next(iter(self._parts.values()))
        networks = nn.ModuleDict({name: Encoder(config) for name, config in configs.items()})
        super().__init__(networks, settings, first.w_avg.device)
        self._model = bank.forward_model
        self._features = features
        self.discriminator = Discriminator(first.generator.config).to(self.device)
        # Of one component there is one that knows its pictures; of composed ones nothing does.
        if self.alone and first.discriminator is not None:
            self.discriminator.load_state_dict(first.discriminator.state_dict())
        self._judge = torch.optim.Adam(self.discriminator.parameters(), lr=settings.lr, betas=(0.9, 0.99))
        self._variances = {
            name: part.sample_codes(_SPREAD_CODES).var(dim=0).mean() for name, part in self._parts.items()
        }

    @property
    def alone(self) -> bool:
        """Whether one generator is learned for, by the pictures of its own component."""
        return set(self._parts) != set(self._model.components)

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The encoders' loss of one batch, after the discriminator's step on it."""
        settings = self.settings
        rng = draws(settings.seed, self.steps)
        components = settings.varied(data.batch(random_indices(len(data), settings.batch, rng)), rng)
        real = self._picture({name: components[name] for name in data.sets}).to(self.device)
        with self.precision():
            offsets = {name: encoder(real) for name, encoder in self.network.items()}
            outputs = self._generate(offsets)
        made = self._picture(outputs)
        distance = FeatureDistance(self._features, real)
        codes = [one.float().square().mean() / self._variances[name] for name, one in offsets.items()]
        parts = {
            "pixel": 4.0 * (made - real).square().mean(),
            "perceptual": distance(made).mean() / distance.taps,
            "code": torch.stack(codes).sum(),
        }
        report = {}
        if settings.adversarial:
            report = self._judged(real, made.detach())
            self.discriminator.requires_grad_(False)
            with self.precision():
                logits = self.discriminator(made * 2.0 - 1.0)
            self.discriminator.requires_grad_(True)
            parts["adversarial"] = generator_loss(logits.float())
        total = torch.stack([getattr(settings, name) * value for name, value in parts.items()]).sum()
        return total, {**{name: value.detach() for name, value in parts.items()}, **report}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """PSNR in dB of the averaged encoders on pictures that they have not seen: ``psnr`` of the pictures, and of the
        components, in the generators' range, of which the training knows nothing."""
        rows: dict[str, list[Tensor]] = {}
        for indices in torch.arange(len(data)).split(32):
            components = data.batch(indices)
            real, made, outputs = self._seen(components)
            rows.setdefault("psnr", []).append(_psnr(made, real))
            for name, output in outputs.items():
                truth = (components[name].to(self.device) + 1.0) / 2.0
                rows.setdefault(f"psnr_{name}", []).append(_psnr((output + 1.0) / 2.0, truth))
        return {"samples": float(len(data)), **{name: float(torch.cat(found).mean()) for name, found in rows.items()}}

    @torch.no_grad()
    def sheet(self, data: ComponentSets, path: Path) -> None:
        """Write a picture of samples: what the encoders see, what the generators make of it, and their components."""
        indices = torch.arange(min(len(data), _SHEET_SAMPLES))
        real, made, outputs = self._seen(data.batch(indices))
        rows = torch.cat([real * 2.0 - 1.0, made * 2.0 - 1.0, *outputs.values()]).cpu()
        save_sheet(path, rows, columns=len(indices), zoom=max(1, 96 // data.resolution))

    def tensors(self) -> dict[str, Tensor]:
        found = super().tensors()
        found |= {f"discriminator.{key}": value for key, value in self.discriminator.state_dict().items()}
        return found | adam_tensors("judge.", self._judge)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        super().load_tensors(tensors)
        self.discriminator.load_state_dict(under("discriminator.", tensors))
        load_adam(self._judge, under("judge.", tensors))

    def _picture(self, components: Mapping[str, Tensor]) -> Tensor:
        """Components in the generators' range → what is looked at and compared, [B, 3, R, R] in [0, 1]."""
        if self.alone:
            (name,) = self._parts
            return ((components[name].float() + 1.0) / 2.0).clamp(0.0, 1.0)
        linear = {name: part.transform.from_generator(components[name].float()) for name, part in self._parts.items()}
        return photograph(self._model.compose({name: one.clamp_min(0.0) for name, one in linear.items()}))

    def _generate(self, offsets: Mapping[str, Tensor]) -> dict[str, Tensor]:
        outputs = {}
        for name, part in self._parts.items():
            codes = (part.w_avg + offsets[name]).expand(-1, part.generator.num_ws, -1)
            outputs[name] = part.generator.synthesis(codes, noise="const")
        return outputs

    def _judged(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator, on pictures in [0, 1]."""
        with self.precision():
            reals, fakes = (self.discriminator(one * 2.0 - 1.0).float() for one in (real, made))
        loss = told = discriminator_loss(reals, fakes)
        if self.settings.r1 and self.steps % _R1_INTERVAL == 0:
            penalty = r1_penalty(self.discriminator, real * 2.0 - 1.0)
            loss = loss + self.settings.r1 / 2.0 * _R1_INTERVAL * penalty
        self._judge.zero_grad()
        loss.backward()
        self._judge.step()
        return {"discriminator": told.detach()}

    def _seen(self, components: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The real picture, what the averaged encoders and the generators make of it, and the generators' outputs."""
        real = self._picture(components).to(self.device)
        outputs = self._generate({name: encoder(real) for name, encoder in self.average.items()})
        return real, self._picture(outputs), outputs


def _psnr(made: Tensor, real: Tensor) -> Tensor:
    """Of pictures in [0, 1], dB of each, [B]."""
    return -10.0 * (made.clamp(0.0, 1.0) - real).square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    parser.add_argument(
        "--component", help="of one generator alone, by its own pictures (default: all, by composed ones)"
    )
    training.add_run_options(parser)
    parser.add_argument("--space", choices=SPACES, default="w", help="one code, or one per layer (default: w)")
    training.add_settings(parser, GuidedSettings())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device, with_discriminators=True)
    data = read_component_sets(options.data, bank.header.forward_model)
    names = [options.component] if options.component else list(bank.forward_model.components)
    for name in names:
        check_fit(bank, name, data)
    configs = {name: architecture(bank, name, {"space": options.space}) for name in names}
    features = bank.trunk or RandomFeatures().to(device)
    learner = GuidedLearner(bank, configs, features, training.settings_of(options, GuidedSettings))
    described = {name: config.to_dict() for name, config in configs.items()}
    identity = training.identity_through(bank, GUIDED, described, names)
    identity["composed"] = not learner.alone
    training.train(learner, identity, data, options, sheet=learner.sheet)
