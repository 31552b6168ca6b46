# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the encoder that tells a bank's generators codes and residual features of a photo.

May be killed at any moment; the same command goes on from the last checkpoint.

It sees what the plain U-Net sees (:func:`join_engine.training.unet.photographed`), with a camera's faults, and is
judged by what the generators make of its codes and residual features: by the components, by the photo without faults
that they make together, by the bank's discriminators, and by how much of it the codes alone do not say.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank, find_bank, load_bank
from ..inversion.codebook import Whitening
from ..networks.seeing import SPACES, Seeing, SeeingConfig, Sight
from ..networks.stylegan2 import generate
from ..options import natural, positive
from ..renders.compose import ComponentSets, photograph, read_component_sets
from ..renders.photo_augment import PhotoRanges
from . import options as training
from .gan.losses import generator_loss
from .learner import Learner, discriminator_of
from .unet import UNetSettings, encoded, fitted, missed, photographed, psnr_of, with_level

_VALIDATED = 32  # samples at a time
_CELLS = 8  # a side, in which masks and errors are compared


@dataclass(frozen=True)
class SeeingSettings(UNetSettings):
    """How to train it.

    Attributes:
        photo: weight of the photo that the components make, sRGB-encoded.
        adversarial: weight of the frozen discriminators' logistic loss, of one component in each step by turns.
        codes: weight of the components that the codes alone make, of one component in each step by turns: what they can
            say they shall say, as only codes can be edited.
        residual: weight of the mean square of mask · Δf, summed over the resolutions of all components.
        area: weight of the masks' mean.
        normal: weight of the codes' squared Mahalanobis distance per dimension, summed over the components.
    """

    lr: float = 1e-3
    photo: float = 1.0
    adversarial: float = 0.005
    codes: float = 0.3
    residual: float = 1e-3
    area: float = 0.01
    normal: float = 1e-3


