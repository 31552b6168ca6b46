# SPDX-License-Identifier: GPL-3.0-or-later
"""A covering's description becomes a Blender material: its layers, blended, into one Principled BSDF."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.description.covering import Covering, Mask, Material
from dataset_tools.description.sampling import LIGHTEST
from dataset_tools.errors import UserError
from dataset_tools.materials import trees
from dataset_tools.materials.finish import finished, uneven
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.library import FAMILIES
from dataset_tools.materials.surface import Coordinates, Surface, blended
from dataset_tools.materials.weather import weathered

# What any surface reflects at least; and soot, black ink and the pits of what is black, where a photo is black too.
_DARKEST, _BLACKEST = 0.01, 0.002


def build_material(covering: Covering, name: str, textures: Path | None = None, *, flat: bool = False) -> Any:
    """A new ``bpy.types.Material`` for a description: opaque, no emission, no transmission.

    ``textures`` is the folder of the scanned materials, if the covering has any. ``flat`` says that the surface is a
    fine grid in a plane, which can be displaced; its own UVs then stand in for the position too, because they stay
    where they are when the surface moves.
    """
    graph = Graph(loader(textures, "This scene has scanned materials: name their folder with --materials."))
    surface = _layered(graph, covering, flat)
    displaced = flat and any(FAMILIES[material.family].displaced for material in covering.layers)
    dressed = any(material.finish for material in covering.layers)
    _connect(graph, surface, _BLACKEST if dressed else _DARKEST, displaced=displaced)
    data = trees.material(graph.nodes, name)
    if displaced:
        data.displacement_method = "BOTH"
    return data


def loader(folder: Path | None, missing: str) -> Callable[[str], Any]:
    """Loads pictures of a folder into Blender. Raises UserError, ``missing`` where there is no folder."""

    def load(file: str) -> Any:
        if folder is None:
            raise UserError(missing)
        path = folder / file
        if not path.is_file():
            raise UserError(f"{path} is missing: put it back, or render into a new folder.")
        return bpy.data.images.load(str(path), check_existing=True)

    return load


def _layered(graph: Graph, covering: Covering, flat: bool) -> Surface:
    first, *others = covering.layers
    surface = _surface(graph, first, flat)
    for mask, material in zip(covering.masks, others, strict=True):
        factor = _factor(graph, mask, flat)
        surface = blended(graph, factor, surface, _surface(graph, material, flat))
    return surface


def _surface(graph: Graph, material: Material, flat: bool) -> Surface:
    """One material's surface, with its height in metres and nothing left open."""
    source = graph.node("ShaderNodeTexCoord")
    uv = _moved(graph, source.outputs["UV"], material)
    at = Coordinates(uv=uv, solid=uv if flat else _moved(graph, source.outputs["Object"], material))
    made = FAMILIES[material.family](graph, at, material)
    height = graph.math("MULTIPLY", made.height, material.scale * material.relief) if material.relief else 0.0
    whole = replace(
        made,
        roughness=material.roughness if made.roughness is None else made.roughness,
        specular=material.specular if made.specular is None else made.specular,
    )
    if material.finish is not None and material.finish.waves:
        height = height + uneven(graph, at, material.finish)
    whole = weathered(graph, at, material, finished(graph, at, material, whole))
    return replace(whole, height=height)


def _connect(graph: Graph, surface: Surface, darkest: float, *, displaced: bool) -> None:
    surface = replace(surface, color=_reflectance(graph, surface.color, darkest))
    bumpy = not isinstance(surface.height, float)
    outputs: dict[str, Value] = {"Surface": _shader(graph, surface, surface.normal)}
    if bumpy and displaced:
        inputs = {"Height": surface.height, "Midlevel": 0.0, "Scale": 1.0}
        outputs["Displacement"] = graph.node("ShaderNodeDisplacement", inputs).outputs[0]
    elif bumpy:
        # Seen in another surface's light a bump makes no difference, and its height is evaluated three times a hit:
        # bumps for camera rays only make a room a third cheaper.
        seen = _shader(graph, surface, _bumped(graph, surface))
        camera = graph.node("ShaderNodeLightPath").outputs["Is Camera Ray"]
        outputs["Surface"] = graph.mix_shader(camera, outputs["Surface"], seen)
    graph.node("ShaderNodeOutputMaterial", outputs)


def _shader(graph: Graph, surface: Surface, normal: Socket | None) -> Socket:
    inputs = {
        "Base Color": surface.color,
        "Roughness": surface.roughness,
        "Specular IOR Level": surface.specular,
        "Metallic": surface.metallic,
        "Coat Weight": surface.coat,
        "Coat Roughness": surface.coat_roughness,
    }
    if not (isinstance(surface.anisotropic, float) and surface.anisotropic == 0.0):
        inputs["Anisotropic"] = surface.anisotropic
        inputs["Anisotropic Rotation"] = surface.anisotropic_rotation
        # Along u; the default runs around the object's axis.
        inputs["Tangent"] = graph.node("ShaderNodeTangent", direction_type="UV_MAP", uv_map="UVMap").outputs[0]
    if normal is not None:
        inputs["Normal"] = normal
    return graph.node("ShaderNodeBsdfPrincipled", inputs).outputs[0]


def _bumped(graph: Graph, surface: Surface) -> Socket:
    """The normal of a relief in metres, over the surface's own or mapped normal."""
    inputs = {"Height": surface.height, "Distance": 1.0, "Strength": 1.0}
    if surface.normal is not None:
        inputs["Normal"] = surface.normal
    # Younger than 4.2, where its value is fixed at one.
    return graph.node("ShaderNodeBump", inputs, optional={"Filter Width": 1.0}).outputs[0]


def _reflectance(graph: Graph, color: Value, darkest: float) -> Value:
    """A colour that a real surface can have: stains and highlights of a pattern may overshoot."""
    if isinstance(color, tuple):
        return color
    return graph.vector("MINIMUM", graph.vector("MAXIMUM", color, (darkest,) * 3), (LIGHTEST,) * 3)


def _moved(graph: Graph, vector: Socket, material: Material) -> Socket:
    """Turn a pattern by the material's angle about z, then shift it by its offset."""
    inputs = {"Vector": vector, "Location": material.offset, "Rotation": (0.0, 0.0, material.angle)}
    return graph.node("ShaderNodeMapping", inputs).outputs[0]


def _factor(graph: Graph, mask: Mask, flat: bool) -> Socket:
    source = graph.node("ShaderNodeTexCoord").outputs["UV" if flat else "Object"]
    moved = graph.node("ShaderNodeMapping", {"Vector": source, "Location": mask.offset}).outputs[0]
    noise = graph.noise(moved, 1.0 / mask.scale, detail=4.0, roughness=0.6)
    # The noise lies about 0.5 with a spread of about 0.13: its upper ``cover`` share is above this level.
    level = 0.5 + 0.3 * (0.5 - mask.cover)
    return graph.ramp(noise, level - 0.5 * mask.softness, level + 0.5 * mask.softness)
