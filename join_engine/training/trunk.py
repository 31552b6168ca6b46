# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the perceptual trunk on composed renders.

May be killed at any moment; the same command goes on from the last checkpoint.

Two tasks, both answered from the unit-length features that the perceptual loss compares, so that a distance in them
means something:

- *Read out.* A linear map of every tap gives the components (albedo, shading, …) at the tap's resolution. A feature
  that allows this differs where paint or light differ, and says which of the two it was.
- *Recognise.* Any albedo can be lit by the light of any other sample: the composed image is their product. Of a batch
  composed twice, with other light the second time, find the same paint again; and find the same light on other paint.
  This is contrastive learning (InfoNCE) whose two views are physical, and it needs no labels.

The images pass through the photographic augmentation of the encoders. Every fifth step shows paint under plain light
and light on plain paint, since the encoders' losses compare single components.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ..components import COMPONENTS
from ..inversion.losses.perceptual import unit_features
from ..networks.trunk import Trunk, TrunkConfig
from ..options import positive
from ..renders.compose import ComponentSets, mirrored, photograph, random_indices, read_component_sets
from ..renders.draws import draws
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner, LearnerSettings

_PLAIN_EVERY = 5
_TEMPERATURE = 0.1
_EMBEDDING = 64
_VALIDATION_SAMPLES = 256
_GROUP = 64  # recognised among so many


@dataclass(frozen=True)
class TrunkSettings(LearnerSettings):
    """How to train a trunk.

    Attributes:
        recognise: weight of the contrastive task beside the read-out.
        photo_share: share of the images that each step of the photographic augmentation is applied to.
    """

    batch: int = 32
    recognise: float = 0.1
    photo_share: float = 0.3


