# SPDX-License-Identifier: GPL-3.0-or-later
"""What covers a surface, as data: materials, what has been done to them, and how they lie over one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from join_engine.json_data import LATER

Vector = tuple[float, float, float]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Finish:
    """What has been done to a material's surface since it was made, over what its family says.

    ``variation`` is how far the roughness departs from the family's at most, in patches that ``wear`` names:
    "smudges" (rougher where fingers were), "scratches" (rougher along fine lines), "polish" (smoother where it is
    rubbed); ``wear_scale`` is their size in metres. ``coat`` (0 to 1) is a clear coat and ``coat_roughness`` its own
    roughness. ``anisotropy`` (0 to 1) stretches highlights across the direction ``anisotropy_angle`` (radians from
    the material's u axis). ``wetness`` (0 to 1) is the share of the surface that is wet: darker and under a film of
    water. ``gloss`` replaces the family's own roughness by the material's everywhere, which makes anything lacquered.
    ``waves`` is the height of an unevenness (metres) with features of ``wave_scale`` metres and finer. ``contrast`` is
    the exponent of the colours' luminance: above 1 what is dark becomes darker, as where dirt or dye is.
    """

    variation: float = 0.0
    wear: str = "smudges"
    wear_scale: float = 0.3
    coat: float = 0.0
    coat_roughness: float = 0.05
    anisotropy: float = 0.0
    anisotropy_angle: float = 0.0
    wetness: float = 0.0
    gloss: bool = False
    waves: float = 0.0
    wave_scale: float = 0.3
    contrast: float = 1.0


@dataclass(frozen=True)
class Weather:
    """What has come over a material since.

    ``worn``, ``rusty`` and ``dusty`` (0 to 1) are about the share of the surface that is rubbed pale, under a crust of
    rust, under dust. ``roughness`` is added to its own and to its coat's, ``hue`` (degrees) turns its colours.
    ``scale`` is the size of patches in metres.
    """

    worn: float = 0.0
    rusty: float = 0.0
    dusty: float = 0.0
    roughness: float = 0.0
    hue: float = 0.0
    scale: float = 0.3


@dataclass(frozen=True)
class Material:
    """A surface of one family and everything that distinguishes this one from its siblings.

    ``colors`` are base colours; ``scale`` is the size of the pattern's main feature in metres; ``offset`` and
    ``angle`` move the pattern over the surface; ``relief`` is the height of the surface's relief as a share of
    ``scale``; ``parameters`` belong to the family (see ``materials.library``); ``metal`` says that at least part of
    the surface is bare metal, whose diffuse colour is zero. ``textures`` names the files of a scanned material by map
    (color, roughness, metalness, normal, height), relative to the folder that was given for the whole dataset.
    ``finish`` and ``weather`` go over what the family says, one after the other.
    """

    family: str
    colors: tuple[Color, ...]
    scale: float
    angle: float
    offset: Vector
    roughness: float
    specular: float
    relief: float
    metal: bool = False
    parameters: Mapping[str, float] = field(default_factory=dict)
    textures: Mapping[str, str] = field(default_factory=dict)
    finish: Finish | None = field(default=None, metadata=LATER)
    weather: Weather | None = field(default=None, metadata=LATER)


@dataclass(frozen=True)
class Mask:
    """A noise that decides where the next material of a covering shows.

    ``scale`` is the size of its patches in metres, ``cover`` about the share of the surface that the next material
    takes, ``softness`` the width of the transition as a share of the noise's range.
    """

    scale: float
    cover: float
    softness: float
    offset: Vector


@dataclass(frozen=True)
class Covering:
    """What covers a surface: one material, or up to three laid over one another through masks."""

    layers: tuple[Material, ...]
    masks: tuple[Mask, ...] = ()

    def __post_init__(self) -> None:
        if len(self.masks) != len(self.layers) - 1:
            raise ValueError("A covering has one mask between each pair of neighbouring layers.")
