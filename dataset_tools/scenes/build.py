# SPDX-License-Identifier: GPL-3.0-or-later
"""A description becomes a Blender scene: geometry, lights, camera and world; and away again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import]
from mathutils import Matrix  # type: ignore[import]
from mathutils import Vector as BlenderVector

from dataset_tools.description.covering import Vector
from dataset_tools.description.scene import Blocker, Camera, Light, Room, Scene, Tile
from dataset_tools.materials.build import build_material
from dataset_tools.scenes.blockers import blocker_mesh
from dataset_tools.scenes.environment import add_world
from dataset_tools.scenes.items import current_scene as _scene
from dataset_tools.scenes.items import link as _link
from dataset_tools.scenes.items import new_mesh as _mesh
from dataset_tools.scenes.portrait import add_portrait
from dataset_tools.scenes.still_life import add_ground, add_thing
from dataset_tools.shapes.mesh import bulged, grid, primitive, rectangle

_BLOCKER_COLOR = (0.12, 0.12, 0.1)


def build_scene(
    description: Scene, textures: Path | None = None, pictures: Path | None = None, skins: Path | None = None
) -> None:
    """Fill the current (empty) Blender scene with everything that is described.

    ``textures`` is the folder that scanned materials lie in, ``pictures`` that of the environment pictures (None for
    Blender's own), ``skins`` that of the pictures of skins and eyes.
    """
    if description.room:
        _add_room(description.room, textures)
    if description.tile:
        _add_tile(description.tile, textures)
    if description.portrait:
        add_portrait(description.portrait, description.camera, textures, skins)
    for number, item in enumerate(description.objects):
        material = build_material(item.covering, f"object {number}", textures)
        mesh = _mesh(f"object {number}", primitive(item.shape, item.dimensions), material)
        _link(f"object {number}", mesh, item.location, item.rotation)
    for number, thing in enumerate(description.things):
        add_thing(thing, f"thing {number}", textures)
    if description.ground:
        add_ground(description.ground, textures, seen=not description.cutout)
    for number, light in enumerate(description.lights):
        _add_light(light, f"light {number}")
    for number, blocker in enumerate(description.blockers):
        _add_blocker(blocker, f"blocker {number}")
    add_world(description.fill, description.environment, pictures)
    _set_camera(description.camera, description.portrait.aperture if description.portrait else 0.0)
    _scene().cycles.seed = description.noise_seed


def clear_scene() -> None:
    """Remove everything the last sample made; removing (not just unlinking) keeps memory flat over a long run."""
    data = bpy.data
    _scene().camera = None
    _scene().world = None
    images = [image for image in data.images if image.type != "RENDER_RESULT"]
    others = (data.objects, data.meshes, data.hair_curves, data.materials, data.lights, data.cameras, data.worlds)
    # All at once: each call looks through everything that stays.
    data.batch_remove([*images, *(block for blocks in others for block in blocks)])


def _add_room(room: Room, textures: Path | None) -> None:
    depth = room.back - room.front
    middle = 0.5 * (room.back + room.front)
    floor = build_material(room.floor, "floor", textures)
    walls = build_material(room.walls, "walls", textures)
    _link("floor", _mesh("floor", rectangle(2.0 * room.half_width, depth), floor), (0.0, middle, 0.0), (0.0, 0.0, 0.0))
    upright = math.pi / 2
    half_height = 0.5 * room.height
    back = _mesh("back wall", rectangle(2.0 * room.half_width, room.height), walls)
    _link("back wall", back, (0.0, room.back, half_height), (upright, 0.0, 0.0))
    for name, side in (("left wall", -1.0), ("right wall", 1.0)):
        wall = _mesh(name, rectangle(depth, room.height), walls)
        # Turned so that each faces the middle of the room.
        _link(name, wall, (side * room.half_width, middle, half_height), (upright, 0.0, -side * upright))


def _add_tile(described: Tile, textures: Path | None) -> None:
    material = build_material(described.covering, "tile", textures, flat=True)
    flat = grid(described.corners, described.cells)
    mesh = bulged(flat, described.bulge) if any(described.bulge) else flat
    _link("tile", _mesh("tile", mesh, material), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def _towards(location: Vector, target: Vector, up: Vector = (0.0, 0.0, 1.0)) -> Any:
    """Rotation that points a camera or a spotlight (which look along −z) from ``location`` at ``target``."""
    back: Any = (BlenderVector(location) - BlenderVector(target)).normalized()
    right: Any = BlenderVector(up).cross(back)
    # Straight down there is no right; any will do for what is round.
    right = right.normalized() if right.length > 1e-6 else BlenderVector((1.0, 0.0, 0.0))
    return Matrix((right, back.cross(right), back)).transposed().to_euler()


_LIGHTS = {"spot": "SPOT", "sphere": "POINT", "area": "AREA", "sun": "SUN"}


def _add_light(described: Light, name: str) -> None:
    kind: Any = _LIGHTS[described.kind]
    light: Any = bpy.data.lights.new(name, kind)  # of a kind of its own; the stubs know only Light
    light.energy = described.energy
    light.color = described.color
    if described.kind == "sun":
        light.angle = described.angle
    elif described.size is not None:
        light.shape = "RECTANGLE"
        light.size, light.size_y = described.size
    else:
        light.shadow_soft_size = described.radius
    if described.kind == "spot":
        light.spot_size = described.angle
        light.spot_blend = described.blend
    item = _link(name, light, described.location, _towards(described.location, described.target))
    # A light seen by the camera would land in the emission pass, which Eq. 14 leaves out.
    item.visible_camera = False


def _add_blocker(described: Blocker, name: str) -> None:
    material = bpy.data.materials.new(name)
    if not material.use_nodes:
        material.use_nodes = True
    shader: Any = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = (*_BLOCKER_COLOR, 1.0)
    item = _link(name, _mesh(name, blocker_mesh(described), material), described.location, described.rotation)
    item.visible_camera = False


def _set_camera(described: Camera, aperture: float) -> None:
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit = "HORIZONTAL"
    camera.angle = described.field_of_view
    if aperture:
        camera.dof.use_dof = True
        camera.dof.focus_distance = math.dist(described.location, described.target)
        # Blender reckons the aperture's diameter from the focal length in millimetres.
        camera.dof.aperture_fstop = camera.lens / (1000.0 * aperture)
    item = _link("camera", camera, described.location, _towards(described.location, described.target, described.up))
    _scene().camera = item
