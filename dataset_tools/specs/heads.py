# SPDX-License-Identifier: GPL-3.0-or-later
"""The Heads dataset: portraits of random people, cut as FFHQ cuts them.

The camera stands at (0, −d, 0) and looks along +y; the person is brought to where FFHQ's crop has eyes and mouth when
the scene is built (see ``heads.alignment``), so that a description needs no shapes.
"""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.covering import Color, Covering, Vector
from dataset_tools.description.person import Backdrop, Portrait
from dataset_tools.description.sampling import choose, from_hsv, log_uniform, uniform
from dataset_tools.description.scene import NO_FILL, Camera, Environment, Fill, Identity, Light, Metering, Scene
from dataset_tools.sources import Sources
from dataset_tools.sources.environments import Environments
from dataset_tools.specs import kind_of_light
from dataset_tools.specs.coverings import sample_covering, sample_material
from dataset_tools.specs.faces import sample_person
from join_engine.color import LUMINANCE_WEIGHTS

NAME = "heads"

# Half of what the picture spans at the eyes, in metres: an adult's FFHQ crop.
_HALF = 0.124
# Luminance of a skin in the middle, and which part of its distance from there a camera that goes by the whole picture
# leaves in it beyond that.
_MIDDLE, _KEPT = 0.24, 0.2


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A scene of the heads dataset, drawn with ``rng``."""
    person = sample_person(rng, sources.skins)
    camera = _camera(rng)
    kind = kind_of_light(rng, NAME, sources)
    lights, environment = _light(rng, kind, sources.environments)
    portrait = Portrait(person, _backdrop(rng), _aperture(rng, -camera.location[1]))
    return Scene(
        **identity,
        lights=lights,
        fill=NO_FILL if environment else Fill((1.0, 1.0, 1.0), log_uniform(rng, 0.01, 0.10)),
        camera=camera,
        lighting=kind,
        environment=environment,
        metering=_metering(rng, person.skin.color),
        portrait=portrait,
    )


def _camera(rng: np.random.Generator) -> Camera:
    """From a phone at arm's length to a long lens across the room."""
    distance = log_uniform(rng, 0.55, 2.6)
    return Camera((0.0, -distance, 0.0), (0.0, 0.0, 0.0), 2.0 * math.atan(_HALF / distance))


def _aperture(rng: np.random.Generator, distance: float) -> float:
    """A lens's diameter in metres: a phone's, for which all is sharp, or such a portrait lens's that the face is."""
    return choose(rng, (0.0015, distance * log_uniform(rng, 0.004, 0.016)), (0.45, 0.55))


def _metering(rng: np.random.Generator, skin: Color) -> Metering:
    """A camera that finds a face and exposes for it, and that leaves dark skin darker than light skin."""
    stops = _KEPT * math.log2(float(np.dot(skin, LUMINANCE_WEIGHTS)) / _MIDDLE)
    mode = choose(rng, ("centre", "mean", "highlight"), (0.7, 0.15, 0.15))
    return Metering(mode, stops + uniform(rng, -0.2, 0.9))


def _backdrop(rng: np.random.Generator) -> Backdrop:
    """Mostly a plain wall or a roll of paper, else something with a pattern, out of focus as often as the lens says."""
    distance = log_uniform(rng, 0.5, 4.0)
    plain = Covering((sample_material(rng, size=0.4, darkest=0.08, family=choose(rng, ("paint", "plaster", "felt"))),))
    patterned = sample_covering(rng, mixed=0.6, size=log_uniform(rng, 0.08, 0.5), darkest=0.1, metals=0.0)
    return Backdrop(distance, choose(rng, (plain, patterned), (0.6, 0.4)))


def _light(
    rng: np.random.Generator, kind: str, environments: Environments
) -> tuple[tuple[Light, ...], Environment | None]:
    """Lights around the head, and what shines from all around."""
    if kind == "studio":
        return _studio(rng), None
    if kind == "window":
        return _window(rng), None
    if kind == "flash":
        return _flash(rng), None
    if kind == "sun":
        return _sun(rng)
    if kind == "overcast":
        return (), Environment("overcast", uniform(rng, 0.6, 1.4), _warmth(rng, 0.06))
    turned = (0.0, 0.0, uniform(rng, 0.0, 2.0 * math.pi))
    picture = choose(rng, environments.files)
    strength = uniform(rng, 0.6, 1.4)
    # As often as not somebody has a lamp or a reflector beside.
    lamp = _area(rng, _direction(rng, 25.0, 80.0, 0.0, 40.0), uniform(rng, 0.8, 2.0), uniform(rng, 0.2, 0.8), 4.0)
    return ((lamp,) if rng.random() < 0.3 else ()), Environment(
        "picture", strength, _warmth(rng, 0.08), turned, file=picture
    )


