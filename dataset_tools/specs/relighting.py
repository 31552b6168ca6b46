# SPDX-License-Identifier: GPL-3.0-or-later
"""The light of a scene in five numbers as one sees them in the picture, and the same scene with one of them changed.

A picture has no metres: lengths are told in widths of what the camera sees at its target. ``left_right`` and
``up_down`` are the sines of the angles by which the light stands to the right of the target and above it (towards the
picture's upper edge): the direction's components along x and along the camera's ``up``. ``distance``, ``size`` (the
shining ball's radius) and ``intensity`` (the shading that a surface at the target gets which faces the light) are
natural logarithms, so that a change is a factor. Of several lights they are means, weighted by each one's intensity,
and ``intensity`` is that of all together: to move the light is to move every light alike.

A portrait has a key light, the strongest that stands before the face: the numbers are that one's alone, and there are
two more. ``warmth`` is the natural logarithm of its red against its blue, ``fill`` that of all else that lights the
face from before, lamps and even light, against the key light.

No bpy here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dataset_tools import specs
from dataset_tools.description.covering import Vector
from dataset_tools.description.lighting import facing_shading
from dataset_tools.description.scene import Light, Scene

ATTRIBUTES = ("left_right", "up_down", "distance", "size", "intensity")

_RIGHT = np.array((1.0, 0.0, 0.0))
# A light is never moved below this share of its distance over a tile, nor below this height or nearer to a wall (both
# in metres) in a room: nobody would look for it there.
_LOWEST_SINE, _LOWEST, _CLEARANCE = 0.3, 2.0, 0.2
# No lamp is nearer to a face than this, in metres.
_BEFORE_FACE = 0.3
_SHARES = np.linspace(1.0, 0.0, 41)
_SCENES = 256

# Kinds of light beside which that from all around is dim.
_LAMPS = ("flash", "lamp", "window")


def is_told(scene: Scene) -> bool:
    """Whether the numbers tell nearly all of a scene's light: that of lamps, in no more than a room's dim light, and
    not of a sun (which has no place), a sky or a picture."""
    dim = scene.environment is None or scene.lighting in _LAMPS
    lamps = bool(scene.lights) and dim and all(light.kind != "sun" for light in scene.lights)
    return lamps and (scene.portrait is None or any(_before(scene, light) for light in scene.lights))


def light_attributes(scene: Scene, exposure: float = 1.0) -> dict[str, float]:
    """The numbers of ATTRIBUTES of a scene, of a portrait's key light also ``warmth`` and ``fill``; the intensity in
    the units of a camera with that exposure."""
    if scene.portrait:
        return _portrait_attributes(scene, exposure)
    found = [_attributes(scene, light) for light in scene.lights]
    weights = np.array([math.exp(one["intensity"]) for one in found])
    means = {name: float(np.average([one[name] for one in found], weights=weights)) for name in ATTRIBUTES}
    return {**means, "intensity": float(np.log(exposure * weights.sum()))}


def held_attributes(scene: Scene, exposure: float = 1.0) -> dict[str, float]:
    """What else decides the shading and was drawn together with the light: the camera's place, told like the light's,
    and the even light.

    A flash stands beside its camera. Only with the camera's place can the effect of one be told from the other's.
    """
    right, up, _, distance = _view(scene, scene.camera.location)
    camera = {
        "camera_left_right": right,
        "camera_up_down": up,
        "camera_distance": math.log(distance / picture_width(scene)),
    }
    if scene.portrait:  # whose fill is one of its attributes
        key = _key(scene)
        behind = sum(_shading(scene, light) for light in scene.lights if not _before(scene, light))
        return {**camera, "behind": math.log1p(behind / _shading(scene, key))}
    return {**camera, "fill": exposure * (scene.fill.strength + _around(scene))}


def moved(scene: Scene, attribute: str, change: float) -> Scene:
    """The same scene with every light's ``attribute`` changed by so much, and nothing else.

    A light that would leave the room or sink to the tile goes as far as it can: ask :func:`light_attributes` what
    became of it.
    """
    return replace(scene, lights=tuple(_moved(scene, light, attribute, change) for light in scene.lights))


@functools.cache
def spread(dataset: str) -> Mapping[str, float]:
    """Standard deviation of each attribute over those of a dataset's first scenes whose light the numbers tell: what a
    move is measured in."""
    scenes = (specs.describe(dataset, 0, index) for index in range(_SCENES))
    found = [light_attributes(scene) for scene in scenes if is_told(scene)]
    return {name: float(np.std([one[name] for one in found])) for name in ATTRIBUTES}


def under_light_of(scene: Scene, other: Scene) -> Scene:
    """The scene under all that lights another, as it stands about what that one's camera looks at, in the same size.

    A camera that meters meters as the other's does. For one that does not, the light is made as strong as the scene's.
    """
    at, there = np.asarray(scene.camera.target), np.asarray(other.camera.target)
    ratio = picture_width(scene) / picture_width(other)
    strength = 1.0
    if scene.metering is None:
        own, others = (sum(facing_shading(light, s.camera.target) for light in s.lights) for s in (scene, other))
        strength = own / others if own and others else 1.0

    def place(location: Vector) -> Vector:
        x, y, z = at + ratio * (np.asarray(location) - there)
        return float(x), float(y), float(z)

    def carried(light: Light) -> Light:
        # A sun shines as strongly everywhere.
        energy = light.energy * strength * (1.0 if light.kind == "sun" else ratio**2)
        size = light.size and (light.size[0] * ratio, light.size[1] * ratio)
        return replace(
            light,
            location=place(light.location),
            target=place(light.target),
            energy=energy,
            radius=light.radius * ratio,
            size=size,
        )

    return replace(
        scene,
        lights=tuple(map(carried, other.lights)),
        fill=replace(other.fill, strength=other.fill.strength * strength),
        lighting=other.lighting,
        environment=other.environment,
        blockers=tuple(replace(b, location=place(b.location), size=b.size * ratio) for b in other.blockers),
        metering=other.metering,
    )


def _portrait_attributes(scene: Scene, exposure: float) -> dict[str, float]:
    key = _key(scene)
    own = _attributes(scene, key)
    others = sum(_shading(scene, light) for light in scene.lights if light is not key and _before(scene, light))
    even = scene.fill.strength + _around(scene)
    red, _, blue = key.color
    return {
        **own,
        "intensity": own["intensity"] + math.log(exposure),
        "warmth": math.log(red / blue),
        "fill": math.log((others + even) / _shading(scene, key)),
    }


def _key(scene: Scene) -> Light:
    """The strongest light that stands before the face; the strongest of all where none does."""
    before = [light for light in scene.lights if _before(scene, light)]
    return max(before or scene.lights, key=lambda light: _shading(scene, light))


def _before(scene: Scene, light: Light) -> bool:
    return _view(scene, light.location)[2] > 0.0


def _shading(scene: Scene, light: Light) -> float:
    return facing_shading(light, scene.camera.target)


def _around(scene: Scene) -> float:
    return scene.environment.strength if scene.environment else 0.0


def _attributes(scene: Scene, light: Light) -> dict[str, float]:
    right, up, _, distance = _view(scene, light.location)
    return {
        "left_right": right,
        "up_down": up,
        "distance": math.log(distance / picture_width(scene)),
        "size": math.log(light.radius / picture_width(scene)),
        "intensity": math.log(facing_shading(light, scene.camera.target)),
    }


def _moved(scene: Scene, light: Light, attribute: str, change: float) -> Light:
    if attribute == "size":
        return replace(light, radius=light.radius * math.exp(change))
    if attribute == "intensity":
        return replace(light, energy=light.energy * math.exp(change))
    candidates = (_carried(scene, light, attribute, float(share) * change) for share in _SHARES[:-1])
    return next((found for found in candidates if found is not None and _fits(scene, found)), light)


def _carried(scene: Scene, light: Light, attribute: str, change: float) -> Light | None:
    """The light at another place, as strong at the target as before; None where no direction is like that."""
    right, up, out, distance = _view(scene, light.location)
    if attribute == "distance":
        factor = math.exp(change)
        return replace(
            light, location=_place(scene, (right, up, out), distance * factor), energy=light.energy * factor**2
        )
    right, up = (right + change, up) if attribute == "left_right" else (right, up + change)
    rest = 1.0 - right**2 - up**2
    if rest <= 0.0:
        return None
    return replace(light, location=_place(scene, (right, up, math.copysign(math.sqrt(rest), out)), distance))


def _fits(scene: Scene, light: Light) -> bool:
    if scene.portrait:
        return math.dist(light.location, scene.camera.target) >= _BEFORE_FACE
    x, y, z = light.location
    if scene.room is None:
        return z >= _LOWEST_SINE * math.dist(light.location, scene.camera.target)
    inside = abs(x) <= scene.room.half_width - _CLEARANCE and y <= scene.room.back - _CLEARANCE
    return inside and z >= _LOWEST


def _view(scene: Scene, location: Vector) -> tuple[float, float, float, float]:
    """A place as seen in the picture: its direction from the target to the right, up and out of it; its distance."""
    offset = np.subtract(location, scene.camera.target)
    distance = float(np.linalg.norm(offset))
    right, up, out = (float(axis @ offset) / distance for axis in _axes(scene))
    return right, up, out, distance


def _place(scene: Scene, direction: tuple[float, float, float], distance: float) -> Vector:
    """Inverse of :func:`_view`."""
    x, y, z = np.asarray(scene.camera.target) + distance * (np.asarray(direction) @ np.stack(_axes(scene)))
    return float(x), float(y), float(z)


def _axes(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    up = np.asarray(scene.camera.up)
    return _RIGHT, up, np.cross(_RIGHT, up)


def picture_width(scene: Scene) -> float:
    """Metres that the picture spans at what the camera looks at."""
    camera = scene.camera
    return 2.0 * math.dist(camera.location, camera.target) * math.tan(0.5 * camera.field_of_view)
