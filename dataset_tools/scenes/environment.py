# SPDX-License-Identifier: GPL-3.0-or-later
"""Light from all around as Blender's world: even, a sky, an overcast sky, an environment picture.

The only place that knows what the sky texture is called in which Blender.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import]
import numpy as np

from dataset_tools.description.scene import Environment, Fill
from dataset_tools.errors import UserError
from dataset_tools.sources.environments import OWN_FOLDER
from join_engine.color import LUMINANCE_WEIGHTS

# What the ground under a cloudy sky gives back, beside the zenith's radiance.
_GROUND = 0.12
# Width in pixels of the map by which Cycles samples a sky, which has nothing small in it; a picture has lamps.
_MAP, _PICTURE_MAP = 128, 1024


def add_world(fill: Fill, environment: Environment | None, pictures: Path | None) -> None:
    """Give the current scene its world. ``pictures`` is the folder of the environment pictures, or None for Blender's.

    Raises UserError for a picture that cannot be read.
    """
    world = bpy.data.worlds.new("fill")
    if not world.use_nodes:
        world.use_nodes = True
    bpy.context.scene.world = world
    tree: Any = world.node_tree
    background = next(node for node in tree.nodes if node.type == "BACKGROUND")
    if environment is None:
        background.inputs["Color"].default_value = (*fill.color, 1.0)
        background.inputs["Strength"].default_value = fill.strength
    else:
        color, strength = _KINDS[environment.kind](tree, environment, pictures)
        balanced = _node(tree, "ShaderNodeVectorMath", {0: color, 1: environment.color}, operation="MULTIPLY")
        tree.links.new(balanced.outputs[0], background.inputs["Color"])
        background.inputs["Strength"].default_value = strength
        # What the camera sees of a world would land in the environment pass, which Eq. 14 leaves out.
        settings: Any = world
        settings.cycles_visibility.camera = False
        settings.cycles.sampling_method = "MANUAL"
        settings.cycles.sample_map_resolution = _PICTURE_MAP if environment.kind == "picture" else _MAP


def _node(tree: Any, kind: str, inputs: dict[Any, Any], **settings: Any) -> Any:
    made = tree.nodes.new(kind)
    for name, value in settings.items():
        setattr(made, name, value)
    for key, value in inputs.items():
        if isinstance(value, bpy.types.NodeSocket):
            tree.links.new(value, made.inputs[key])
        else:
            made.inputs[key].default_value = value
    return made


def _direction(tree: Any, environment: Environment) -> Any:
    """The direction looked in, turned back by the environment's rotation."""
    source = tree.nodes.new("ShaderNodeTexCoord").outputs["Generated"]
    return _node(
        tree, "ShaderNodeMapping", {"Vector": source, "Rotation": environment.rotation}, vector_type="TEXTURE"
    ).outputs[0]


def _sky(tree: Any, environment: Environment, pictures: Path | None) -> tuple[Any, float]:
    sky = tree.nodes.new("ShaderNodeTexSky")
    # Blender 5 renamed the model and its dust.
    kinds = {item.identifier for item in sky.bl_rna.properties["sky_type"].enum_items}
    sky.sky_type = "NISHITA" if "NISHITA" in kinds else "SINGLE_SCATTERING"
    sky.sun_disc = False
    sky.sun_elevation = environment.elevation
    # The sun then stands at +y, from where the environment's rotation turns it.
    sky.sun_rotation = 0.0
    sky.air_density = environment.air
    setattr(sky, "dust_density" if hasattr(sky, "dust_density") else "aerosol_density", environment.dust)
    tree.links.new(_direction(tree, environment), sky.inputs["Vector"])
    return sky.outputs[0], environment.strength


def _overcast(tree: Any, environment: Environment, pictures: Path | None) -> tuple[Any, float]:
    up = _node(tree, "ShaderNodeSeparateXYZ", {0: _direction(tree, environment)}).outputs[2]
    # The CIE's overcast sky: a third of the zenith's radiance at the horizon, rising with the sine.
    limits = {"From Min": 0.0, "From Max": 1.0, "To Min": 1.0 / 3.0, "To Max": 1.0, "Value": up}
    cloud = _node(tree, "ShaderNodeMapRange", limits, clamp=True).outputs[0]
    above = _node(tree, "ShaderNodeMath", {0: up, 1: 0.0}, operation="GREATER_THAN").outputs[0]
    both = _node(tree, "ShaderNodeMix", {0: above, 2: _GROUND, 3: cloud}, data_type="FLOAT").outputs[0]
    color = _node(tree, "ShaderNodeCombineXYZ", {0: both, 1: both, 2: both}).outputs[0]
    return color, environment.strength / (0.5 * (2.0 / 3.0) + 0.5 * _GROUND)


def _picture(tree: Any, environment: Environment, pictures: Path | None) -> tuple[Any, float]:
    utils: Any = bpy.utils  # the stubs lack one of its functions
    folder = pictures or Path(utils.system_resource("DATAFILES")) / OWN_FOLDER
    path = folder / str(environment.file)
    if not path.is_file():
        raise UserError(f"{path} is missing: name a folder with environment pictures (.hdr, .exr) with --environments.")
    image = bpy.data.images.load(str(path), check_existing=True)
    texture = _node(tree, "ShaderNodeTexEnvironment", {0: _direction(tree, environment)}, image=image)
    return texture.outputs[0], environment.strength / _mean_radiance(path)


@functools.cache
def _mean_radiance(path: Path) -> float:
    """Mean luminance of an equirectangular picture over all directions."""
    image: Any = bpy.data.images.load(str(path), check_existing=True)
    width, height = image.size
    pixels = np.empty(width * height * image.channels, np.float32)
    if not pixels.size:
        raise UserError(f"{path} cannot be read as a picture: replace it or take it out of the folder.")
    image.pixels.foreach_get(pixels)
    rows = pixels.reshape(height, width, -1)[..., :3].mean(axis=1, dtype=np.float64) @ np.array(LUMINANCE_WEIGHTS)
    weights = np.sin((np.arange(height) + 0.5) * np.pi / height)
    mean = float((rows * weights).sum() / weights.sum())
    if not 0.0 < mean < 1e9:
        raise UserError(f"{path} is black or holds values that are not numbers: take it out of the folder.")
    return mean


_KINDS = {"sky": _sky, "overcast": _overcast, "picture": _picture}
