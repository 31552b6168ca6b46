# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the compositor: image nodes and a group that recombines them, never at the cost of the user's own nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy

from ..engine.vocabulary import Formula, components_in
from .recombine import add_group_step
from .versions import compositor_output, compositor_tree, create_compositor_tree, remove_compositor_tree

_COLUMN, _ROW, _MARGIN = 260, 320, 120
_UNFINISHED = "join_unfinished"
"""On a tree that was made here and on a group node: the title of the layers that are still being put in."""


def add_layers(scene: bpy.types.Scene, title: str, layers: Mapping[str, bpy.types.Image], formula: Formula) -> bool:
    """Put the layers and their recombination into the scene's compositor.

    A scene without compositor nodes gets a tree that renders the recombined image, and the image's resolution. A scene
    that has some gets ours in a frame beside them, connected to nothing of the user's.

    Returns:
        True when the tree was made here and is connected to the scene's output.
    """
    made_here = compositor_tree(scene) is None
    while not add_layers_step(scene, title, layers, formula):
        pass
    return made_here


def add_layers_step(
    scene: bpy.types.Scene, title: str, layers: Mapping[str, bpy.types.Image], formula: Formula
) -> bool:
    """One piece of :func:`add_layers`, which as a whole would keep Blender waiting; True when nothing is left to do.

    Between two pieces anything may happen, such as an undo: what is there already is found anew each time.
    """
    recombination = add_group_step(formula)
    if recombination is None:
        return False
    tree: Any = compositor_tree(scene)
    if tree is None:
        tree = create_compositor_tree(scene)
        tree[_UNFINISHED] = title
        _set_resolution(scene, next(iter(layers.values())))
        return False
    group = next((node for node in tree.nodes if node.get(_UNFINISHED) == title), None)
    if group is None:
        _add_group(tree, recombination, title)
        return False
    components = components_in(formula)
    for index, component in enumerate(components):
        if not group.inputs[index].is_linked:
            _add_image(tree, group, index, component, layers[component])
            return False
    _settle(tree, group, title, len(components))
    return True


def drop_unfinished(scene: bpy.types.Scene, title: str) -> None:
    """Take away what :func:`add_layers_step` has begun and will not finish."""
    tree: Any = compositor_tree(scene)
    if tree is None:
        return
    if tree.get(_UNFINISHED) == title:
        remove_compositor_tree(scene)
        return
    for group in [node for node in tree.nodes if node.get(_UNFINISHED) == title]:
        for node in [link.from_node for socket in group.inputs for link in socket.links]:
            tree.nodes.remove(node)
        tree.nodes.remove(group)


def _add_group(tree: Any, recombination: bpy.types.NodeTree, title: str) -> None:
    x, y = (0.0, 0.0) if tree.get(_UNFINISHED) == title else _beside(tree)
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = recombination
    group.location = (x + _COLUMN, y)
    group.width = 200.0
    group[_UNFINISHED] = title


def _add_image(tree: Any, group: Any, index: int, component: str, image: bpy.types.Image) -> None:
    node = tree.nodes.new("CompositorNodeImage")
    # Blender decodes an image, here and now, when a node is told to use it, but not when one changes under the node.
    blank = bpy.data.images.new("blank", 1, 1)
    node.image = blank
    blank.user_remap(image)
    bpy.data.images.remove(blank)
    node.label = component.capitalize()
    node.location = (group.location.x - _COLUMN, group.location.y - index * _ROW)
    tree.links.new(node.outputs[0], group.inputs[index])


def _settle(tree: Any, group: Any, title: str, inputs: int) -> None:
    """Connect the group to the output of a tree that was made here, or put a frame around our nodes."""
    del group[_UNFINISHED]
    output: Any = compositor_output(tree)
    if tree.get(_UNFINISHED) == title and output is not None:
        del tree[_UNFINISHED]
        output.location = (2 * _COLUMN, 0.0)
        tree.links.new(group.outputs[0], output.inputs[0])
        return
    frame = tree.nodes.new("NodeFrame")
    frame.label = title
    for node in [socket.links[0].from_node for socket in group.inputs[:inputs]] + [group]:
        node.parent = frame


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
