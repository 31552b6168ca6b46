# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the encoder of one component.

May be killed at any moment; the same command goes on from the last checkpoint. --start-from BANK begins a new training
with that bank's encoder of the component: of generators that began from that bank's, it knows much of the codes.

The encoder sees composed renders (Eq. 5 and 6) that look like photos (:mod:`join_engine.renders.photo_augment`), and
its code, put through the bank's frozen generator, has to make the component (JoIN, section 4.1; pSp's losses: squared
error 1, perceptual 0.8 in the bank's trunk, and a pull towards the mean code).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..bank import Bank, BankComponent, find_bank, fingerprint, load_bank
from ..errors import JoinError
from ..inversion.losses.perceptual import FeatureDistance
from ..networks.encoder import SPACES, Encoder, EncoderConfig
from ..networks.features import Features, RandomFeatures
from ..networks.stylegan2 import Generator, generate
from ..options import positive
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.contact_sheet import save_sheet
from ..renders.draws import draws
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner, VariedSettings

_SPREAD_CODES = 10_000
_SHEET_SAMPLES = 12


@dataclass(frozen=True)
class EncoderSettings(VariedSettings):
    """How to train an encoder; see also :class:`join_engine.renders.photo_augment.PhotoRanges`.

    Attributes:
        pixel: weight of the squared error of the component, in the generator's range.
        perceptual: weight of the distance in the trunk's features, mean over its taps, which brings it to the size of
            an LPIPS.
        code: weight of the squared offset from the mean code, per dimension, in units of the codes' own variance.
        conventional: learn from what the bank's generators make of codes that are drawn, and compare codes instead of
            components: the baseline of in-domain inversion (Zhu et al., ECCV 2020), which has never seen a picture of
            the world. The renders then serve for validation alone.
    """

    batch: int = 16
    pixel: float = 1.0
    perceptual: float = 0.8
    code: float = 0.005
    conventional: bool = False


