# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the compositor: image nodes and a group that recombines them, never at the cost of the user's own nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy

from .recombine import recombine_group
from .versions import compositor_tree, create_compositor_tree

_COLUMN, _ROW, _MARGIN = 260, 320, 120


def add_layers(scene: bpy.types.Scene, title: str, layers: Mapping[str, bpy.types.Image]) -> bool:
    """Put the layers and their recombination into the scene's compositor.

    A scene without compositor nodes gets a tree that renders the recombined image, and the image's resolution. A scene
    that has some gets ours in a frame beside them, connected to nothing of the user's.

    Returns:
        True when the tree was made here and is connected to the scene's output.
    """
    tree = compositor_tree(scene)
    if tree is None:
        tree, output = create_compositor_tree(scene)
        group = _add_nodes(tree, layers, 0.0, 0.0)[-1]
        output.location = (2 * _COLUMN, 0.0)
        tree.links.new(group.outputs[0], output.inputs[0])
        _set_resolution(scene, next(iter(layers.values())))
        return True
    nodes = _add_nodes(tree, layers, *_beside(tree))
    frame = tree.nodes.new("NodeFrame")
    frame.label = title
    for node in nodes:
        node.parent = frame
    return False


def _add_nodes(
    tree: bpy.types.NodeTree, layers: Mapping[str, bpy.types.Image], x: float, y: float
) -> list[bpy.types.Node]:
    """An image node per layer, and last the group that they feed."""
    group: Any = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = recombine_group(list(layers))
    group.location = (x + _COLUMN, y)
    group.width = 200.0
    nodes = []
    for index, (component, image) in enumerate(layers.items()):
        node: Any = tree.nodes.new("CompositorNodeImage")
        node.image = image
        node.label = component.capitalize()
        node.location = (x, y - index * _ROW)
        tree.links.new(node.outputs[0], group.inputs[index])
        nodes.append(node)
    return [*nodes, group]


def _beside(tree: bpy.types.NodeTree) -> tuple[float, float]:
    """A free place: left-aligned with the user's nodes, below the lowest of them."""
    nodes = [node for node in tree.nodes if node.bl_idname != "NodeFrame"]
    if not nodes:
        return 0.0, 0.0
    left = min(_place(node)[0] for node in nodes)
    bottom = min(_place(node)[1] - max(node.height, node.dimensions.y, _ROW) for node in nodes)
    return left, bottom - _MARGIN


def _place(node: Any) -> tuple[float, float]:
    """Where a node is in the tree: its location counts from the frame that it is in."""
    x, y = node.location
    frame = node.parent
    while frame is not None:
        x, y = x + frame.location.x, y + frame.location.y
        frame = frame.parent
    return x, y


def _set_resolution(scene: bpy.types.Scene, image: bpy.types.Image) -> None:
    scene.render.resolution_x, scene.render.resolution_y = image.size
    scene.render.resolution_percentage = 100
