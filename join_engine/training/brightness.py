# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is.

May be killed at any moment; the same command goes on from the last checkpoint. --start-from BANK begins a new training
with that bank's network.

It sees composed renders that look like photos, as the encoders do, and answers with the level of their albedo
(:func:`join_engine.layers.albedo_level.level_of`); what counts is the squared error. Not in the paper.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bank import find_bank, load_bank
from ..errors import JoinError
from ..layers.albedo_level import level_of, visible_mean
from ..networks.brightness import Brightness, BrightnessConfig
from ..networks.split import luminance
from ..options import positive
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from ..renders.draws import draws, uniform
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner, VariedSettings

ALBEDO = "albedo"
_METERED = (0.1, 0.4)
_LEAST_LIGHT = 1e-4


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
        components: Mapping[str, Tensor] = data.batch(random_indices(len(data), settings.batch, rng))
        if settings.relight:
            others = data.batch(random_indices(len(data), settings.batch, rng))
            chosen = torch.rand(settings.batch, generator=rng) < settings.relight
            for one in (components, others):  # no light of one thing falls on another where that is
                chosen = chosen & shown_by(data.linear(one)).all(dim=(1, 2, 3))
            components = relit_by(components, others, chosen)
        linear = data.linear(settings.varied(components, rng))
        visible = shown_by(linear)
        light = _filled(data.model.compose(linear), visible)
        if settings.metered:
            light = metered(light, visible, torch.rand(settings.batch, generator=rng) < settings.metered, rng)
        images = augment(light, settings.seed, step, self.ranges).to(self.device)
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))  # of the dropout
        with self.precision():
            told = self.network(images)
        error = (told.float() - level_of(linear[ALBEDO], visible).to(self.device)).square().mean()
        return error, {"error": error.detach().sqrt()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network, images seen as they are: bias, and standard deviation of error and truth."""
        told, truth = [], []
        for indices in torch.arange(len(data)).split(64):
            linear = data.linear(data.batch(indices))
            visible = shown_by(linear)
            light = _filled(data.model.compose(linear), visible)
            told.append(self.average(photograph(light).to(self.device)).cpu())
            truth.append(level_of(linear[ALBEDO], visible))
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


def shown_by(linear: Mapping[str, Tensor]) -> Tensor:
    """Where linear components [B, 3, H, W] show something, [B, 1, H, W] booleans: not beside what is cut out."""
    return torch.stack([part.amax(dim=1, keepdim=True) for part in linear.values()]).amax(dim=0) > 0.0


def metered(light: Tensor, visible: Tensor, chosen: Tensor, rng: torch.Generator) -> Tensor:
    """The chosen ([B] booleans) of linear images [B, 3, H, W] exposed to a mean luminance between the bounds of
    :data:`_METERED`, drawn by its logarithm. ``visible``: see :func:`shown_by`. As in
    :func:`join_engine.evaluation.camera.metered`, light counts up to twice of white."""
    low, high = (math.log(bound) for bound in _METERED)
    wanted = uniform(rng, len(light), low, high).exp()
    mean = visible_mean(luminance(light).clamp_max(2.0), visible)
    return torch.where(chosen[:, None, None, None], light * wanted / mean.clamp_min(_LEAST_LIGHT), light)


def _filled(light: Tensor, visible: Tensor) -> Tensor:
    """As a bank sees what is cut out (:func:`join_engine.images.files.opaque`)."""
    return torch.where(visible, light, visible_mean(light, visible))


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
