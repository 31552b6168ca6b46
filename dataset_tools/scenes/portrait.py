# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's description becomes Blender objects: the body, eyes, hair, and what is worn."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import]
import numpy as np

from dataset_tools.description.covering import Color, Covering
from dataset_tools.description.person import Hair, Portrait
from dataset_tools.description.scene import Camera
from dataset_tools.heads import base, eyes, garments, hair, regions
from dataset_tools.heads.figure import Figure, figure, tints
from dataset_tools.materials import body, trees
from dataset_tools.materials.build import build_material, loader
from dataset_tools.materials.graph import Graph
from dataset_tools.scenes.items import link, new_mesh
from dataset_tools.shapes.mesh import MeshData, quads, rectangle
from join_engine.color import srgb_decode

_HERE = (0.0, 0.0, 0.0)
_LASH = Hair("lashes", (0.02, 0.014, 0.012), 0.008, 0.0, 0.0, 1.0, 0.0, 0.4, 0)
# A backdrop reaches so many times as far as the picture does.
_BEYOND = 1.3


def add_portrait(portrait: Portrait, camera: Camera, textures: Path | None, skins: Path | None) -> None:
    """Fill the scene with a person whom the camera sees as FFHQ's crop, before a backdrop.

    The camera must look from (0, −d, 0) at the origin. ``textures`` is the folder of scanned materials, ``skins`` that
    of pictures of skins and eyes. Raises UserError where the shapes or a picture are missing.
    """
    person = portrait.person
    shapes = base.load(base.find())
    distance = -camera.location[1]
    half = distance * float(np.tan(0.5 * camera.field_of_view))
    straight = figure(shapes, person, distance, half)
    _add_body(straight, skins)
    _add_eyes(straight, skins)
    _add_mouth(straight)
    _add_hair(straight)
    _add_worn(straight, textures)
    backdrop = portrait.backdrop
    material = build_material(backdrop.covering, "backdrop", textures)
    side = 2.0 * _BEYOND * (half / distance * (distance + backdrop.distance))
    wall = new_mesh("backdrop", rectangle(side, side), material)
    link("backdrop", wall, (0.0, backdrop.distance, 0.0), (math.pi / 2, 0.0, 0.0))


def _add_body(straight: Figure, skins: Path | None) -> None:
    person, surface = straight.person, straight.surface
    part = straight.base.parts[regions.BODY]
    data = _shown(straight, surface.faces, part.uvs[straight.shown])
    graph = Graph(_loader(skins))
    mean = _mean_color(skins, person.skin.textures["color"], straight.base) if person.skin.textures else None
    shown = person.hair
    covered = 0.75 * min(1.0, shown.density) if shown else 0.0
    color: Color = shown.color if shown else person.brows.color
    body.skin(graph, person.skin, color, covered, mean)
    item = link("body", new_mesh("body", data, trees.material(graph.nodes, "skin")), _HERE, _HERE)
    used = surface.used
    made = item.data
    rest = made.attributes.new("rest", "FLOAT_VECTOR", "POINT")
    rest.data.foreach_set("vector", straight.base.vertices[used].astype(np.float32).ravel())
    for name, strengths in tints(straight.base).items():
        made.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", strengths[used].astype(np.float32))
    modifier = item.modifiers.new("smooth", "SUBSURF")
    # Nobody looks at it before it is rendered.
    modifier.levels, modifier.render_levels = 0, 1


def _shown(straight: Figure, faces: np.ndarray, uvs: np.ndarray) -> MeshData:
    """A part of the base mesh, posed and aligned, with its own numbers of vertices."""
    used, corners = np.unique(faces, return_inverse=True)
    places = straight.seen(straight.vertices[used], straight.base.vertices[used, 2])
    return quads(places, corners.reshape(-1, 4), uvs, smooth=True)


def _loader(skins: Path | None) -> Callable[[str], Any]:
    return loader(skins, "This scene has pictures of skin and eyes: name their folder with --skins.")