class SeeingLearner(Learner[SeeingSettings, Seeing]):
    """See the module. Raises JoinError ``discriminator_missing``.

    Args:
        bank: with the generators, and discriminators where their loss counts.
        ranges: what the camera does beside metering.
        kimg: thousand images over which the learning rate sinks.
    """

    longest_gradient = 1.0

    def __init__(
        self, bank: Bank, config: SeeingConfig, settings: SeeingSettings, ranges: PhotoRanges, kimg: float
    ) -> None:
        torch.manual_seed(settings.seed)
        self._parts = {name: bank.components[name] for name in config.components}
        super().__init__(Seeing(config), settings, next(iter(self._parts.values())).w_avg.device, kimg)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        judged = self._parts if settings.adversarial else {}
        self._discriminators = {name: discriminator_of(part) for name, part in judged.items()}
        for part in self._parts.values():
            part.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self._model = bank.forward_model
        self._whitenings = {name: Whitening(part.sample_codes()) for name, part in self._parts.items()}
        self.ranges = ranges

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        settings, config = self.settings, self.network.config
        photo, linear = photographed(data, settings, self.ranges, self.steps, config.resolution)
        truth = {name: encoded(name, linear[name]).to(self.device) for name in config.components}
        with self.precision():
            sights = self.network(photo.to(self.device).contiguous(memory_format=torch.channels_last))
        made = {name: self._made(name, sight) for name, sight in sights.items()}
        report = {name: missed(output, truth[name], settings.edges) for name, output in made.items()}
        weights = {"specular": settings.specular}
        total = torch.stack([weights.get(name, 1.0) * error for name, error in report.items()]).sum()
        parts = {"photo": (self._photo(made) - self._photo(truth)).abs().mean(), "normal": self._normal(sights)}
        residuals = [residual for sight in sights.values() for residual in sight.residuals.values()]
        if residuals:
            parts["residual"] = torch.stack([one.added.square().mean() for one in residuals]).sum()
            parts["area"] = torch.stack([one.mask.mean() for one in residuals]).mean()
        turn = list(self._parts)[self.steps % len(self._parts)]
        if residuals and settings.codes:
            alone = self._made(turn, sights[turn]._replace(residuals={}))
            parts["codes"] = missed(alone, truth[turn], settings.edges) * len(self._parts)
        if settings.adversarial:
            dtype = torch.bfloat16 if settings.bf16 else torch.float32
            parts["adversarial"] = generator_loss(self._discriminators[turn](made[turn], dtype))
        for name, value in parts.items():
            total = total + getattr(settings, name) * value
        return total, {name: value.detach() for name, value in {**report, **parts}.items()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network on renders as they are, all PSNR in dB.

        Each component in the generators' range; with the true level of the albedo told (``albedo_told``,
        ``shading_told``); the sRGB-encoded photo that they make (``photo``); ``codes_photo`` and the components'
        ``codes_…`` without the residuals. ``mask_…``: correlation, over cells of an eighth of the picture's side, of a
        component's mean mask with the mean error of what its codes make alone, and ``area_…`` the masks' mean.
        """
        rows: dict[str, list[Tensor]] = {}
        self.average.eval()
        masks: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for indices in torch.arange(len(data)).split(_VALIDATED):
            linear = fitted(data.linear(data.batch(indices)), self.average.config.resolution)
            truth = {name: encoded(name, linear[name]).to(self.device) for name in self._parts}
            photo = photograph(data.model.compose(linear)).to(self.device)
            sights = self.average(photo)
            made = {name: self._made(name, sight) for name, sight in sights.items()}
            alone = {name: self._made(name, sight._replace(residuals={})) for name, sight in sights.items()}
            for prefix, outputs in (("", made), ("codes_", alone)):
                found = {name: psnr_of(output, truth[name]) for name, output in outputs.items()}
                found["photo"] = psnr_of(self._photo(outputs) * 2.0 - 1.0, photo * 2.0 - 1.0)
                for name, values in found.items():
                    rows.setdefault(f"{prefix}{name}", []).append(values)
            for name, output in with_level(made, linear["albedo"].to(self.device)).items():
                rows.setdefault(f"{name}_told", []).append(psnr_of(output, truth[name]))
            for name, sight in sights.items():
                if self.average.config.masks and sight.residuals:
                    seen = torch.stack([_celled(one.mask) for one in sight.residuals.values()]).mean(dim=0)
                    masks.setdefault(name, []).append((seen, _celled((alone[name] - truth[name]).abs())))
        scores = {"samples": float(len(data)), **{name: float(torch.cat(found).mean()) for name, found in rows.items()}}
        for name, pairs in masks.items():
            mask, error = (torch.cat(values).flatten() for values in zip(*pairs, strict=True))
            scores[f"mask_{name}"] = float(torch.corrcoef(torch.stack([mask, error]))[0, 1].nan_to_num())
            scores[f"area_{name}"] = float(mask.mean())
        return scores

    def _made(self, name: str, sight: Sight) -> Tensor:
        part, dtype = self._parts[name], torch.bfloat16 if self.settings.bf16 else torch.float32
        return generate(part.generator, part.w_avg + sight.offsets, dtype, sight.residuals).float()

    def _photo(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """What components in the generators' range make, sRGB-encoded and cut off at white."""
        linear = {name: part.transform.from_generator(outputs[name]) for name, part in self._parts.items()}
        return self._model.render(linear).clip(0.0, 1.0)  # type: ignore[no-any-return]

    def _normal(self, sights: Mapping[str, Sight]) -> Tensor:
        whitened = [
            self._whitenings[name].whiten(self._parts[name].w_avg + sight.offsets) for name, sight in sights.items()
        ]
        return torch.stack([codes.square().mean() for codes in whitened]).sum()


def _celled(maps: Tensor) -> Tensor:
    """[B, C, H, W] → means of cells, [B, 1, 8, 8]."""
    return functional.adaptive_avg_pool2d(maps, _CELLS).mean(dim=1, keepdim=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    training.add_run_options(parser)
    parser.add_argument(
        "--spaces",
        nargs="*",
        type=natural,
        metavar="PIXELS",
        help=f"resolutions of residual features (default: those of {', '.join(map(str, SPACES))} that there are)",
    )
    parser.add_argument(
        "--masks", action=argparse.BooleanOptionalAction, default=True, help="soft masks before the features"
    )
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of the backbone, fine to coarse")
    training.add_settings(parser, SeeingSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device, with_discriminators=True)
    data = read_component_sets(options.data, bank.header.forward_model)
    training.need_albedo_and_shading(data)
    with training.checked_architecture():
        generators = {name: bank.components[name].generator.config for name in data.sets}
        config = SeeingConfig.of(generators, **training.given(options, "spaces", "widths", "masks"))
    training.need_doubled(data, config.resolution, "pack_mismatch", "Export the packs again.")
    settings, ranges = training.settings_of(options, SeeingSettings), training.settings_of(options, PhotoRanges)
    learner = SeeingLearner(bank, config, settings, ranges, options.kimg)
    identity = training.identity_through(bank, "seeing", config.to_dict(), data.sets)
    training.train(learner, identity, data, options, ranges)
