# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells a material's relief, roughness and specular level (:mod:`join_engine.networks.maps`).

It sees renders with true maps (dataset_tools/render.py maps) as a phone would have photographed them, beside the
shading and the specular that the split network of --bank finds in them, or for some the true ones: what it learns is to
read layers as they are found. What counts is how far unit normals are apart, and the squared error of roughness and
level. Not in the paper.

May be killed at any moment; the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import find_bank, load_bank
from ..color import srgb_decode
from ..errors import JoinError
from ..networks.maps import Maps, MapsConfig
from ..networks.split import Split, cues, halved
from ..options import positive
from ..renders.compose import random_indices
from ..renders.draws import draws
from ..renders.map_sets import MapSets, read_map_sets
from ..renders.photo_augment import PhotoRanges, augment
from . import options as training
from .learner import Learner
from .split import PhotographSettings, another_light, draw

_MAPS = "maps"
_VALIDATED = 16  # samples at a time
# Of the normals' loss: sizes that it looks at, each half of the one before, and the distance below which it grows with
# the square: by the distance alone, what is mostly flat is best told as flat.
_SCALES, _NEAR = 3, 0.2


@dataclass(frozen=True)
class MapsSettings(PhotographSettings):
    """How to train it.

    Attributes:
        crop: the side of what is looked at in most steps, in pixels.
        whole: share of the steps that look at whole renders, and as many fewer at a time.
        known: share of the steps in which it is told the true shading and specular.
        rough: weight of the squared error of roughness and specular level against the normals' distance.
    """

    repaint: float = 0.15
    dark: float = 0.2
    plain: float = 0.15
    flat: float = 0.05
    hard: float = 0.0
    relief: float = 0.0  # one that is only in the light has no true map
    crop: int = 64
    whole: float = 0.3
    known: float = 0.5
    rough: float = 0.2


