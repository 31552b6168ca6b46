# SPDX-License-Identifier: GPL-3.0-or-later
"""The one place for the differences between Blender 4.2 and 5.x.

| | 4.2 to 4.5 | 5.0 and newer |
|---|---|---|
| the scene's compositor tree | ``scene.use_nodes``, ``scene.node_tree`` | ``scene.compositing_node_group`` |
| its output | the Composite node | the group's own output |
| mixing colours | ``CompositorNodeMixRGB`` | ``ShaderNodeMix`` |
| computing | ``CompositorNodeMath`` | ``ShaderNodeMath`` |
| the format of renders | ``file_format`` | ``media_type`` first |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy

COMPOSITOR_IS_GROUP = bpy.app.version >= (5, 0, 0)
_OUTPUT = "NodeGroupOutput" if COMPOSITOR_IS_GROUP else "CompositorNodeComposite"


_PAIR = {"display_mode": "SIDEBYSIDE", "use_squeezed_frame": False, "use_sidebyside_crosseyed": False}


@dataclass(frozen=True)
class Mix:
    """A node of two operands, whatever its sockets are called in this version."""

    node: bpy.types.Node
    a: bpy.types.NodeSocket
    b: bpy.types.NodeSocket
    out: bpy.types.NodeSocket


def working_space() -> str:
    """The scene-linear space of the open file."""
    colorspace = getattr(bpy.data, "colorspace", None)  # 5.0 and newer
    return str(getattr(colorspace, "working_space", "Linear Rec.709"))


@contextmanager
def saving_linear_exr(scene: Any, views: str) -> Iterator[None]:
    """Inside, what the scene saves is a 32-bit RGBA EXR that loses nothing, without a view transform; then all is as
    before.

    Args:
        views: of a render of several views: ``STEREO_3D`` puts the left and the right one side by side; ``INDIVIDUAL``
            makes a file for each, which Blender before 5.0 does not read again.
    """
    settings = scene.render.image_settings
    names = ("media_type", "file_format", "color_mode", "color_depth", "exr_codec", "views_format")
    before = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    stereo = settings.stereo_3d_format
    pair = {name: getattr(stereo, name) for name in _PAIR}
    try:
        if "media_type" in before:
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
        settings.exr_codec = "ZIP"  # the user's may be a lossy one, and this one our own reader knows, too
        settings.views_format = views
        for name, value in _PAIR.items():
            setattr(stereo, name, value)
        yield
    finally:
        for name, value in pair.items():
            setattr(stereo, name, value)
        for name, value in before.items():  # in this order: each allows only some values of the next
            setattr(settings, name, value)


def compositor_tree(scene: Any) -> bpy.types.NodeTree | None:
    """The scene's compositor tree if it has one with nodes in it, in use or not."""
    tree = scene.compositing_node_group if COMPOSITOR_IS_GROUP else scene.node_tree
    return tree if tree is not None and len(tree.nodes) else None


def create_compositor_tree(scene: Any, with_scene: bool = True) -> bpy.types.NodeTree:
    """A compositor tree for a scene without one, with an output node, and with the scene's render in it, as Blender
    makes one itself."""
    if not COMPOSITOR_IS_GROUP:
        scene.use_nodes = True  # makes a tree with default nodes
        tree: Any = scene.node_tree
        tree.nodes.clear()
    else:
        tree = scene.compositing_node_group or bpy.data.node_groups.new("Compositing Nodes", "CompositorNodeTree")
        scene.compositing_node_group = tree
    output = _create_output(tree)
    if with_scene:
        render = tree.nodes.new("CompositorNodeRLayers")
        render.scene = scene
        tree.links.new(render.outputs[0], output.inputs[0])
    return tree


def own_compositor_tree(scene: Any, even_from_scenes: bool) -> tuple[bpy.types.NodeTree, bool]:
    """The scene's tree, and whether it had to be copied for this scene first: one that is linked from another file
    cannot be changed, and (``even_from_scenes``) one that other scenes use shall not."""
    if not COMPOSITOR_IS_GROUP:
        return scene.node_tree, False
    tree = scene.compositing_node_group
    scenes: Any = bpy.data.scenes
    shared = sum(other.compositing_node_group == tree for other in scenes) > 1
    if tree.library is None and not (shared and even_from_scenes):
        return tree, False
    scene.compositing_node_group = tree.copy()
    return scene.compositing_node_group, True


def use_compositor_tree(scene: Any) -> None:
    """See that the scene's tree has an output, and that the scene renders through it."""
    tree = scene.compositing_node_group if COMPOSITOR_IS_GROUP else scene.node_tree
    if not COMPOSITOR_IS_GROUP:
        scene.use_nodes = True
    scene.render.use_compositing = True
    if compositor_output(tree) is None:
        _create_output(tree)


def all_compositor_trees() -> list[Any]:
    """Every tree of this file in which a compositor may have nodes, node groups included."""
    groups: Any = bpy.data.node_groups
    scenes: Any = bpy.data.scenes
    trees = [tree for tree in groups if tree.bl_idname == "CompositorNodeTree" and tree.library is None]
    if not COMPOSITOR_IS_GROUP:
        trees += [scene.node_tree for scene in scenes if scene.node_tree is not None and scene.library is None]
    return trees


def compositor_output(tree: bpy.types.NodeTree) -> bpy.types.Node | None:
    """The node whose first input is the image that a scene renders."""
    return next((node for node in tree.nodes if node.bl_idname == _OUTPUT), None)


def new_mix(tree: bpy.types.NodeTree, blend_type: str) -> Mix:
    """A node that mixes two colours in full (``MULTIPLY``, ``ADD``), unclamped."""
    if not COMPOSITOR_IS_GROUP:
        node: Any = tree.nodes.new("CompositorNodeMixRGB")
        node.blend_type = blend_type
        node.use_clamp = False
        node.inputs[0].default_value = 1.0
        return Mix(node, node.inputs[1], node.inputs[2], node.outputs[0])
    node = tree.nodes.new("ShaderNodeMix")
    node.data_type = "RGBA"
    node.blend_type = blend_type
    node.clamp_result = False
    # The node carries the sockets of every data type; only those of the chosen one are enabled.
    factor, a, b = (socket for socket in node.inputs if socket.enabled)
    factor.default_value = 1.0
    return Mix(node, a, b, next(socket for socket in node.outputs if socket.enabled))


def new_math(tree: bpy.types.NodeTree, operation: str) -> Mix:
    """A node that computes with two numbers (``POWER``), unclamped."""
    node: Any = tree.nodes.new("ShaderNodeMath" if COMPOSITOR_IS_GROUP else "CompositorNodeMath")
    node.operation = operation
    node.use_clamp = False
    return Mix(node, node.inputs[0], node.inputs[1], node.outputs[0])


def _create_output(tree: Any) -> Any:
    if COMPOSITOR_IS_GROUP and not any(_is_output(item) for item in tree.interface.items_tree):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    output = tree.nodes.new(_OUTPUT)
    output.location = (520.0, 0.0)
    return output


def _is_output(item: Any) -> bool:
    return item.item_type == "SOCKET" and item.in_out == "OUTPUT"