class EncoderLearner(Learner[EncoderSettings, Encoder]):
    """See the module. ``component``: of the bank, with the frozen generator."""

    def __init__(
        self,
        bank: Bank,
        component: BankComponent,
        features: Features,
        config: EncoderConfig,
        settings: EncoderSettings,
        ranges: PhotoRanges,
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Encoder(config), settings, component.w_avg.device)
        self.bank = bank
        self.component = component
        self.features = features
        self.ranges = ranges
        self._variance = component.sample_codes(_SPREAD_CODES).var(dim=0).mean()

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        if self.settings.conventional:
            return self._of_samples()
        seed, step = self.settings.seed, self.steps
        rng = draws(seed, step)
        components = self.settings.varied(data.batch(random_indices(len(data), self.settings.batch, rng)), rng)
        target = components[self.component.name].to(self.device)
        images = augment(data.compose(components), seed, step, self.ranges).to(self.device)
        with self.precision():
            offsets = self.network(images)
            made = self._generate(offsets.float())
        offsets, made = offsets.float(), made.float()
        pixel = (made - target).square().mean()
        distance = FeatureDistance(self.features, _to_image(target))
        perceptual = distance(_to_image(made)).mean() / distance.taps
        code = offsets.square().mean() / self._variance
        weights = self.settings
        loss = weights.pixel * pixel + weights.perceptual * perceptual + weights.code * code
        return loss, {"pixel": pixel.detach(), "perceptual": perceptual.detach(), "code": code.detach()}

    def _of_samples(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The same where codes are known, since they were drawn: their squared error in units of their variance."""
        seed, step = self.settings.seed, self.steps
        rng, linear, wanted = draws(seed, step), {}, torch.zeros(())
        for name in self.bank.forward_model.components:
            part = self.bank.components[name]
            codes = part.sample_codes(_SPREAD_CODES)
            codes = codes[torch.randint(len(codes), (self.settings.batch,), generator=rng).to(codes.device)]
            with torch.no_grad():
                linear[name] = part.transform.from_generator(generate(part.generator, codes[:, None])).clamp_min(0.0)
            wanted = codes - part.w_avg if name == self.component.name else wanted
        composed = self.bank.forward_model.compose(linear).cpu()
        images = augment(composed, seed, step, self.ranges).to(self.device)
        with self.precision():
            offsets = self.network(images)
        code = (offsets.float() - wanted[:, None]).square().mean() / self._variance
        return code, {"code": code.detach()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Component MSE and PSNR (in the tone-mapped domain) of the encoder alone, and the MSE of the mean code."""
        errors, floor = [], []
        mean = self._generate(torch.zeros(1, 1, self.average.config.w_dim, device=self.device))
        for indices in torch.arange(len(data)).split(32):
            target, made = self._predict(data, indices)
            errors.append(_error(made, target))
            floor.append(_error(mean, target))
        mse = torch.cat(errors)
        psnr = -10.0 * mse.clamp_min(1e-10).log10()
        return {
            "samples": float(len(data)),
            "mse": float(mse.mean()),
            "psnr": float(psnr.mean()),
            "mse_mean_code": float(torch.cat(floor).mean()),
        }

    @torch.no_grad()
    def sheet(self, data: ComponentSets, path: Path) -> None:
        """Write a picture of samples: what the encoder sees, what it should find, what it finds."""
        indices = torch.arange(min(len(data), _SHEET_SAMPLES))
        target, made = self._predict(data, indices)
        seen = photograph(data.compose(data.batch(indices))) * 2.0 - 1.0
        rows = torch.cat([seen, target.cpu(), made.cpu()])
        save_sheet(path, rows, columns=len(indices), zoom=max(1, 96 // data.resolution))

    def _predict(self, data: ComponentSets, indices: Tensor) -> tuple[Tensor, Tensor]:
        """The component and what the averaged encoder makes of it, [B, 3, R, R] in the generator's range."""
        components = data.batch(indices)
        offsets = self.average(photograph(data.compose(components)).to(self.device))
        return components[self.component.name].to(self.device), self._generate(offsets)

    def _generate(self, offsets: Tensor) -> Tensor:
        """Offsets [B, 1 or num_ws, w_dim] → [B, 3, R, R] in the generator's range."""
        generator: Generator = self.component.generator
        codes = (self.component.w_avg + offsets).expand(-1, generator.num_ws, -1)
        return generator.synthesis(codes, noise="const")


def _to_image(component: Tensor) -> Tensor:
    return (component + 1.0) / 2.0


def _error(made: Tensor, target: Tensor) -> Tensor:
    """Mean squared error in [0, 1] of each sample, [B]."""
    return (_to_image(made).clamp(0.0, 1.0) - _to_image(target)).square().mean(dim=(1, 2, 3))


def architecture(bank: Bank, component: str, changes: Mapping[str, object]) -> EncoderConfig:
    """The encoder's architecture for a generator of the bank. Raises JoinError ``settings_invalid``."""
    config = bank.components[component].generator.config
    with training.checked_architecture():
        found = replace(EncoderConfig(config.resolution, config.w_dim, config.num_ws), **changes)  # type: ignore[arg-type]
    return found


def check_fit(bank: Bank, component: str, data: ComponentSets) -> None:
    """Raises JoinError ``component_missing`` or ``pack_mismatch`` for packs of which the bank knows nothing."""
    if component not in bank.components:
        known = ", ".join(bank.components)
        raise JoinError("component_missing", f"The bank has no {component}.", f"It has: {known}.")
    if data.resolution != bank.header.resolution:
        message = f"The packs have {data.resolution} pixels a side, the bank {bank.header.resolution}."
        raise JoinError("pack_mismatch", message, "Export the packs at the bank's resolution.")
    differing = [name for name, found in data.sets.items() if found.transform != bank.components[name].transform.name]
    if differing:
        message = f"The packs and the bank differ in the transform of {differing[0]}."
        raise JoinError("pack_mismatch", message, "Use the packs of the dataset that the bank was trained on.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    parser.add_argument("--component", required=True, help="albedo, shading, …")
    parser.add_argument(
        "--start-from", metavar="BANK", help="name or path of a bank with whose encoder a new run begins"
    )
    training.add_run_options(parser)
    parser.add_argument("--space", choices=SPACES, default="w", help="one code, or one per layer (default: w)")
    parser.add_argument("--encoder-widths", nargs=4, type=positive, help="channels at 1/2 to 1/16 of the resolution")
    parser.add_argument("--encoder-depths", nargs=4, type=positive, help="residual blocks at each of these")
    parser.add_argument("--pyramid", type=positive, help="channels of the feature pyramid")
    training.add_settings(parser, EncoderSettings())
    training.add_settings(parser, PhotoRanges())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    check_fit(bank, options.component, data)
    told = training.given(options, "space", "encoder_widths", "encoder_depths", "pyramid")
    changes = {name.removeprefix("encoder_"): value for name, value in told.items()}
    config = architecture(bank, options.component, changes)
    component = bank.components[options.component]
    learner = EncoderLearner(
        bank,
        component,
        bank.trunk or RandomFeatures().to(device),
        config,
        training.settings_of(options, EncoderSettings),
        training.settings_of(options, PhotoRanges),
    )
    if options.start_from is not None:
        begun, name = load_bank(find_bank(options.start_from), device), component.name
        found = begun.components[name].encoder if name in begun.components else None
        hint = "Give the same architecture"
        learner.begin_with(found, f"encoder of {name}", begun.path.name, "encoder_missing", hint)
    identity = {
        "kind": "encoder",
        "component": component.name,
        "generator": fingerprint(component.generator),
        "features": "random" if bank.trunk is None else fingerprint(bank.trunk),
        "architecture": config.to_dict(),
    }
    training.train(learner, identity, data, options, learner.ranges, learner.sheet)
