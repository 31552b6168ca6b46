# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person would want to turn about a scene's light, in numbers: relighting by name is learned from them."""

from __future__ import annotations

import math
from typing import Any

from dataset_tools.description.covering import Vector
from dataset_tools.description.scene import Light, Scene


def light_metadata(scene: Scene, exposure: float = 1.0) -> dict[str, Any]:
    """Every light as seen from what the camera looks at, the key light's number, and the camera's tilt.

    ``azimuth`` (radians) turns about z: 0 towards the lower edge of the picture (the viewer's side), positive to the
    right. ``elevation`` (radians) is the angle above the floor or the tile; ``distance`` and ``size`` (the radius of
    the shining ball) are in metres; ``intensity`` is the shading that the light gives a surface that faces it there,
    and the strongest by it is the ``key`` light. ``camera_tilt`` (radians) is the angle between the camera's view and
    the vertical, 0 when it looks straight down. ``fill`` is the shading that the even light gives. Intensity and fill
    are multiplied by the camera's ``exposure``. Where the scene says so, ``lighting`` is its kind; where light comes
    from all around alone there is no key light.
    """
    at = scene.camera.target
    lights = [_metadata(light, at, exposure) for light in scene.lights]
    towards = _difference(scene.camera.location, at)
    return {
        "lights": lights,
        "key": max(range(len(lights)), key=lambda number: lights[number]["intensity"], default=None),
        "fill": exposure * scene.fill.strength,
        "camera_tilt": math.acos(towards[2] / math.hypot(*towards)),
        **({"lighting": scene.lighting} if scene.lighting else {}),
    }


def facing_shading(light: Light, at: Vector) -> float:
    """The shading (radiance of a white diffuse surface) that a light gives at ``at`` to what faces it."""
    if light.kind == "sun":
        return light.energy / math.pi
    squared = math.dist(light.location, at) ** 2
    # A rectangle shines to one side alone, and most of it straight ahead.
    return light.energy / ((math.pi**2 if light.kind == "area" else 4.0 * math.pi**2) * squared)


def _metadata(light: Light, at: Vector, exposure: float) -> dict[str, float]:
    x, y, z = _difference(light.location, at)
    distance = math.hypot(x, y, z)
    return {
        "azimuth": math.atan2(x, -y),
        "elevation": math.asin(z / distance),
        "distance": distance,
        "size": light.radius,
        "intensity": exposure * facing_shading(light, at),
    }


def _difference(a: Vector, b: Vector) -> Vector:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])
