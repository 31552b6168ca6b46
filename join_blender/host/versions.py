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
def saving_linear_exr(scene: Any) -> Iterator[None]:
    """Inside, what the scene saves is a 32-bit RGBA EXR, which gets no view transform; then all is as before."""
    settings = scene.render.image_settings
    names = [name for name in ("media_type", "file_format", "color_mode", "color_depth") if hasattr(settings, name)]
    before = {name: getattr(settings, name) for name in names}
    try:
        if "media_type" in before:
            settings.media_type = "IMAGE"
        settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
        yield
    finally:
        for name, value in before.items():  # in this order: each allows only some values of the next
            setattr(settings, name, value)


def compositor_tree(scene: Any) -> bpy.types.NodeTree | None:
    """The scene's compositor tree if it has one with nodes in it, in use or not."""
    tree = scene.compositing_node_group if COMPOSITOR_IS_GROUP else scene.node_tree
    return tree if tree is not None and len(tree.nodes) else None


def create_compositor_tree(scene: Any) -> bpy.types.NodeTree:
    """A compositor tree for a scene without one, with nothing but an output node."""
    if not COMPOSITOR_IS_GROUP:
        scene.use_nodes = True  # makes a tree with default nodes
        scene.node_tree.nodes.clear()
        scene.node_tree.nodes.new(_OUTPUT)
        return scene.node_tree
    tree: Any = scene.compositing_node_group or bpy.data.node_groups.new("Compositing Nodes", "CompositorNodeTree")
    if not any(_is_output(item) for item in tree.interface.items_tree):
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    scene.compositing_node_group = tree
    tree.nodes.new(_OUTPUT)
    return tree


def remove_compositor_tree(scene: Any) -> None:
    """Undo :func:`create_compositor_tree`."""
    if COMPOSITOR_IS_GROUP:
        bpy.data.node_groups.remove(scene.compositing_node_group)
    else:
        scene.node_tree.nodes.clear()
        scene.use_nodes = False


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


def _is_output(item: Any) -> bool:
    return item.item_type == "SOCKET" and item.in_out == "OUTPUT"