def _studio(rng: np.random.Generator) -> tuple[Light, ...]:
    """A key light, and with it as often as photographers take them a fill, a rim light and one on the hair."""
    side = choose(rng, (-1.0, 1.0))
    key_at = _direction(rng, 5.0, 75.0, 5.0, 55.0, side)
    key = _area(rng, key_at, uniform(rng, 0.8, 2.2), log_uniform(rng, 0.15, 1.2), 10.0)
    lights = [key]
    if rng.random() < 0.7:
        at = _direction(rng, 20.0, 70.0, -10.0, 30.0, -side)
        lights.append(
            _area(rng, at, uniform(rng, 1.0, 2.5), uniform(rng, 0.5, 1.4), 10.0 * log_uniform(rng, 0.06, 0.5))
        )
    if rng.random() < 0.45:
        at = _direction(rng, 115.0, 160.0, 10.0, 50.0, choose(rng, (-1.0, 1.0)))
        lights.append(
            _area(rng, at, uniform(rng, 0.5, 0.9), uniform(rng, 0.15, 0.5), 10.0 * log_uniform(rng, 0.3, 2.0))
        )
    if rng.random() < 0.08:
        colored = from_hsv(uniform(rng, 0.0, 1.0), uniform(rng, 0.4, 0.9), 0.95)
        at = _direction(rng, 50.0, 110.0, -20.0, 30.0, -side)
        lights.append(
            _area(rng, at, uniform(rng, 0.8, 1.6), uniform(rng, 0.2, 0.6), 10.0 * log_uniform(rng, 0.2, 1.0), colored)
        )
    return tuple(lights)


def _window(rng: np.random.Generator) -> tuple[Light, ...]:
    """A window to one side, and a room that gives a little of it back."""
    side = choose(rng, (-1.0, 1.0))
    window = _area(
        rng, _direction(rng, 35.0, 95.0, 0.0, 25.0, side), uniform(rng, 1.0, 2.4), uniform(rng, 0.9, 1.6), 10.0
    )
    back = _area(rng, _direction(rng, 60.0, 110.0, 0.0, 30.0, -side), 2.2, 2.2, 10.0 * log_uniform(rng, 0.04, 0.3))
    return window, back


def _flash(rng: np.random.Generator) -> tuple[Light, ...]:
    """A phone's or a camera's flash, a hand's breadth beside the lens."""
    location = (uniform(rng, -0.08, 0.08), -uniform(rng, 0.6, 1.4), uniform(rng, 0.0, 0.14))
    return (Light("sphere", location, (0.0, 0.0, 0.0), 10.0, _warmth(rng, 0.05), log_uniform(rng, 0.006, 0.04)),)


def _sun(rng: np.random.Generator) -> tuple[tuple[Light, ...], Environment]:
    """The sun at any height, anywhere but straight behind the person, and the sky that goes with it."""
    elevation = math.radians(uniform(rng, 8.0, 65.0))
    azimuth = math.radians(uniform(rng, -130.0, 130.0))
    direction = (math.cos(elevation) * math.sin(azimuth), -math.cos(elevation) * math.cos(azimuth), math.sin(elevation))
    low = 1.0 - min(1.0, math.degrees(elevation) / 25.0)
    color: Color = (1.0, 0.96 - 0.24 * low, 0.90 - 0.52 * low)
    location: Vector = tuple(10.0 * c for c in direction)  # type: ignore[assignment]
    sun = Light("sun", location, (0.0, 0.0, 0.0), uniform(rng, 2.0, 5.0), color, 0.0, angle=math.radians(0.53))
    # Without rotation the sky's sun stands at +y.
    turn = math.atan2(direction[1], direction[0]) - math.pi / 2
    sky = Environment(
        "sky", uniform(rng, 0.1, 0.3), rotation=(0.0, 0.0, turn), elevation=elevation, dust=uniform(rng, 0.5, 4.0)
    )
    return (sun,), sky


def _area(
    rng: np.random.Generator, at: Vector, distance: float, width: float, strength: float, color: Color | None = None
) -> Light:
    """A softbox in a direction; ``strength`` is watts for one metre of distance."""
    location: Vector = tuple(distance * c for c in at)  # type: ignore[assignment]
    height = width * uniform(rng, 0.6, 1.6)
    return Light(
        "area",
        location,
        (0.0, 0.0, 0.0),
        strength * distance**2,
        color or _warmth(rng, 0.12),
        0.5 * min(width, height),
        size=(width, height),
    )


def _direction(
    rng: np.random.Generator, least: float, most: float, low: float, high: float, side: float = 0.0
) -> Vector:
    """A direction from the face: degrees beside the camera on one side (any without one), and above it."""
    azimuth = math.radians(uniform(rng, least, most)) * (side or choose(rng, (-1.0, 1.0)))
    elevation = math.radians(uniform(rng, low, high))
    return (math.cos(elevation) * math.sin(azimuth), -math.cos(elevation) * math.cos(azimuth), math.sin(elevation))


def _warmth(rng: np.random.Generator, strength: float) -> Color:
    warmth = uniform(rng, -strength, strength)
    # Cool light is blue, not cyan.
    return (1.0 + warmth, 1.0 + 0.3 * min(warmth, 0.0), 1.0 - warmth)
