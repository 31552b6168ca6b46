# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bank says about itself: its header, as frozen dataclasses that go to JSON and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from ..color import COMPONENT_TRANSFORMS
from ..errors import one_line
from ..json_data import LATER, Described
from ..networks.encoder import EncoderConfig
from ..networks.limits import DEEPEST
from ..networks.stylegan2 import GeneratorConfig
from ..single_gan import SINGLE_TRANSFORMS
from .bank_wide import (
    BANK_WIDE,
    BrightnessHeader,
    InvertibilityHeader,
    MapsHeader,
    SammHeader,
    SeeingHeader,
    SplitHeader,
    ThroughHeader,
    TrunkHeader,
)
from .pictures import PicturesHeader

FORMAT_VERSION = 1
# Of banks that do not say: chosen on validation renders of Primeshapes.
DETAIL_SHARE = 0.7
DETAIL_RADIUS = 2.0
# Letters. Files are called after banks and components, and people read their names in sentences.
_LONGEST_NAME = 200


# Datasets whose renders are cut so.
_FACES = {"heads"}


@dataclass(frozen=True)
class EncoderHeader(Described):
    """What a bank says about the encoder of one component.

    Attributes:
        architecture: of the network.
        generator: :func:`join_engine.bank.fingerprint` of the generator that it was trained for; it is worth nothing
            with another one.
        training: what it was trained on and for how long; plain JSON values.
    """

    architecture: EncoderConfig
    generator: str
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DirectionsHeader(Described):
    """What a bank says about the named directions of its light, or of its materials, of which each component here holds
    one vector per name.

    Attributes:
        attributes: by name, in the vectors' order, figures: ``unit`` (of one standard deviation, in the attribute's own
            measure: see ``dataset_tools/specs/relighting.py``; of a material how far the renders' was moved: see
            ``dataset_tools/specs/restyling.py``) and how well validation renders' codes tell the attribute (``r2`` and
            others); plain JSON values.
        generators: by component, :func:`join_engine.bank.fingerprint` of the generator that they were learned for.
        layers: by component, 1 for vectors in W, or the number of codes that the generator takes.
        training: what they were learned from; plain JSON values.
    """

    attributes: Mapping[str, Mapping[str, Any]]
    generators: Mapping[str, str]
    layers: Mapping[str, int]
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.attributes or set(self.generators) != set(self.layers):
            raise ValueError("directions need names, and a generator and layers for each component")

    @property
    def units(self) -> dict[str, float]:
        """Of each attribute one standard deviation, in the attribute's own measure."""
        return {name: float(figures["unit"]) for name, figures in self.attributes.items()}


@dataclass(frozen=True)
class ComponentHeader(Described):
    """What a bank says about one component.

    Attributes:
        transform: name of the transform T (Eq. 2) between linear values and the generator's range.
        architecture: settings of the generator and its discriminator.
        training: what it was trained on and for how long; plain JSON values.
        has_discriminator: whether the file holds the discriminator too.
        encoder: of the encoder, None when the file holds none.
    """

    transform: str
    architecture: GeneratorConfig
    training: Mapping[str, Any] = field(default_factory=dict)
    has_discriminator: bool = True
    encoder: EncoderHeader | None = field(default=None, metadata=LATER)

    def __post_init__(self) -> None:
        if self.transform not in {*COMPONENT_TRANSFORMS, *SINGLE_TRANSFORMS}:
            raise ValueError(f"unknown transform {self.transform!r}")
        if self.encoder is not None:
            mine, other = self.architecture, self.encoder.architecture
            if (mine.resolution, mine.w_dim, mine.num_ws) != (other.resolution, other.w_dim, other.num_ws):
                raise ValueError("the encoder does not fit the generator")


