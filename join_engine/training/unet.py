# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the plain U-Net that the banks are held against.

May be killed at any moment; the same command goes on from the last checkpoint. At its end it writes unet.safetensors,
which `scorecard`, `evaluate` and `method-layers` read.

It sees the renders that the split network sees, as a phone would have photographed them or, for some, lit as they were
rendered, and answers with their components as they are: how bright the paint is, too, which only the renders' own light
tells. What counts is the absolute error in the generators' range, and that of the edges.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..color import COMPONENT_TRANSFORMS
from ..components import COMPONENTS
from ..layers.albedo_level import level_of
from ..networks.split import halved
from ..networks.unet import UNet, UNetConfig, write_unet
from ..options import positive
from ..renders.compose import ComponentSets, photograph, read_component_sets
from ..renders.draws import draws, uniform
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner
from .split import PhotographSettings, another_light, repainted

_VALIDATED = 32  # samples at a time


@dataclass(frozen=True)
class UNetSettings(PhotographSettings):
    """How to train it.

    Attributes:
        metered: share of the samples under another light, on another paint, as bright as a camera makes them.
        intensity: standard deviation of the logarithm of the light's strength in the other samples.
        edges: weight of the components' edges against the components themselves.
        specular: weight of the specular against the other components.
    """

    metered: float = 0.5
    intensity: float = 0.15
    edges: float = 0.5
    specular: float = 2.0


class UNetLearner(Learner[UNetSettings, UNet]):
    """See the module. ``ranges``: what the camera does beside metering. ``kimg``: thousand images over which the
    learning rate sinks."""

    longest_gradient = 1.0

    def __init__(
        self,
        config: UNetConfig,
        settings: UNetSettings,
        ranges: PhotoRanges,
        kimg: float,
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(UNet(config), settings, device, kimg)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.ranges = ranges

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        settings = self.settings
        photo, truth = photographed(data, settings, self.ranges, self.steps, self.network.config.resolution)
        photo = photo.to(self.device)
        with self.precision():
            told = self.network(photo.contiguous(memory_format=torch.channels_last))
        errors = {name: missed(told[name], encoded(name, truth[name]).to(self.device), settings.edges) for name in told}
        weights = {"specular": settings.specular}
        total = torch.stack([weights.get(name, 1.0) * error for name, error in errors.items()]).sum()
        return total, {name: error.detach() for name, error in errors.items()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """PSNR in dB of the averaged network's components on renders as they are, in the generators' range; and with
        the true level of the albedo told (``albedo_told``, ``shading_told``)."""
        rows: dict[str, list[Tensor]] = {}
        for indices in torch.arange(len(data)).split(_VALIDATED):
            linear = fitted(data.linear(data.batch(indices)), self.network.config.resolution)
            told = self.average(photograph(data.model.compose(linear)).to(self.device))
            for name, output in told.items():
                rows.setdefault(name, []).append(psnr_of(output.cpu(), encoded(name, linear[name])))
            for name, output in with_level(told, linear["albedo"].to(self.device)).items():
                rows.setdefault(f"{name}_told", []).append(psnr_of(output.cpu(), encoded(name, linear[name])))
        return {"samples": float(len(data)), **{name: float(torch.cat(values).mean()) for name, values in rows.items()}}


def photographed(
    data: ComponentSets, settings: UNetSettings, ranges: PhotoRanges, step: int, resolution: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """A batch of photos [B, 3, R, R], sRGB-encoded, with all a camera's faults; and the linear albedo, shading and
    specular [B, 3, R, R] in them. The same for the same seed and step."""
    rng = draws(settings.seed, step)
    linear = fitted(repainted(data, settings.batch, settings.repaint, rng), resolution)
    gain = (settings.intensity * torch.randn(settings.batch, 1, 1, 1, generator=rng)).exp()
    specular = linear.get("specular", torch.zeros_like(linear["albedo"]))
    plain = linear["albedo"], linear["shading"] * gain, specular * gain
    metered = uniform(rng, settings.batch, 0.0, 1.0) < settings.metered
    changed = another_light(linear, settings, rng)
    albedo, shading, specular = (torch.where(metered, *pair) for pair in zip(changed, plain, strict=True))
    photo = augment(albedo * shading + specular, settings.seed, step, ranges)
    return photo, {"albedo": albedo, "shading": shading, "specular": specular}


def fitted(linear: Mapping[str, Tensor], resolution: int) -> dict[str, Tensor]:
    """Renders averaged down to a resolution."""
    found = dict(linear)
    while next(iter(found.values())).shape[-1] > resolution:
        found = {name: halved(image) for name, image in found.items()}
    return found


def missed(told: Tensor, truth: Tensor, edges: float) -> Tensor:
    """Mean absolute error, and so many times that of the edges; a scalar."""
    error = told - truth
    return error.abs().mean() + edges * (error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean())


def with_level(told: Mapping[str, Tensor], albedo: Tensor) -> dict[str, Tensor]:
    """Albedo and shading in the generators' range, brought to the level of a linear albedo [B, 3, H, W]."""
    linear = {name: COMPONENT_TRANSFORMS[COMPONENTS[name].transform].from_generator(told[name]) for name in told}
    change = (level_of(albedo) - level_of(linear["albedo"])).exp()[:, None, None, None]
    return {
        "albedo": encoded("albedo", linear["albedo"] * change),
        "shading": encoded("shading", linear["shading"] / change),
    }


def encoded(component: str, linear: Tensor) -> Tensor:
    """T of a linear component: in its generator's range."""
    return COMPONENT_TRANSFORMS[COMPONENTS[component].transform].to_generator(linear)  # type: ignore[no-any-return]


def psnr_of(told: Tensor, truth: Tensor) -> Tensor:
    """[B] in dB, of values in [-1, 1]."""
    error = ((told.clamp(-1.0, 1.0) - truth.clamp(-1.0, 1.0)) / 2.0).square().mean(dim=(1, 2, 3))
    return -10.0 * error.clamp_min(1e-10).log10()


NAME = "unet.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian_specular")
    default = UNetConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels, fine to coarse"
    )
    parser.add_argument(
        "--resolution", type=positive, default=default.resolution, help="larger renders are averaged down"
    )
    training.add_settings(parser, UNetSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    training.need_albedo_and_shading(data)
    with training.checked_architecture():
        config = UNetConfig(tuple(data.sets), tuple(options.widths), options.resolution)
    hint = "Give another --resolution, or export the packs again."
    training.need_doubled(data, config.resolution, "settings_invalid", hint)
    settings, ranges = training.settings_of(options, UNetSettings), training.settings_of(options, PhotoRanges)
    learner = UNetLearner(config, settings, ranges, options.kimg, device)
    identity = {"kind": "unet", "forward_model": options.forward_model, "architecture": config.to_dict()}
    run = training.train(learner, identity, data, options, ranges)
    told = {"images_shown": learner.images, "seconds": round(run.seconds), "stretches": run.history}
    write_unet(options.out / NAME, learner.average, {**told, "scores": run.scores})
    print(options.out / NAME)