@functools.cache
def _mean_color(skins: Path | None, file: str, shapes: base.Base) -> Color:
    """Linear median of a skin's picture: some of it is of nostrils and other dark places."""
    image = _loader(skins)(file)
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    image.pixels.foreach_get(pixels)
    part = shapes.parts[regions.BODY]
    # Cheeks and forehead have neither hair nor shadow.
    uvs = part.uvs[tints(shapes)["freckles"][part.faces] > 0.3]
    column = np.clip((uvs[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip((uvs[:, 1] * height).astype(int), 0, height - 1)
    # The pixels of an 8-bit picture are as stored, sRGB-encoded.
    found = np.median(srgb_decode(pixels.reshape(height, width, -1)[row, column, :3]), axis=0)
    return (float(found[0]), float(found[1]), float(found[2]))


def _add_eyes(straight: Figure, skins: Path | None) -> None:
    described = straight.person.eyes
    graph = Graph(_loader(skins))
    body.eye(graph, described)
    material = trees.material(graph.nodes, "eye")
    for number, ball in enumerate(eyes.eyeballs(straight)):
        _add_mesh(straight, f"eye {number}", ball, material)


def _add_mouth(straight: Figure) -> None:
    for names, make in ((regions.TEETH, body.teeth), ((regions.TONGUE,), body.tongue)):
        graph = Graph(_loader(None))
        make(graph)
        material = trees.material(graph.nodes, names[0])
        for name in names:
            part = straight.base.parts[name]
            link(name, new_mesh(name, _shown(straight, part.faces, part.uvs), material), _HERE, _HERE)


def _add_hair(straight: Figure) -> None:
    person = straight.person
    covered = garments.under_hat(straight, person.hat) if person.hat else None
    if person.hair:
        _add_strands(straight, "hair", person.hair, hair.head_hair(straight, person.hair, covered))
    if person.beard:
        _add_strands(straight, "beard", person.beard, hair.beard(straight, person.beard))
    _add_strands(straight, "brows", person.brows, hair.brows(straight, person.brows))
    _add_strands(straight, "lashes", _LASH, hair.lashes(straight))


def _add_strands(straight: Figure, name: str, described: Hair, strands: hair.Strands) -> None:
    count, steps = strands.points.shape[:2]
    if not count:
        return
    places = straight.seen(strands.points.reshape(-1, 3), strands.heights.reshape(-1))
    curves: Any = bpy.data.hair_curves.new(name)
    curves.add_curves([steps] * count)
    curves.attributes["position"].data.foreach_set("vector", places.astype(np.float32).ravel())
    radii = strands.radius * straight.similarity.scale * np.linspace(1.0, 0.35, steps, dtype=np.float32)
    attribute = curves.attributes.get("radius") or curves.attributes.new("radius", "FLOAT", "POINT")
    attribute.data.foreach_set("value", np.tile(radii, count))
    graph = Graph(_loader(None))
    body.hair(graph, described)
    curves.materials.append(trees.material(graph.nodes, name))
    link(name, curves, _HERE, _HERE)


def _add_worn(straight: Figure, textures: Path | None) -> None:
    person = straight.person
    _add_meshes(straight, "garment", garments.garment(straight, person.garment), person.garment.covering, textures)
    if person.hat:
        _add_meshes(straight, "hat", garments.hat(straight, person.hat), person.hat.covering, textures)
    if person.glasses:
        parts = garments.glasses(straight, person.glasses)
        _add_meshes(straight, "frame", parts["frame"], person.glasses.covering, textures)
        if person.glasses.lenses:
            _add_meshes(straight, "lenses", parts["lenses"], person.glasses.lenses, textures)


def _add_meshes(straight: Figure, name: str, parts: list[MeshData], covering: Covering, textures: Path | None) -> None:
    if not parts:
        return
    material = build_material(covering, name, textures)
    for number, part in enumerate(parts):
        _add_mesh(straight, f"{name} {number}", part, material)


def _add_mesh(straight: Figure, name: str, part: MeshData, material: Any) -> None:
    places = straight.seen(part.vertices.astype(np.float64)).astype(np.float32)
    link(name, new_mesh(name, replace(part, vertices=places), material), _HERE, _HERE)
