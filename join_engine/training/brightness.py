# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is.

May be killed at any moment; the same command goes on from the last checkpoint.

It sees composed renders that look like photos, as the encoders do, and answers with the level of their albedo
(:func:`join_engine.layers.albedo_level.level_of`); what counts is the squared error. Not in the paper.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import JoinError
from ..layers.albedo_level import level_of
from ..networks.brightness import Brightness, BrightnessConfig
from ..options import positive
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.draws import draws
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner, VariedSettings

ALBEDO = "albedo"


@dataclass(frozen=True)
class BrightnessSettings(VariedSettings):
    """How to train it; see also :class:`join_engine.renders.photo_augment.PhotoRanges`.

    Attributes:
        decay: of the weights (AdamW's): there are few renders for so free a network.
        relight: share of the samples that get all but the albedo from another one.
    """

    batch: int = 64
    ema_kimg: float = 10.0
    decay: float = 0.02
    relight: float = 0.0


class BrightnessLearner(Learner[BrightnessSettings, Brightness]):
    """See the module."""

    def __init__(
        self,
        config: BrightnessConfig,
        settings: BrightnessSettings,
        ranges: PhotoRanges,
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Brightness(config), settings, device)
        self.ranges = ranges
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.lr, weight_decay=settings.decay)

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        settings, step = self.settings, self.steps
        rng = draws(settings.seed, step)
        components: Mapping[str, Tensor] = data.batch(random_indices(len(data), settings.batch, rng))
        if settings.relight:
            others = data.batch(random_indices(len(data), settings.batch, rng))
            components = relit_by(components, others, torch.rand(settings.batch, generator=rng) < settings.relight)
        linear = data.linear(settings.varied(components, rng))
        images = augment(data.model.compose(linear), settings.seed, step, self.ranges).to(self.device)
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))  # of the dropout
        with self.precision():
            told = self.network(images)
        error = (told.float() - level_of(linear[ALBEDO]).to(self.device)).square().mean()
        return error, {"error": error.detach().sqrt()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network, images seen as they are: bias, and standard deviation of error and truth."""
        told, truth = [], []
        for indices in torch.arange(len(data)).split(64):
            linear = data.linear(data.batch(indices))
            told.append(self.average(photograph(data.model.compose(linear)).to(self.device)).cpu())
            truth.append(level_of(linear[ALBEDO]))
        error = torch.cat(told) - torch.cat(truth)
        return {
            "samples": float(len(data)),
            "error": float(error.std()),
            "bias": float(error.mean()),
            "spread": float(torch.cat(truth).std()),
        }


def relit_by(components: Mapping[str, Tensor], others: Mapping[str, Tensor], chosen: Tensor) -> dict[str, Tensor]:
    """The chosen samples ([B] booleans) with all but the albedo from the others."""
    where = chosen[:, None, None, None]
    return {
        name: images if name == ALBEDO else torch.where(where, others[name], images)
        for name, images in components.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = BrightnessConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--hidden", type=positive, default=default.hidden, help="units before the answer")
    parser.add_argument("--dropout", type=float, default=default.dropout, help="of these")
    training.add_settings(parser, BrightnessSettings())
    # Vignetting only ever darkens: what takes it into account finds every photo without it too dark.
    training.add_settings(parser, PhotoRanges(share=0.3, vignetting=0.0))


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    if ALBEDO not in data.sets:
        message = f"The forward model '{options.forward_model}' has no albedo."
        raise JoinError("settings_invalid", message, "Only a bank with an albedo has use for this network.")
    with training.checked_architecture():
        config = BrightnessConfig(tuple(options.widths), options.hidden, options.dropout)
    training.need_side(data, config.smallest_image, "Give fewer --widths.")
    settings, ranges = training.settings_of(options, BrightnessSettings), training.settings_of(options, PhotoRanges)
    learner = BrightnessLearner(config, settings, ranges, device)
    identity = {"kind": "brightness", "forward_model": data.model.name, "architecture": config.to_dict()}
    training.train(learner, identity, data, options, ranges)
