# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells how bright an albedo is: ``python -m join_engine.training.brightness --data PACK.tar``.

It sees composed renders that look like photos, as the encoders do, and answers with the level of their albedo
(:func:`join_engine.layers.albedo_level.level_of`); what counts is the squared error. Not in the paper.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..device import keep_freed_memory, set_up_torch
from ..errors import JoinError
from ..layers.albedo_level import level_of
from ..networks.brightness import Brightness, BrightnessConfig
from ..renders.compose import (
    ComponentSets,
    mirrored,
    photograph,
    random_indices,
    read_component_sets,
    read_validation,
    turned,
)
from ..renders.draws import draws
from ..renders.photo_augment import PhotoRanges, augment
from .learner import Learner, LearnerSettings
from .run import Run, add_run_options, add_settings, command, pick

_ALBEDO = "albedo"


@dataclass(frozen=True)
class BrightnessSettings(LearnerSettings):
    """How to train it; see also :class:`join_engine.renders.photo_augment.PhotoRanges`.

    Attributes:
        decay: of the weights (AdamW's): there are few renders for so free a network.
        flip: mirror half of the samples.
        turns: turn them by quarter turns, for renders that have no up and down.
        relight: share of the samples that get all but the albedo from another one.
    """

    batch: int = 64
    ema_kimg: float = 10.0
    decay: float = 0.02
    flip: bool = True
    turns: bool = False
    relight: float = 0.0


class BrightnessLearner(Learner):
    """See the module.

    Args:
        config: the network's architecture.
        settings: how to train.
        ranges: the photographic augmentation.
        device: where.
    """

    settings: BrightnessSettings
    network: Brightness
    average: Brightness

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
        components = data.batch(random_indices(len(data), settings.batch, rng))
        if settings.relight:
            others = data.batch(random_indices(len(data), settings.batch, rng))
            components = relit_by(components, others, torch.rand(settings.batch, generator=rng) < settings.relight)
        if settings.flip:
            components = mirrored(components, rng)
        if settings.turns:
            components = turned(components, rng)
        linear = data.linear(components)
        images = augment(data.model.compose(linear), settings.seed, step, self.ranges).to(self.device)
        torch.manual_seed(int(torch.randint(2**31, (), generator=rng)))  # of the dropout
        with self.precision():
            told = self.network(images)
        error = (told.float() - level_of(linear[_ALBEDO]).to(self.device)).square().mean()
        return error, {"error": error.detach().sqrt()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network, images seen as they are: bias, and standard deviation of error and truth."""
        told, truth = [], []
        for indices in torch.arange(len(data)).split(64):
            linear = data.linear(data.batch(indices))
            told.append(self.average(photograph(data.model.compose(linear)).to(self.device)).cpu())
            truth.append(level_of(linear[_ALBEDO]))
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
        name: images if name == _ALBEDO else torch.where(where, others[name], images)
        for name, images in components.items()
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m join_engine.training.brightness", description=__doc__)
    add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = BrightnessConfig()
    parser.add_argument("--widths", nargs="+", type=int, default=list(default.widths), help="channels of each stage")
    parser.add_argument("--hidden", type=int, default=default.hidden, help="units before the answer")
    parser.add_argument("--dropout", type=float, default=default.dropout, help="of these")
    add_settings(parser, BrightnessSettings())
    # Vignetting only ever darkens: what takes it into account finds every photo without it too dark.
    add_settings(parser, PhotoRanges(share=0.3, vignetting=0.0))
    return parser


def begin(arguments: argparse.Namespace) -> Run:
    """The run that the arguments ask for, resumed where they say so. Raises JoinError."""
    device = set_up_torch(arguments.device, arguments.threads)
    keep_freed_memory()
    data = read_component_sets(arguments.data, arguments.forward_model)
    if _ALBEDO not in data.sets:
        message = f"The forward model '{arguments.forward_model}' has no albedo."
        raise JoinError("settings_invalid", message, "Only a bank with an albedo has use for this network.")
    try:
        config = BrightnessConfig(tuple(arguments.widths), arguments.hidden, arguments.dropout)
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    if data.resolution < config.smallest_image:
        message = f"The packs have {data.resolution} pixels a side, the network needs {config.smallest_image}."
        raise JoinError("settings_invalid", message, "Give fewer --widths.")
    settings, ranges = (
        BrightnessSettings(**pick(arguments, BrightnessSettings)),
        PhotoRanges(**pick(arguments, PhotoRanges)),
    )
    learner = BrightnessLearner(config, settings, ranges, device)
    identity = {"kind": "brightness", "forward_model": data.model.name, "architecture": config.to_dict()}
    run = Run(learner, identity, data, read_validation(arguments.validation, data), arguments.out)
    run.resume(arguments.resume)
    run.history[-1]["augmentation"] = {field.name: getattr(ranges, field.name) for field in fields(PhotoRanges)}
    return run


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    return command(_parser(), begin, argv)


if __name__ == "__main__":
    sys.exit(main())
