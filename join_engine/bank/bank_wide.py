# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks of a bank that belong to no component: file, card, figures and make-bank follow from a row each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..json_data import Described
from ..networks.brightness import Brightness, BrightnessConfig
from ..networks.invertibility import Invertibility, InvertibilityConfig
from ..networks.maps import Maps, MapsConfig
from ..networks.samm import Samm, SammConfig
from ..networks.seeing import Seeing, SeeingConfig
from ..networks.split import Split, SplitConfig, cues
from ..networks.trunk import Trunk, TrunkConfig

Config = TypeVar("Config", bound=Described)


@dataclass(frozen=True)
class NetworkHeader(Described, Generic[Config]):
    """What a bank says about one of these networks.

    Attributes:
        architecture: of the network.
        training: what it was trained on and for how long; plain JSON values.
    """

    architecture: Config
    training: Mapping[str, Any] = field(default_factory=dict)


class TrunkHeader(NetworkHeader[TrunkConfig]):
    """Of the perceptual trunk."""


class BrightnessHeader(NetworkHeader[BrightnessConfig]):
    """Of the network that tells how bright an albedo is."""


class SplitHeader(NetworkHeader[SplitConfig]):
    """Of the network that tells paint, light and gloss apart in every pixel."""


class MapsHeader(NetworkHeader[MapsConfig]):
    """Of the network that tells relief and roughness."""


@dataclass(frozen=True)
class ThroughHeader(NetworkHeader[Config]):
    """Of a network that was trained through a bank's generators, and is worth nothing with others. ``generators``: by
    component, :func:`join_engine.bank.fingerprint` of each."""

    generators: Mapping[str, str] = field(default_factory=dict)


class SeeingHeader(ThroughHeader[SeeingConfig]):
    """Of the seeing encoder."""


class InvertibilityHeader(ThroughHeader[InvertibilityConfig]):
    """Of the network that tells in which latent space what can be inverted."""


@dataclass(frozen=True)
class SammHeader(ThroughHeader[SammConfig]):
    """Of the alignment module. ``encoders``: likewise of those whose features it looks at."""

    encoders: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BankWide:
    """A kind of network that a bank holds one of at most, under its name as a field of header and bank.

    Attributes:
        title: what a person reads.
        header: what a bank says of it.
        network: makes one of its architecture.
        options: fields of the architecture that are options of its training, ``train-NAME``.
        tried: all that it makes of a linear image [1, 3, H, W].
        stored: prefix of the averaged weights in the checkpoint of a training.
        through_generators: trained through those of a bank, which its training is told in place of the forward model.
        trained_as: name of the row whose training makes it; empty for its own.
    """

    title: str
    header: type[NetworkHeader[Any]]
    network: Callable[[Any], nn.Module]
    options: tuple[str, ...]
    tried: Callable[[Any, Tensor], Iterable[Tensor]]
    stored: str = "average."
    through_generators: bool = False
    trained_as: str = ""


def _seeing_tried(network: Seeing, image: Tensor) -> Iterable[Tensor]:
    for sight in network(image).values():
        yield sight.offsets
        for residual in sight.residuals.values():
            yield from (residual.delta, residual.mask)


def _split_tried(network: Split, image: Tensor) -> Iterable[Tensor]:
    return network(image, torch.ones_like(image[:, :1]), cues(None, None, None, image))[-1]  # type: ignore[no-any-return]


_SPLIT_OPTIONS = ("widths", "width", "blocks", "inner", "retinex", "chromatic")

BANK_WIDE = {
    "trunk": BankWide(
        "perceptual trunk",
        TrunkHeader,
        Trunk,
        ("widths", "depths"),
        lambda trunk, image: trunk(image),
        stored="average.trunk.",
    ),
    "brightness": BankWide(
        "brightness network",
        BrightnessHeader,
        Brightness,
        ("widths", "hidden", "dropout"),
        lambda network, image: [network(image)],
    ),
    "seeing": BankWide(
        "seeing encoder", SeeingHeader, Seeing, ("widths", "spaces", "masks"), _seeing_tried, through_generators=True
    ),
    "invertibility": BankWide(
        "invertibility network",
        InvertibilityHeader,
        Invertibility,
        ("widths", "spaces"),
        lambda network, image: network(image).values(),
        through_generators=True,
    ),
    "samm": BankWide(
        "alignment module",
        SammHeader,
        Samm,
        ("widths",),
        lambda network, image: network.tried(),
        through_generators=True,
    ),
    "split": BankWide("split network", SplitHeader, Split, _SPLIT_OPTIONS, _split_tried),
    "split_cut_out": BankWide(
        "split network for what is cut out", SplitHeader, Split, _SPLIT_OPTIONS, _split_tried, trained_as="split"
    ),
    "maps": BankWide("network of maps", MapsHeader, Maps, ("widths",), lambda network, image: [network(*[image] * 3)]),
}


def present(owner: Any) -> Iterator[tuple[str, BankWide, Any]]:
    """Of those that a bank holds, or its header tells of: name, row, and network or header."""
    for name, kind in BANK_WIDE.items():
        found = getattr(owner, name)
        if found is not None:
            yield name, kind, found
