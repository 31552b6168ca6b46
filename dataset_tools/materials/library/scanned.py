# SPDX-License-Identifier: GPL-3.0-or-later
"""A scanned material: its textures as they are, repeated over the surface."""

from __future__ import annotations

from dataset_tools.materials.family import Family
from dataset_tools.materials.graph import Graph
from dataset_tools.materials.surface import Coordinates, Surface
from dataset_tools.specs.description import Material
from dataset_tools.specs.scanned import FAMILY


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
    return Surface(
        graph.picture(files["color"], place, data=False),
        height=number("height") if "height" in files else 0.0,
        roughness=number("roughness") if "roughness" in files else None,
        metallic=number("metalness") if "metalness" in files else 0.0,
        normal=normal,
    )


# Never drawn as the others are: specs.scanned describes them.
FAMILIES = (Family(FAMILY, scanned, 1, (1.0, 1.0), relief=(0.01, 0.03), displaced=True, weight=0.0),)
