# SPDX-License-Identifier: GPL-3.0-or-later
"""Things and what they stand on, as objects of the current Blender scene."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.description.scene import Ground, Thing
from dataset_tools.materials.build import build_material
from dataset_tools.scenes.items import link, new_mesh
from dataset_tools.shapes import meshes
from dataset_tools.shapes.ground import ground_mesh, wall_mesh


def add_thing(described: Thing, name: str, textures: Path | None) -> None:
    """An object for each part of a thing. ``textures`` is the folder of scanned materials."""
    parts = zip(described.form.parts, meshes(described.form, described.size), described.coverings, strict=True)
    for part, mesh, covering in parts:
        material = build_material(covering, f"{name} {part}", textures)
        link(f"{name} {part}", new_mesh(name, mesh, material), described.location, described.rotation)


def add_ground(described: Ground, textures: Path | None, *, seen: bool) -> None:
    """The ground and its wall; unless ``seen``, only their shadow and their light are."""
    still = (0.0, 0.0, 0.0)
    material = build_material(described.covering, "ground", textures)
    items = [link("ground", new_mesh("ground", ground_mesh(described), material), still, still)]
    if described.wall:
        wall = build_material(described.wall, "wall", textures)
        items.append(link("wall", new_mesh("wall", wall_mesh(described), wall), still, still))
    for item in items:
        item.visible_camera = seen