@dataclass(frozen=True)
class BankHeader(Described):
    """What a bank says about itself.

    Attributes:
        name: short name, the file's stem for a shipped bank.
        resolution: side of the images of every component.
        forward_model: registered name of f (Eq. 1).
        components: one header per component of the forward model, in its order.
        scores: measured quality, plain JSON values; empty when not measured.
        license: SPDX identifier of the weights.
        format_version: of the file.
        trunk: of the perceptual trunk, None when the file holds none.
        machine: where it was trained, in plain words; empty when nobody said.
        directions: of the light's named directions, None when the file holds none.
        materials: of the named directions of materials, likewise; they move the albedo, too.
        detail_share: how much of the smooth grey difference that the generators leave is light, as chosen on validation
            renders (:class:`join_engine.inversion.presets.Detail`).
        detail_radius: what of it counts as smooth, likewise, in pixels of the bank.
        brightness: of the network that tells how bright an albedo is, None when the file holds none.
        split: of the network that tells paint, light and gloss apart, likewise.
        split_cut_out: of one that tells them better of what is cut out, likewise.
        seeing: of the encoder of all components at once, likewise.
        invertibility: of the network that tells in which latent space what can be inverted, likewise.
        samm: of the module that aligns what the generators make and masks what they cannot, likewise.
        maps: of the network that tells relief, roughness and specular level, likewise.
        pictures: what the pictures look like that it has learned from, None when nobody said: such a bank is chosen by
            name alone.
        formerly: hashes of the files that it was made of, with the same generators: it can relight what they made.
    """

    name: str
    resolution: int
    forward_model: str
    components: Mapping[str, ComponentHeader]
    scores: Mapping[str, Any] = field(default_factory=dict)
    license: str = "CC0-1.0"
    format_version: int = FORMAT_VERSION
    trunk: TrunkHeader | None = field(default=None, metadata=LATER)
    machine: str = field(default="", metadata=LATER)
    directions: DirectionsHeader | None = field(default=None, metadata=LATER)
    materials: DirectionsHeader | None = field(default=None, metadata=LATER)
    detail_share: float = field(default=DETAIL_SHARE, metadata=LATER)
    detail_radius: float = field(default=DETAIL_RADIUS, metadata=LATER)
    brightness: BrightnessHeader | None = field(default=None, metadata=LATER)
    split: SplitHeader | None = field(default=None, metadata=LATER)
    split_cut_out: SplitHeader | None = field(default=None, metadata=LATER)
    seeing: SeeingHeader | None = field(default=None, metadata=LATER)
    invertibility: InvertibilityHeader | None = field(default=None, metadata=LATER)
    samm: SammHeader | None = field(default=None, metadata=LATER)
    maps: MapsHeader | None = field(default=None, metadata=LATER)
    pictures: PicturesHeader | None = field(default=None, metadata=LATER)
    formerly: tuple[str, ...] = field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        for name in (self.name, *self.components):
            if not 0 < len(name) <= _LONGEST_NAME or one_line(name) != name or set(name) & set("/\\"):
                raise ValueError(f"{name!r:.60} is no name for a bank or a component")
        if not 1 <= len(self.components) <= DEEPEST:
            raise ValueError(f"a bank needs 1 to {DEEPEST} components, not {len(self.components)}")
        if not 0.0 <= self.detail_share <= 1.0:
            raise ValueError(f"the detail's share must lie between 0 and 1, not be {self.detail_share}")
        if not 0.0 < self.detail_radius <= self.resolution:
            raise ValueError(f"the detail's radius must be above 0 and within the image, not be {self.detail_radius}")
        for name in BANK_WIDE:
            if name in self.components:
                raise ValueError(f"no component can be called {name!r}")
        for name, component in self.components.items():
            if component.architecture.resolution != self.resolution:
                raise ValueError(f"component {name!r} has another resolution than the bank")
        for network in self.through_generators.values():
            network.architecture.check_fits({name: part.architecture for name, part in self.components.items()})
        for kind, described in self.named_directions.items():
            for name, layers in described.layers.items():
                if name not in self.components or layers not in (1, self.components[name].architecture.num_ws):
                    raise ValueError(f"the {kind} of {name!r} do not fit its generator")

    @property
    def faces(self) -> bool:
        """Whether the bank's square is FFHQ's cut of a face: there is a generator whose last renders in its training
        were heads, and nothing else."""
        return any(_last_seen(component.training) == _FACES for component in self.components.values())

    @property
    def named_directions(self) -> dict[str, DirectionsHeader]:
        """Those that there are, by the field that tells of them."""
        found = {"directions": self.directions, "materials": self.materials}
        return {kind: described for kind, described in found.items() if described is not None}

    @property
    def through_generators(self) -> dict[str, ThroughHeader[Any]]:
        """Of the networks that were trained through these generators, by their names in ``BANK_WIDE``."""
        named = {name: getattr(self, name) for name, kind in BANK_WIDE.items() if kind.through_generators}
        return {name: found for name, found in named.items() if found is not None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`; passes over what it does not know. Raises KeyError, TypeError or ValueError for
        values that do not fit."""
        known = {field.name for field in fields(cls)}
        return super().from_dict({name: value for name, value in values.items() if name in known})


def _last_seen(training: Mapping[str, Any]) -> set[str]:
    """The datasets of the last stretch of a training; empty where it does not tell."""
    try:
        return {str(pack["dataset"]) for pack in training["stretches"][-1]["packs"]}
    except (KeyError, IndexError, TypeError):
        return set()
