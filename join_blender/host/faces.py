# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a person has said that the face in an image is, for banks of faces; kept with the image.

Places are fractions of the image from its lower left corner, as everywhere in Blender.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from ..engine.failure import Failure
from ..engine.pixels import Source
from ..engine.vocabulary import face_crop
from . import images
from .sets import mapping, number, settings_of

FACE = "join_face"
"""On an image: x and y of both eyes and of the mouth, or left, bottom, right and top of a box around the head."""
_POINTS, _BOX = 6, 4


def mark(image: bpy.types.Image, places: Sequence[float]) -> None:
    """Keep six numbers (points) or four (a box).

    Raises:
        Failure: ``face_invalid`` where they make no face.
    """
    _crop(tuple(places), *images.size_of(image))
    image[FACE] = [float(place) for place in places]


def forget(image: Any) -> None:
    """From now on the engine finds it."""
    if FACE in image:
        del image[FACE]


def marked(image: Any) -> tuple[float, ...]:
    """What was kept; empty for nothing."""
    try:
        found = tuple(number(place) for place in image.get(FACE, ())) if image is not None else ()
    except TypeError:  # somebody else has changed it
        return ()
    return found if len(found) in (_POINTS, _BOX) else ()


def outline(image: bpy.types.Image) -> list[tuple[float, float]]:
    """Corners of the part that the bank will look at, in order; empty where nothing was kept."""
    places = marked(image)
    width, height = images.size_of(image)
    if not places or not width or not height:
        return []
    try:
        corners = _crop(places, width, height).corners
    except Failure:  # of a file that somebody else has changed
        return []
    return [(x / width, 1.0 - y / height) for x, y in corners]


def of_layer(layer: Any) -> tuple[float, float, float, float] | None:
    """Left, bottom, right, top of the upright square around a portrait's face, in fractions of the layer; None of a
    layer that was made without a bank of faces."""
    told = mapping(settings_of(layer).get("face"))
    try:
        crop = face_crop.FaceCrop.from_json(told["crop"])
        height, width = (float(side) for side in told["size"])
        (x, y), half = crop.center, 0.5 * crop.side
        return (x - half) / width, 1.0 - (y + half) / height, (x + half) / width, 1.0 - (y - half) / height
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None


def request(image: bpy.types.Image, source: Source) -> dict[str, Any] | None:
    """What a request tells of the face, in pixels of what the engine gets of the image; None for nothing."""
    places = marked(image)
    if not places:
        return None
    left, top, _, _ = source.part
    points = [
        ((x * source.width - left) / source.shrink, ((1.0 - y) * source.height - top) / source.shrink)
        for x, y in _pairs(places)
    ]
    if len(places) == _POINTS:
        return {"points": [list(point) for point in points]}
    (one, bottom), (other, upper) = points
    return {"box": [one, upper, other, bottom]}


def _pairs(places: Sequence[float]) -> list[tuple[float, float]]:
    return list(zip(places[::2], places[1::2], strict=True))


def _crop(places: Sequence[float], width: int, height: int) -> Any:
    """In pixels, y down. Raises Failure ``face_invalid``."""
    points = [(x * width, (1.0 - y) * height) for x, y in _pairs(places)]
    try:
        if len(points) == _POINTS // 2:
            return face_crop.crop_of_points(*points)
        (left, bottom), (right, top) = points
        return face_crop.crop_of_box(left, top, right, bottom)
    except ValueError as error:
        words = "These points make no face."
        raise Failure("face_invalid", words, "Click both eyes and the mouth, or drag a box around the head.") from error
