# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is.

May be killed at any moment; the same command goes on from the last checkpoint. --start-from BANK begins a new training
with that bank's network.

It sees composed renders that look like photos, as the encoders do, and answers with the level of their albedo
(:func:`join_engine.layers.albedo_level.level_of`); what counts is the squared error. Not in the paper.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bank import find_bank, load_bank
from ..errors import JoinError
from ..layers.albedo_level import level_of
from ..networks.brightness import Brightness, BrightnessConfig
from ..options import positive
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.draws import draws
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner, VariedSettings
from .split import filled_behind, metering, visible

ALBEDO = "albedo"
_METERED = 0.1, 0.4  # mean luminances that a camera aims at


@dataclass(frozen=True)
class BrightnessSettings(VariedSettings):
    """How to train it; see also :class:`join_engine.renders.photo_augment.PhotoRanges`.

    Attributes:
        decay: of the weights (AdamW's): there are few renders for so free a network.
        relight: share of the samples that get all but the albedo from another one.
        metered: share of the samples that a camera meters: how bright they are in all then tells nothing of the albedo.
    """

    batch: int = 64
    ema_kimg: float = 10.0
    decay: float = 0.02
    relight: float = 0.0
    metered: float = 0.0


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
        linear: Mapping[str, Tensor] = data.linear(data.batch(random_indices(len(data), settings.batch, rng)))
        if settings.relight:
            others = data.linear(data.batch(random_indices(len(data), settings.batch, rng)))
            chosen = torch.rand(settings.batch, generator=rng) < settings.relight
            for one in (
                linear,
                others,
            ):  # things that are cut out have other outlines, and neither give light nor get it
                chosen = chosen & (visible(one) > 0.0).all(dim=(1, 2, 3))
            linear = relit_by(linear, others, chosen)
        linear = settings.varied(linear, rng)
        light, seen = _seen(data, linear)
        if settings.metered:
            chosen = torch.rand(settings.batch, 1, 1, 1, generator=rng) < settings.metered
            light = torch.where(chosen, light * metering(light, seen, *_METERED, rng), light)
        images = augment(light, settings.seed, step, self.ranges).to(self.device)
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))  # of the dropout
        with self.precision():
            told = self.network(images)
        error = (told.float() - level_of(linear[ALBEDO], seen).to(self.device)).square().mean()
        return error, {"error": error.detach().sqrt()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network, images seen as they are: bias, and standard deviation of error and truth."""
        told, truth = [], []
        for indices in torch.arange(len(data)).split(64):
            linear = data.linear(data.batch(indices))
            light, seen = _seen(data, linear)
            told.append(self.average(photograph(light).to(self.device)).cpu())
            truth.append(level_of(linear[ALBEDO], seen))
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


def _seen(data: ComponentSets, linear: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Linear [B, 3, H, W]: the light of composed components, as a bank sees it, and [B, 1, H, W]: 1 where it shows
    something."""
    seen = visible(linear)
    return filled_behind(data.model.compose(linear), seen), seen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = BrightnessConfig()
    widths = " ".join(map(str, default.widths))
    parser.add_argument(
        "--start-from", metavar="BANK", help="name or path of a bank with whose network a new run begins"
    )
    parser.add_argument("--widths", nargs="+", type=positive, help=f"channels of each stage (default: {widths})")
    parser.add_argument("--hidden", type=positive, help=f"units before the answer (default: {default.hidden})")
    parser.add_argument("--dropout", type=float, help=f"of these (default: {default.dropout})")
    training.add_settings(parser, BrightnessSettings())
    # Vignetting only ever darkens: what takes it into account finds every photo without it too dark.
    training.add_settings(parser, PhotoRanges(share=0.3, vignetting=0.0))


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    begun = None if options.start_from is None else load_bank(find_bank(options.start_from), device)
    data = read_component_sets(options.data, options.forward_model)
    if ALBEDO not in data.sets:
        message = f"The forward model '{options.forward_model}' has no albedo."
        raise JoinError("settings_invalid", message, "Only a bank with an albedo has use for this network.")
    with training.checked_architecture():
        changes = training.given(options, "widths", "hidden", "dropout")
        known = BrightnessConfig() if begun is None or begun.brightness is None else begun.brightness.config
        config = replace(known, **changes)
    training.need_side(data, config.smallest_image, "Give fewer --widths.")
    settings, ranges = training.settings_of(options, BrightnessSettings), training.settings_of(options, PhotoRanges)
    learner = BrightnessLearner(config, settings, ranges, device)
    if begun is not None:
        hint = "Leave out --widths, --hidden and --dropout"
        learner.begin_with(begun.brightness, "brightness network", begun.path.name, "brightness_missing", hint)
    identity = {"kind": "brightness", "forward_model": data.model.name, "architecture": config.to_dict()}
    training.train(learner, identity, data, options, ranges)
