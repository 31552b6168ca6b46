# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stored description is about: materials, shapes and lights, for labels and statistics.

Materials and shapes are found in the plain JSON wherever they lie, so that other datasets can be read too. Angles are
in degrees, lengths in metres.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from dataset_tools.description.lighting import light_metadata
from dataset_tools.description.scene import Scene

Json = Mapping[str, Any]


def families(stored: Json) -> list[str]:
    """The family of every material of the sample, in the order in which they are described."""
    return [str(material["family"]) for material in _having(stored.get("scene"), "family")]


def metals(stored: Json) -> list[bool]:
    """Of every material of the sample, whether bare metal is part of it."""
    return [bool(material.get("metal")) for material in _having(stored.get("scene"), "family")]


def textures(stored: Json) -> list[str]:
    """Every scanned material of the sample, by the file of its colours."""
    materials = _having(stored.get("scene"), "textures")
    return [str(material["textures"].get("color")) for material in materials if material["textures"]]


def environments(stored: Json) -> list[str]:
    """The environment picture of the sample, if any."""
    found = _having(stored.get("scene"), "environment")
    return [str(scene["environment"]["file"]) for scene in found if scene["environment"].get("file")]


def shapes(stored: Json) -> list[str]:
    """The shape of every object of the sample."""
    return [str(thing["shape"]) for thing in _having(stored.get("scene"), "shape")]


def people(stored: Json) -> list[str]:
    """Every person of the sample, by gender, age in years and tone of the skin."""
    found = _having(stored.get("scene"), "build")
    builds = [(person["build"], person["skin"]["tone"]) for person in found]
    return [f"{'woman' if b['gender'] < 0.5 else 'man'} of {b['age']:.0f}, {tone} skin" for b, tone in builds]


def tones(stored: Json) -> list[str]:
    """The tone of every person's skin."""
    return [str(person["skin"]["tone"]) for person in _having(stored.get("scene"), "skin")]


def lightings(stored: Json) -> list[str]:
    """The kind of light of the sample, where its dataset has several."""
    return [str(scene["lighting"]) for scene in _having(stored.get("scene"), "lighting") if scene["lighting"]]


def forms(stored: Json) -> list[str]:
    """A name for the very form of every thing of the sample: equal ones have equal names."""
    described = [(form["shape"], sorted(form["numbers"].items())) for form in _having(stored.get("scene"), "numbers")]
    return [f"{shape} {hashlib.sha256(repr(numbers).encode()).hexdigest()}" for shape, numbers in described]


def title(stored: Json) -> str:
    """A few words on what the sample shows."""
    source = stored.get("source")
    if isinstance(source, Mapping):
        return str(source.get("id", ""))
    groups = (people(stored), shapes(stored), families(stored))
    return " · ".join(", ".join(dict.fromkeys(group)) for group in groups if group)


def scene(stored: Json) -> Scene | None:
    """The sample's description; None where there is none that can be read, as of imported samples."""
    try:
        return Scene.from_json(stored["scene"])
    except (KeyError, TypeError, ValueError):
        return None


def lights(stored: Json) -> list[dict[str, float]]:
    """Every light of the sample as ``light_metadata`` of ``description.lighting`` tells it, angles in degrees.

    Samples without metadata are asked for their scene; [] where that cannot be read either.
    """
    metadata = stored.get("metadata")
    if not isinstance(metadata, Mapping):
        try:
            metadata = light_metadata(Scene.from_json(stored["scene"]))
        except (KeyError, TypeError, ValueError, ZeroDivisionError):
            return []
    degrees = {name: math.degrees(1.0) for name in ("azimuth", "elevation")}
    return [{name: value * degrees.get(name, 1.0) for name, value in light.items()} for light in metadata["lights"]]


def _having(data: Any, key: str) -> Iterator[Json]:
    """All JSON objects under ``data`` that have ``key``, in order."""
    if isinstance(data, Mapping):
        if key in data:
            yield data
        for value in data.values():
            yield from _having(value, key)
    elif isinstance(data, (list, tuple)):
        for value in data:
            yield from _having(value, key)
