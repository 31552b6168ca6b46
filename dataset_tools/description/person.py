# SPDX-License-Identifier: GPL-3.0-or-later
"""What a portrait shows of a person, as data: frozen dataclasses that go to JSON and back without loss.

Units as in ``scene.py``. The face looks along −y where nothing turns it; angles are in radians: yaw turns to the
viewer's right, pitch upwards, roll leans the head's top to the viewer's right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dataset_tools.description.covering import Color, Covering, Vector


@dataclass(frozen=True)
class Build:
    """What decides the shape above all: ``age`` in years, ``gender`` from 0 (female) to 1 (male), ``muscle`` and
    ``weight`` from 0 to 1, and shares of the three extremes of face shape that the base mesh knows."""

    age: float
    gender: float
    muscle: float
    weight: float
    african: float
    asian: float
    caucasian: float


@dataclass(frozen=True)
class Skin:
    """``color`` is the mean of the face; ``ita`` (degrees) its individual typology angle, the usual measure of skin
    tone; ``tone`` the class that follows from it.

    ``lips`` is their colour; ``blush``, ``freckles``, ``spots``, ``pores``, ``wrinkles`` and ``stubble`` are strengths
    from 0 to 1; ``oil`` is the weight of a clear coat; ``scatter`` the mean free path of red light in metres.
    ``textures`` may name an image of the skin by "color", whose tone is changed to ``color``.
    """

    color: Color
    ita: float
    tone: str
    lips: Color
    blush: float
    freckles: float
    spots: float
    pores: float
    wrinkles: float
    stubble: float
    oil: float
    roughness: float
    scatter: float
    offset: Vector
    textures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Eyes:
    """``iris`` is the outer and the inner colour, ``pupil`` its radius as a share of the iris; ``gaze`` is yaw and
    pitch against the head. ``textures`` may name an image by "color"."""

    iris: tuple[Color, Color]
    pupil: float
    gaze: tuple[float, float]
    redness: float
    textures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Hair:
    """Strands: of the head, the beard or the brows.

    ``style`` is one of ``heads.hair``; ``length`` is in metres; ``curl`` and ``frizz`` are from 0 to 1, ``density`` is
    the share of strands that grow, ``grey`` the share without colour; ``seed`` places them. ``parameters`` are of the
    head "receding" (0 to 1) and of brows "thickness" and "arch" (metres).
    """

    style: str
    color: Color
    length: float
    curl: float
    frizz: float
    density: float
    grey: float
    roughness: float
    seed: int
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Garment:
    """A garment: ``cut`` is one of ``heads.garments``, ``opening`` moves its neckline, from 0 (tight) to 1."""

    cut: str
    opening: float
    covering: Covering


@dataclass(frozen=True)
class Hat:
    """Something on the head: ``kind`` is one of ``heads.garments``, ``height`` in metres moves its lower edge."""

    kind: str
    height: float
    tilt: float
    covering: Covering


@dataclass(frozen=True)
class Glasses:
    """Spectacles: ``kind`` is "frame" or "sun"; sizes in metres, ``round`` from 0 (boxes) to 1 (circles). ``covering``
    is the frame's; ``lenses`` are those of sunglasses, which let nothing through: others have none."""

    kind: str
    width: float
    height: float
    round: float
    thickness: float
    covering: Covering
    lenses: Covering | None


@dataclass(frozen=True)
class Person:
    """A person from the chest up. ``features`` and ``expression`` are weights of targets by name; ``pose`` is yaw,
    pitch and roll of the head."""

    build: Build
    features: Mapping[str, float]
    expression: Mapping[str, float]
    pose: Vector
    skin: Skin
    eyes: Eyes
    brows: Hair
    hair: Hair | None
    beard: Hair | None
    garment: Garment
    hat: Hat | None
    glasses: Glasses | None

    @property
    def coverings(self) -> tuple[Covering, ...]:
        """What is worn."""
        worn = (self.garment, self.hat, self.glasses)
        lenses = (self.glasses.lenses,) if self.glasses and self.glasses.lenses else ()
        return (*(thing.covering for thing in worn if thing is not None), *lenses)


@dataclass(frozen=True)
class Backdrop:
    """A wall behind the person, ``distance`` metres from the face and at a right angle to the view."""

    distance: float
    covering: Covering


@dataclass(frozen=True)
class Portrait:
    """A person before a backdrop; ``aperture`` is the diameter of the lens in metres, which is focused on the eyes."""

    person: Person
    backdrop: Backdrop
    aperture: float

    @property
    def coverings(self) -> tuple[Covering, ...]:
        """All but skin, eyes and hair."""
        return (*self.person.coverings, self.backdrop.covering)
