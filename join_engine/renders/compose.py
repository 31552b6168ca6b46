# SPDX-License-Identifier: GPL-3.0-or-later
"""Composed renders: the components of a pack put together to the image that an encoder gets to see (Eq. 5 and 6)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..color import COMPONENT_TRANSFORMS, srgb_encode
from ..errors import JoinError
from ..forward_models import ForwardModel, get_forward_model
from .packs import ImageSet, PackInfo, read_packs


@dataclass(frozen=True)
class ComponentSets:
    """All components of a forward model for the same samples, in memory.

    Attributes:
        model: f of Eq. 1.
        sets: by component, in the model's order; image i of each belongs to sample i.
    """

    model: ForwardModel
    sets: Mapping[str, ImageSet]

    def __len__(self) -> int:
        return len(next(iter(self.sets.values())).images)

    @property
    def resolution(self) -> int:
        """Side of the images."""
        return next(iter(self.sets.values())).resolution

    @property
    def packs(self) -> tuple[PackInfo, ...]:
        """Where the images come from."""
        return next(iter(self.sets.values())).packs

    def only(self, chosen: Tensor) -> ComponentSets:
        """The samples where ``chosen``, [N] of bool, is true."""
        of_packs = zip(self.packs, chosen.split([pack.count for pack in self.packs]), strict=True)
        packs = tuple(replace(pack, count=int(part.sum())) for pack, part in of_packs)
        sets = {name: replace(own, images=own.images[chosen], packs=packs) for name, own in self.sets.items()}
        return replace(self, sets=sets)

    def batch(self, indices: Tensor) -> dict[str, Tensor]:
        """[B] indices → components in the generators' range, each [B, 3, H, W]."""
        return {name: images.batch(indices) for name, images in self.sets.items()}

    def linear(self, components: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """T⁻¹ of each: generators' range → linear components."""
        return {
            name: COMPONENT_TRANSFORMS[self.sets[name].transform].from_generator(components[name]) for name in self.sets
        }

    def constant(self, component: str, value: float) -> Tensor:
        """T of one linear value, a scalar in the generator's range."""
        linear = torch.tensor(value)
        return COMPONENT_TRANSFORMS[self.sets[component].transform].to_generator(linear)

    def compose(self, components: Mapping[str, Tensor]) -> Tensor:
        """Components in the generators' range → linear image [B, 3, H, W], not clipped."""
        return self.model.compose(self.linear(components))


def photograph(linear: Tensor) -> Tensor:
    """Linear image → what a camera without faults makes of it: sRGB-encoded, cut off at white."""
    return srgb_encode(linear.clamp(0.0, 1.0))


def read_component_sets(paths: Sequence[str | os.PathLike[str]], forward_model: str) -> ComponentSets:
    """All components of the forward model in the packs.

    Raises:
        JoinError: as :func:`join_engine.renders.packs.read_packs`; ``forward_model_unknown``.
    """
    model = get_forward_model(forward_model)
    return ComponentSets(model, {name: read_packs(paths, name) for name in model.components})


Reader = Callable[[Sequence[str | os.PathLike[str]], str], ComponentSets]


def read_validation(
    paths: Sequence[str | os.PathLike[str]], training: ComponentSets, read: Reader = read_component_sets
) -> ComponentSets | None:
    """Packs of validation samples that fit those of the training, as ``read`` reads them; None when no path is given.

    Raises:
        JoinError: as :func:`read_component_sets`; ``pack_mismatch`` for another resolution or transform, or for a pack
            that the training reads too.
    """
    if not paths:
        return None
    found = read(paths, training.model.name)
    same = all(found.sets[name].transform == images.transform for name, images in training.sets.items())
    if found.resolution != training.resolution or not same:
        message = "The packs of training and validation differ in resolution or transform."
        raise JoinError("pack_mismatch", message, "Export them with the same settings.")
    shared = [pack for pack in found.packs if pack in training.packs]
    if shared:
        message = f"The training reads the pack '{shared[0].file}' too, so it cannot serve for validation."
        raise JoinError("pack_mismatch", message, "Export one of another split.")
    return found


def random_indices(count: int, batch: int, rng: torch.Generator) -> Tensor:
    """[batch] indices below ``count``, drawn with replacement."""
    return torch.randint(count, (batch,), generator=rng)


def turned(components: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Every sample turned by a number of quarter turns drawn for it, all components of a sample alike."""
    count = len(next(iter(components.values())))
    turns = torch.randint(4, (count,), generator=rng).tolist()
    return {
        name: torch.stack([torch.rot90(image, turn, (1, 2)) for image, turn in zip(images, turns, strict=True)])
        for name, images in components.items()
    }


def mirrored(components: Mapping[str, Tensor], rng: torch.Generator) -> dict[str, Tensor]:
    """Half of the samples mirrored left to right, all components of a sample alike."""
    count = len(next(iter(components.values())))
    flip = (torch.rand(count, generator=rng) < 0.5)[:, None, None, None]
    return {name: torch.where(flip, images.flip(3), images) for name, images in components.items()}
