# SPDX-License-Identifier: GPL-3.0-or-later
"""A material's description becomes a Blender material: a pattern into the base colour of a Principled BSDF."""

from __future__ import annotations

from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.materials.families import NODE_FUNCTIONS, Coordinates
from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.specs.description import Material


def build_material(material: Material, name: str) -> Any:
    """A new ``bpy.types.Material`` for a description: dielectric, no emission, no transmission."""
    data = bpy.data.materials.new(name)
    if not data.use_nodes:  # always true from Blender 5.0, where setting it warns
        data.use_nodes = True
    data.node_tree.nodes.clear()
    graph = Graph(data.node_tree)
    color = NODE_FUNCTIONS[material.family](graph, _coordinates(graph, material), material)
    inputs = {"Base Color": color, "Roughness": material.roughness, "Specular IOR Level": material.specular}
    surface = graph.node("ShaderNodeBsdfPrincipled", inputs)
    graph.node("ShaderNodeOutputMaterial", {"Surface": surface.outputs[0]})
    return data


def _coordinates(graph: Graph, material: Material) -> Coordinates:
    source = graph.node("ShaderNodeTexCoord")
    return Coordinates(
        uv=_moved(graph, source.outputs["UV"], material), solid=_moved(graph, source.outputs["Object"], material)
    )


def _moved(graph: Graph, vector: Socket, material: Material) -> Socket:
    """Turn a pattern by the material's angle about z, then shift it by its offset."""
    inputs = {"Vector": vector, "Location": material.offset, "Rotation": (0.0, 0.0, material.angle)}
    return graph.node("ShaderNodeMapping", inputs).outputs[0]
