# SPDX-License-Identifier: GPL-3.0-or-later
"""A scanned material: its textures as they are, repeated over the surface."""

from __future__ import annotations

from dataclasses import replace

from dataset_tools.description.covering import Material
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Value
from dataset_tools.materials.surface import Coordinates, Surface


@family(1, (1.0, 1.0), relief=(0.01, 0.03), displaced=True, weight=0.0)
def scanned(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Color, roughness, metalness and height (or, without one, normal) from files."""
    place = graph.vector("SCALE", at.uv, 1.0 / material.scale)
    files = material.textures

    def number(name: str) -> object:
        return graph.xyz(graph.picture(files[name], place, data=True))[0]

    normal = None
    if "normal" in files and "height" not in files:
        encoded = graph.picture(files["normal"], place, data=True)
        normal = graph.node("ShaderNodeNormalMap", {"Color": encoded}).outputs[0]
    made = Surface(
        graph.picture(files["color"], place, data=False),
        height=number("height") if "height" in files else 0.0,
        roughness=number("roughness") if "roughness" in files else None,
        metallic=number("metalness") if "metalness" in files else 0.0,
        normal=normal,
    )
    return _supplied(graph, at, material, made) if material.parameters else made


def _supplied(graph: Graph, at: Coordinates, material: Material, made: Surface) -> Surface:
    """What a scan lacks, from its colours and from noise, and its colours darkened by ``shade``.

    ``luminance`` is the share of the colour's luminance in the height (below zero: dark stands out), the rest is noise
    of ``grain`` features a repeat; ``spread`` is how far the roughness follows it; ``metallic`` makes all bare metal.
    """
    given = material.parameters
    found: dict[str, Value] = {}
    bright = graph.node("ShaderNodeRGBToBW", {"Color": made.color}).outputs[0]
    if "luminance" in given:
        share = abs(given["luminance"])
        noise = graph.noise(at.uv, given["grain"] / material.scale, detail=5.0, roughness=0.6)
        seen = bright if given["luminance"] >= 0.0 else 1.0 - bright
        found["height"] = graph.mix_number(share, noise, seen)
    if "spread" in given:
        low, high = material.roughness - given["spread"], material.roughness + given["spread"]
        found["roughness"] = graph.ramp(bright, 0.05, 0.6, *(min(max(end, 0.03), 1.0) for end in (low, high)))
    if "metallic" in given:
        found["metallic"] = given["metallic"]
    if given["shade"] != 1.0:
        found["color"] = graph.shade(made.color, given["shade"])
    return replace(made, **found)


# Never drawn as the others are: specs.scanned describes them.
FAMILIES = (scanned,)