class TrunkWithHeads(nn.Module):
    """The trunk, and what its tasks need on top; only the trunk is shipped."""

    def __init__(self, config: TrunkConfig, components: int) -> None:
        super().__init__()
        self.trunk = Trunk(config)
        self.readouts = nn.ModuleList(nn.Conv2d(width, 3 * components, 1) for width in config.widths)
        self.paint = nn.Linear(sum(config.widths), _EMBEDDING)
        self.light = nn.Linear(sum(config.widths), _EMBEDDING)

    def forward(self, images: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Images [B, 3, H, W] → a reading per tap [B, 3 · components, h, w], and unit embeddings of paint and light."""
        taps = [unit_features(tap) * tap.shape[1] ** 0.5 for tap in self.trunk(images)]
        readings = [readout(tap) for readout, tap in zip(self.readouts, taps, strict=True)]
        pooled = torch.cat([tap.mean(dim=(2, 3)) for tap in taps], dim=1)
        paint, light = (functional.normalize(head(pooled), dim=1) for head in (self.paint, self.light))
        return readings, paint, light


class TrunkLearner(Learner[TrunkSettings, TrunkWithHeads]):
    """See the module."""

    def __init__(
        self, config: TrunkConfig, components: int, settings: TrunkSettings, device: str | torch.device = "cpu"
    ) -> None:
        super().__init__(_fresh(config, components, settings.seed), settings, device)
        self._ranges = PhotoRanges(share=settings.photo_share)

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, composed twice with different pairs of paint and light."""
        seed, step, batch = self.settings.seed, self.steps, self.settings.batch
        rng = draws(seed, step)
        components = mirrored(data.batch(random_indices(len(data), batch, rng)), rng)
        if step % _PLAIN_EVERY == _PLAIN_EVERY - 1:
            parts = [plain(components, data, paint) for paint in (False, True)]
            read = self._read(parts, data, step)[0]
            return read, {"read": read.detach()}
        shift = int(torch.randint(1, batch, (), generator=rng)) if batch > 1 else 0
        read, (first, second) = self._read([components, relit(components, data, shift)], data, step)
        recognise = recognition_loss(first, second, shift)
        loss = read + self.settings.recognise * recognise
        return loss, {"read": read.detach(), "recognise": recognise.detach()}

    def _read(
        self, parts: list[dict[str, Tensor]], data: ComponentSets, step: int
    ) -> tuple[Tensor, tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
        """Read-out loss over two batches at once, and the embeddings (paint, light) of each."""
        half = len(next(iter(parts[0].values())))
        components = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        images = augment(data.compose(components), self.settings.seed, step, self._ranges).to(self.device)
        with self.precision():
            readings, paint, light = self.network(images)
        read = readout_loss(readings, components)
        return read, ((paint[:half], light[:half]), (paint[half:], light[half:]))

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Read-out error, and how often paint and light are recognised by the trunk's features alone.

        ``*_random`` are the same features with the weights that the training began with.
        """
        components = data.batch(torch.arange(min(len(data), _VALIDATION_SAMPLES)))
        images = photograph(data.compose(components)).to(self.device)
        readings = [self.average(part)[0] for part in images.split(32)]
        joined = [torch.cat(parts) for parts in zip(*readings, strict=True)]
        scores = {"read": float(readout_loss(joined, components))}
        fresh = _fresh(self.average.trunk.config, len(components), self.settings.seed).trunk.to(self.device)
        for name, trunk in (("", self.average.trunk), ("_random", fresh)):
            paint, light = recognition_rates(trunk, components, data)
            scores |= {f"paint{name}": paint, f"light{name}": light}
        return scores


def _fresh(config: TrunkConfig, components: int, seed: int) -> TrunkWithHeads:
    torch.manual_seed(seed)
    return TrunkWithHeads(config, components)


def plain(components: Mapping[str, Tensor], data: ComponentSets, paint: bool) -> dict[str, Tensor]:
    """The light on something white where the ``paint`` is plain, else the first component (the paint) alone; what is
    plain makes no difference: albedo and shading of 1, anything that is added of 0."""
    first = next(iter(components))
    return {
        name: data.constant(name, COMPONENTS[name].neutral).expand_as(images) if paint == (name == first) else images
        for name, images in components.items()
    }


def relit(components: Mapping[str, Tensor], data: ComponentSets, shift: int) -> dict[str, Tensor]:
    """The same paint under the light of the sample ``shift`` places before, all other components together."""
    paint = next(iter(components))
    return {name: images if name == paint else images.roll(shift, 0) for name, images in components.items()}


def readout_loss(readings: Sequence[Tensor], components: Mapping[str, Tensor]) -> Tensor:
    """Mean squared error of every tap's reading against the components at its resolution, mean over the taps."""
    target = torch.cat(list(components.values()), dim=1).to(readings[0].device)
    errors = [
        (reading.float() - functional.adaptive_avg_pool2d(target, (reading.shape[2], reading.shape[3]))).square().mean()
        for reading in readings
    ]
    return torch.stack(errors).mean()


def recognition_loss(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], shift: int) -> Tensor:
    """InfoNCE both ways: paint i of ``first`` is paint i of ``second``; its light is light i + ``shift``."""
    (paint, light), (same_paint, other_light) = first, second
    pairs = ((paint, same_paint), (light, other_light.roll(-shift, 0)))
    losses = []
    for mine, theirs in pairs:
        logits = mine.float() @ theirs.float().t() / _TEMPERATURE
        target = torch.arange(len(logits), device=logits.device)
        losses += [functional.cross_entropy(logits, target), functional.cross_entropy(logits.t(), target)]
    return torch.stack(losses).mean()


@torch.no_grad()
def recognition_rates(
    trunk: Trunk, components: Mapping[str, Tensor], data: ComponentSets, group: int = _GROUP
) -> tuple[float, float]:
    """How often the nearest image, by the perceptual distance, has the same paint, and how often the same light.

    Each sample's paint is put under the light of another and sought among the samples themselves, once without the one
    that gave the light (what is left in common is the paint) and once without the one that gave the paint. Chance is
    1 / (``group`` − 1).
    """
    device = next(trunk.parameters()).device

    def embed(parts: Mapping[str, Tensor]) -> Tensor:
        images = photograph(data.compose(parts)).to(device)
        return torch.cat([_flattened(trunk, part) for part in images.split(32)]).cpu()

    paint_hits, light_hits, total = 0, 0, 0
    for begin in range(0, len(next(iter(components.values()))), group):
        parts = {name: images[begin : begin + group] for name, images in components.items()}
        members = torch.arange(len(next(iter(parts.values()))))
        if len(members) < 3:  # nothing to choose among
            break
        light = members.roll(1)
        distances = torch.cdist(embed(relit(parts, data, 1)), embed(parts))
        paint_hits += int((_without(distances, light).argmin(dim=1) == members).sum())
        light_hits += int((_without(distances, members).argmin(dim=1) == light).sum())
        total += len(members)
    return paint_hits / max(total, 1), light_hits / max(total, 1)


def _without(distances: Tensor, columns: Tensor) -> Tensor:
    """Distances [N, N] with one column of each row out of the running."""
    return distances.scatter(1, columns[:, None], torch.inf)


def _flattened(trunk: Trunk, images: Tensor) -> Tensor:
    """Images → [B, …] vectors, whose squared distance is that of
    :class:`join_engine.inversion.losses.perceptual.FeatureDistance`."""
    taps = [unit_features(tap) for tap in trunk(images)]
    return torch.cat([tap.flatten(1) / (tap.shape[2] * tap.shape[3]) ** 0.5 for tap in taps], dim=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_run_options(parser)
    parser.add_argument("--forward-model", default="lambertian")
    default = TrunkConfig()
    parser.add_argument(
        "--widths", nargs="+", type=positive, default=list(default.widths), help="channels of each stage"
    )
    parser.add_argument("--depths", nargs="+", type=positive, default=list(default.depths), help="convolutions of each")
    training.add_settings(parser, TrunkSettings())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    data = read_component_sets(options.data, options.forward_model)
    with training.checked_architecture():
        config = TrunkConfig(tuple(options.widths), tuple(options.depths))
    training.need_side(data, config.smallest_image, "Give fewer --widths and --depths.")
    learner = TrunkLearner(config, len(data.sets), training.settings_of(options, TrunkSettings), device)
    identity = {"kind": "trunk", "forward_model": data.model.name, "architecture": config.to_dict()}
    training.train(learner, identity, data, options)
