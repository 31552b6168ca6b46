# SPDX-License-Identifier: GPL-3.0-or-later
"""The Materials dataset (JoIN, section 8.2): a tile of one material, photographed with a flash.

The camera looks at the tile from a random distance and at a random tilt; a shining ball near the camera, of random
size and strength, is the flash. The tile lies in the plane z = 0, x to the right and y up in the picture.
"""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.covering import Covering, Vector
from dataset_tools.description.sampling import choose, log_uniform, uniform, warmth
from dataset_tools.description.scene import Camera, Fill, Identity, Light, Scene, Tile
from dataset_tools.sources import Sources
from dataset_tools.specs.coverings import sample_covering

# How far the tile reaches beyond the frame: displaced edges must not come into sight.
_MARGIN = 1.12
# A relief casts shadows down to one cell; finer relief is left to the bump.
_CELLS = 128


def describe(rng: np.random.Generator, sources: Sources, identity: Identity) -> Scene:
    """A scene of the materials dataset, drawn with ``rng``."""
    covering = sample_covering(
        rng, mixed=0.25, size=log_uniform(rng, 0.3, 1.1), darkest=0.22, natural=0.8, scans=sources.scans
    )
    camera = _camera(rng)
    return Scene(
        **identity,
        tile=Tile(corners=footprint(camera), cells=_CELLS, covering=covering),
        lights=(_flash(rng, camera, brightness(covering)),),
        fill=_fill(rng),
        camera=camera,
    )


def _camera(rng: np.random.Generator) -> Camera:
    """A camera that sees 1.2 to 2.6 metres of the tile, tilted up to 30 degrees, more often little than much."""
    field_of_view = math.radians(uniform(rng, 36.0, 62.0))
    width = log_uniform(rng, 1.2, 2.6)
    distance = 0.5 * width / math.tan(0.5 * field_of_view)
    tilt = math.radians(30.0) * uniform(rng, 0.0, 1.0) ** 1.5
    # The top of the picture points along +y whatever the tilt, so it leans towards the viewer or away, or sideways.
    direction = uniform(rng, 0.0, 2.0 * math.pi)
    location = (
        distance * math.sin(tilt) * math.cos(direction),
        distance * math.sin(tilt) * math.sin(direction),
        distance * math.cos(tilt),
    )
    return Camera(location=location, target=(0.0, 0.0, 0.0), field_of_view=field_of_view, up=(0.0, 1.0, 0.0))


def footprint(camera: Camera, margin: float = _MARGIN) -> tuple[tuple[float, float], ...]:
    """Where the corners of the frame, widened by the margin, meet the plane z = 0: x, y of the tile's corners."""
    eye = np.array(camera.location)
    right, up, forward = view_axes(camera)
    reach = math.tan(0.5 * camera.field_of_view) * margin
    corners = []
    for x, y in ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)):
        ray = forward + reach * (x * right + y * up)
        point = eye - ray * (eye[2] / ray[2])
        corners.append((float(point[0]), float(point[1])))
    return tuple(corners)


def view_axes(camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors to the right, up and forward of a camera."""
    forward = np.array(camera.target) - np.array(camera.location)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, np.array(camera.up))
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def brightness(covering: Covering) -> float:
    """Mean linear value of the base colours, which a camera's automatic exposure goes by."""
    return float(np.mean([color for material in covering.layers for color in material.colors]))


def _flash(rng: np.random.Generator, camera: Camera, brightness: float) -> Light:
    """A ball of light beside the camera, as strong as a camera's exposure makes it look on a tile of this brightness.

    Exposure is not perfect, and it does not follow all the way into the dark.
    """
    distance = math.dist(camera.location, camera.target)
    offset = 0.22 * distance * math.sqrt(uniform(rng, 0.0, 1.0))
    around = uniform(rng, 0.0, 2.0 * math.pi)
    x, y, z = camera.location
    location: Vector = (x + offset * math.cos(around), y + offset * math.sin(around), z * uniform(rng, 0.8, 1.1))
    squared = sum(c * c for c in location)
    cosine = location[2] / math.sqrt(squared)
    level = min(max(log_uniform(rng, 0.08, 0.5) / brightness, 0.35), 4.0)
    # Blender's watts: a point light of P watts gives radiance P / (4 π² d²) on a white diffuse surface that faces it.
    energy = level * 4.0 * math.pi**2 * squared / cosine
    radius = distance * log_uniform(rng, 0.012, 0.12)
    return Light("sphere", location, camera.target, energy, warmth(rng, 0.15), radius)


def _fill(rng: np.random.Generator) -> Fill:
    """Two thirds of flash photographs are taken in some room light."""
    strength = choose(rng, (0.0, log_uniform(rng, 0.02, 0.3)), (1.0, 2.0))
    return Fill(color=warmth(rng, 0.2), strength=strength)