class MapsLearner(Learner[MapsSettings, Maps]):
    """See the module. ``split``: tells shading and specular of what it sees. ``kimg``: thousand images over which the
    learning rate sinks."""

    longest_gradient = 1.0

    def __init__(
        self,
        split: Split,
        config: MapsConfig,
        settings: MapsSettings,
        ranges: PhotoRanges,
        kimg: float,
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Maps(config), settings, device, kimg)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.split = split.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.ranges = ranges

    def loss(self, data: MapSets) -> tuple[Tensor, dict[str, Tensor]]:  # type: ignore[override]
        """The loss of one batch."""
        settings = self.settings
        rng = draws(settings.seed, self.steps)
        linear, truth = self._sample(data, rng)
        albedo, shading, specular = another_light(linear, settings, rng)
        encoded = augment(albedo * shading + specular, settings.seed, self.steps, self.ranges)
        photo = srgb_decode(encoded).to(self.device).contiguous(memory_format=torch.channels_last)
        known = draw(rng) < settings.known
        layers = (shading.to(self.device), specular.to(self.device)) if known else found_in(self.split, photo)
        with self.precision():
            told = self.network(photo, *layers)
        truth = truth.to(self.device)
        away = _apart(slopes_of(told[:, :1]), truth[:, :2])
        rough, level = (told[:, 1:] - truth[:, 2:]).square().mean(dim=(0, 2, 3))
        parts = {"normals": away.detach(), "roughness": rough.detach().sqrt(), "level": level.detach().sqrt()}
        return away + settings.rough * (rough + level), parts

    @torch.no_grad()
    def validate(self, data: MapSets) -> dict[str, float]:  # type: ignore[override]
        """Of whole renders as they are, and what the averaged network says of them: mean angle between normals in
        degrees (``normals``, ``flat`` for a flat map), and roots of the mean square errors of roughness and specular
        level: of what it says of the picture in the mean (``roughness``, ``level``), of every pixel
        (``roughness_by_pixel``, ``level_by_pixel``), and of the best constants (``constant_roughness``,
        ``constant_level``)."""
        rows: dict[str, list[Tensor]] = {}
        for indices in torch.arange(len(data)).split(_VALIDATED):
            linear = data.linear(data.batch(indices))
            photo = data.model.compose(linear).clamp(0.0, 1.0).to(self.device)
            told = self.average(photo, *found_in(self.split, photo)).cpu()
            truth = data.maps[indices].float()
            shown = {
                "normals": _angles(slopes_of(told[:, :1]), truth[:, :2]),
                "flat": _angles(torch.zeros_like(truth[:, :2]), truth[:, :2]),
                "squares": (told[:, 1:].mean(dim=(2, 3), keepdim=True) - truth[:, 2:]).square().mean(dim=(2, 3)),
                "by_pixel": (told[:, 1:] - truth[:, 2:]).square().mean(dim=(2, 3)),
                "means": truth[:, 2:].mean(dim=(2, 3)),
                "spread": truth[:, 2:].square().mean(dim=(2, 3)),
            }
            for name, value in shown.items():
                rows.setdefault(name, []).append(value)
        found = {name: torch.cat(values).mean(dim=0) for name, values in rows.items()}
        errors = {
            "{}": found["squares"],
            "{}_by_pixel": found["by_pixel"],
            "constant_{}": (found["spread"] - found["means"].square()).clamp_min(0.0),
        }
        return {
            "samples": float(len(data)),
            **{name: float(found[name]) for name in ("normals", "flat")},
            **{
                how.format(name): value
                for how, squares in errors.items()
                for name, value in zip(("roughness", "level"), squares.sqrt().tolist(), strict=True)
            },
        }

    def _sample(self, data: MapSets, rng: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
        """Linear components of one batch and their maps, [B, C, h, h]."""
        settings, largest = self.settings, data.resolution
        whole = draw(rng) < settings.whole or largest <= settings.crop
        small = draw(rng) < 0.5 and largest >= 2 * settings.crop
        side = largest >> small if whole else settings.crop
        count = max(1, settings.batch * settings.crop**2 // side**2)
        indices = random_indices(len(data), count, rng)
        others = data.batch(random_indices(len(data), count, rng))
        seen = varied({**data.batch(indices), _MAPS: data.maps[indices].float()}, rng)
        maps = seen.pop(_MAPS)
        chosen = (torch.rand(count, generator=rng) < settings.repaint)[:, None, None, None]
        seen["albedo"] = torch.where(chosen, others["albedo"], seen["albedo"])
        linear = {**data.linear(seen), _MAPS: maps}
        linear = {name: halved(image) for name, image in linear.items()} if small else linear
        top, left = (int(torch.randint((largest >> small) - side + 1, (), generator=rng)) for _ in range(2))
        linear = {name: image[:, :, top : top + side, left : left + side] for name, image in linear.items()}
        return linear, linear.pop(_MAPS)


@torch.no_grad()
def found_in(split: Split, photo: Tensor) -> tuple[Tensor, Tensor]:
    """Shading and specular that a split network finds in linear photos [B, 3, H, W], told nothing of generators; grey,
    linear [B, 1, H, W]."""
    level = split(photo, torch.ones_like(photo[:, :1]), cues(None, None, None, photo))[-1]
    return level.shading.exp(), level.specular


def _apart(told: Tensor, truth: Tensor) -> Tensor:
    """How far unit normals are from each other in the mean, those of ever larger parts together: in one pixel, a true
    one is mostly its samples' noise. A scalar.

    Args:
        told, truth: slopes [B, 2, H, W].
    """
    parts = []
    for index in range(_SCALES):
        told, truth = (halved(told), halved(truth)) if index else (told, truth)
        squares = (_upwards(told) - _upwards(truth)).square().sum(dim=1)
        parts.append(((squares + _NEAR**2).sqrt() - _NEAR).mean())
    return torch.stack(parts).mean()


def slopes_of(height: Tensor) -> Tensor:
    """How far heights [B, 1, H, W] in widths of a pixel rise to the right and upwards, [B, 2, H, W]; level at the
    edges."""
    around = functional.pad(height, (1, 1, 1, 1), mode="replicate")
    right = (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2]) / 2.0
    up = (around[:, :, :-2, 1:-1] - around[:, :, 2:, 1:-1]) / 2.0
    return torch.cat([right, up], dim=1)


def _angles(told: Tensor, truth: Tensor) -> Tensor:
    """Mean angles between the normals of slopes [B, 2, H, W], degrees, [B]."""
    return (_upwards(told) * _upwards(truth)).sum(dim=1).clamp(-1.0, 1.0).acos().rad2deg().mean(dim=(1, 2))


def _upwards(slopes: Tensor) -> Tensor:
    """Unit normals [B, 3, H, W] (right, up, towards whoever looks) of slopes [B, 2, H, W]."""
    return functional.normalize(torch.cat([-slopes, torch.ones_like(slopes[:, :1])], dim=1), dim=1)


def varied(samples: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Every sample mirrored or not, and turned by quarter turns, all of it alike; the slopes of its maps with it."""
    count = len(next(iter(samples.values())))
    flips = torch.rand(count, generator=rng) < 0.5
    turns = torch.randint(4, (count,), generator=rng).tolist()
    found = {
        name: torch.stack(
            [
                torch.rot90(image.flip(2) if flip else image, turn, (1, 2))
                for image, flip, turn in zip(images, flips.tolist(), turns, strict=True)
            ]
        )
        for name, images in samples.items()
    }
    right, up = found[_MAPS][:, 0].clone(), found[_MAPS][:, 1].clone()
    right = torch.where(flips[:, None, None], -right, right)
    for index, turn in enumerate(turns):
        for _ in range(turn):  # against the clock: what rises to the right rises upwards
            right[index], up[index] = -up[index], right[index].clone()
    found[_MAPS][:, 0], found[_MAPS][:, 1] = right, up
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    training.add_run_options(parser)
    parser.add_argument("--bank", default="materials", help="whose split network tells shading and specular")
    default = MapsConfig()
    parser.add_argument("--widths", nargs="+", type=positive, default=list(default.widths), help="of the U-Net")
    parser.add_argument("--forward-model", help="of the renders (default: the bank's)")
    training.add_settings(parser, MapsSettings())
    training.add_settings(parser, training.ranges_of_light())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device)
    if bank.split is None:
        message = f"There is no split network in '{bank.path.name}'."
        raise JoinError("split_missing", message, "Name a --bank that has one.")
    with training.checked_architecture():
        config = MapsConfig(tuple(options.widths))
    model = options.forward_model or bank.header.forward_model
    data = read_map_sets(options.data, model)
    training.need_doubled(data, options.crop, "settings_invalid", "Give another --crop.")
    settings, ranges = training.settings_of(options, MapsSettings), training.settings_of(options, PhotoRanges)
    learner = MapsLearner(bank.split, config, settings, ranges, options.kimg, device)
    identity = {"kind": _MAPS, "forward_model": model, "architecture": config.to_dict()}
    training.train(learner, identity, data, options, ranges, read=read_map_sets)
