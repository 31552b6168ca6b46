# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in the compositor, where the user asks for them: image nodes, a group that recombines them and a Viewer, never
at the cost of the user's own nodes. What the scene renders changes only where that is asked for, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import bpy

from ..engine.vocabulary import Formula, components_in
from .recombine import COMPONENTS, group_for
from .versions import (
    all_compositor_trees,
    compositor_output,
    compositor_tree,
    create_compositor_tree,
    own_compositor_tree,
    use_compositor_tree,
)

_COLUMN, _ROW, _MARGIN = 260, 320, 120


def add_layers(
    scene: bpy.types.Scene, title: str, layers: Mapping[str, bpy.types.Image], formula: Formula, render: bool = False
) -> str:
    """Put the layers and their recombination into the scene's compositor, in a frame beside what is there, with a
    Viewer where the tree has none. A scene without compositor nodes gets a tree that renders what it did before.

    Args:
        render: let the scene render the recombination from now on, at its size. A tree that other scenes use, too, is
            copied for this scene first.

    Returns:
        What the user should know beside that, or nothing.
    """
    said = ""
    tree: Any = compositor_tree(scene)
    if tree is None:
        tree = create_compositor_tree(scene, with_scene=not render)
    else:
        tree, copied = own_compositor_tree(scene, even_from_scenes=render)
        said = "The scene has a copy of the compositor's nodes now, as others use them, too. " if copied else ""
    group = _add_nodes(tree, title, layers, formula)
    if render:
        use_compositor_tree(scene)
        output: Any = compositor_output(tree)
        tree.links.new(group.outputs[0], output.inputs[0])
        first = next(iter(layers.values()))
        scene.render.resolution_x, scene.render.resolution_y = first.size
        scene.render.resolution_percentage = 100
    return said


def follow(layers: Mapping[str, Any], formula: Formula, retired: Mapping[str, Any]) -> None:
    """After a set has got other components: let the groups that recombine it do so by its formula of now.

    Args:
        layers: of the set, as it is now.
        retired: what was a layer of it before, by component.
    """
    own = [*layers.values(), *retired.values()]
    for tree in all_compositor_trees():
        for node in _groups_of(tree, own):
            if tuple(node.node_tree[COMPONENTS]) == components_in(formula):
                continue
            fresh = _exchange(tree, node, group_for(formula))
            for row, component in enumerate(components_in(formula)):
                if not fresh.inputs[row].is_linked:
                    _add_image(tree, fresh, row, component, layers[component])
        for node in _images_of(tree, retired.values()):
            if not node.outputs[0].is_linked:
                tree.nodes.remove(node)


def remove_layers(layers: Iterable[Any]) -> None:
    """Take the nodes of these layers out again, where they lead to nothing but a Viewer."""
    own = list(layers)
    for tree in all_compositor_trees():
        for group in _groups_of(tree, own):
            ends = [link.to_node for link in group.outputs[0].links]
            if any(node.bl_idname != "CompositorNodeViewer" for node in ends):
                continue
            frame = group.parent
            for node in [group, *(node for node in ends if frame is not None and node.parent == frame)]:
                tree.nodes.remove(node)
            for node in _images_of(tree, own):
                if not node.outputs[0].is_linked and node.parent == frame:
                    tree.nodes.remove(node)
            if frame is not None and not any(node.parent == frame for node in tree.nodes):
                tree.nodes.remove(frame)


def _add_nodes(tree: Any, title: str, layers: Mapping[str, Any], formula: Formula) -> Any:
    """Image nodes, the group, and a Viewer, in a frame; the group's node."""
    x, y = _beside(tree)
    frame = tree.nodes.new("NodeFrame")
    frame.label = title
    group = tree.nodes.new("CompositorNodeGroup")
    group.node_tree = group_for(formula)
    group.location = (x + _COLUMN, y)
    group.width = 200.0
    nodes = [group]
    if not any(node.bl_idname == "CompositorNodeViewer" for node in tree.nodes):
        viewer = tree.nodes.new("CompositorNodeViewer")
        viewer.location = (x + 2 * _COLUMN, y)
        tree.links.new(group.outputs[0], viewer.inputs[0])
        tree.nodes.active = viewer
        nodes.append(viewer)
    for row, component in enumerate(components_in(formula)):
        nodes.append(_add_image(tree, group, row, component, layers[component]))
    for node in nodes:
        node.parent = frame
    return group


def _add_image(tree: Any, group: Any, row: int, component: str, image: bpy.types.Image) -> Any:
    node = tree.nodes.new("CompositorNodeImage")
    # Blender decodes an image, here and now, when a node is told to use it, but not when one changes under the node.
    blank = bpy.data.images.new("blank", 1, 1)
    node.image = blank
    blank.user_remap(image)
    bpy.data.images.remove(blank)
    node.label = component.capitalize()
    node.location = (group.location.x - _COLUMN, group.location.y - row * _ROW)
    node.parent = group.parent
    tree.links.new(node.outputs[0], group.inputs[row])
    return node


def _exchange(tree: Any, old: Any, group: Any) -> Any:
    """Another group in the place of a group's node: links and values go by the names of the sockets."""
    new = tree.nodes.new("CompositorNodeGroup")
    new.node_tree = group
    new.label, new.width, new.mute, new.parent = old.label, old.width, old.mute, old.parent
    new.location = old.location
    for socket in old.inputs:
        if socket.name not in new.inputs:
            continue
        fresh = new.inputs[socket.name]
        if socket.is_linked:
            tree.links.new(socket.links[0].from_socket, fresh)
        else:
            fresh.default_value = socket.default_value
    for link in list(old.outputs[0].links):
        tree.links.new(new.outputs[0], link.to_socket)
    name = old.name
    tree.nodes.remove(old)
    new.name = name
    return new


def _groups_of(tree: Any, own: list[Any]) -> list[Any]:
    """The nodes in which a group of ours recombines some of these images."""
    found = []
    for node in tree.nodes:
        if node.bl_idname == "CompositorNodeGroup" and node.node_tree is not None and COMPONENTS in node.node_tree:
            sources = [link.from_node for socket in node.inputs for link in socket.links]
            if any(source.bl_idname == "CompositorNodeImage" and source.image in own for source in sources):
                found.append(node)
    return found


def _images_of(tree: Any, own: Iterable[Any]) -> Iterator[Any]:
    wanted = list(own)
    return iter([n for n in tree.nodes if n.bl_idname == "CompositorNodeImage" and n.image in wanted])


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
