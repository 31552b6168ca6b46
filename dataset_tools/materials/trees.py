# SPDX-License-Identifier: GPL-3.0-or-later
"""A graph becomes a Blender material.

Blender looks the whole tree over again after every node, link and value that Python adds. It does not do so while it
calls the ``update`` of a tree of Python's: nodes made in there, and looked over once at the end, take a sixth of the
time (measured by the tests' trees_check.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.materials.graph import Key, Node, Socket, Value

# This node carries sockets for every type of data under the same names; the names that tell them apart, in the order
# of those that its type uses.
_MIXED = {"FLOAT": "Float", "VECTOR": "Vector", "RGBA": "Color"}
_MIX = (("Factor_Float", "A_{}", "B_{}"), ("Result_{}",))


def material(nodes: Sequence[Node], name: str) -> Any:
    """A new ``bpy.types.Material`` of that name."""
    data = bpy.data.materials.new(name)
    if not data.use_nodes:  # always true from Blender 5.0, where setting it warns
        data.use_nodes = True
    tree = data.node_tree
    tree.nodes.clear()
    made: list[Any] = []

    def add_all_but_the_last() -> None:
        for node in nodes[:-1]:
            made.append(_add(tree, node, made))

    _unobserved(add_all_but_the_last)
    # With this one Blender looks at all of them.
    _add(tree, nodes[-1], made)
    return data


def _unobserved(work: Callable[[], None]) -> None:
    """Call ``work`` while Blender is looking over a tree, so that it looks over no other for as long."""
    began = False
    failure: list[BaseException] = []

    def update(_: Any) -> None:
        nonlocal began
        if not began:
            began = True
            try:
                work()
            except BaseException as error:  # Ctrl-C too: Blender would print it and go on
                failure.append(error)

    names = {"bl_idname": "JoinWork", "bl_label": "Work", "bl_icon": "NONE"}
    kind: Any = type("JoinWork", (bpy.types.NodeTree,), {**names, "update": update})
    # For as long as the work takes: a class that is left behind keeps the Python that Blender is a module of from
    # ending.
    bpy.utils.register_class(kind)
    try:
        group = bpy.data.node_groups.new("work", kind.bl_idname)
        group.nodes.new("NodeFrame")
        bpy.data.node_groups.remove(group)
    finally:
        bpy.utils.unregister_class(kind)
    if failure:
        raise failure[0]
    if not began:
        work()


def _add(tree: Any, node: Node, made: Sequence[Any]) -> Any:
    """A node of the tree, linked to those that were made before it."""
    new = tree.nodes.new(node.kind)
    target = new.color_ramp if node.stops else new
    for name, setting in node.settings.items():
        setattr(target, name, setting)
    for key, value in node.inputs.items():
        socket = _socket(new, key, is_output=False)
        if isinstance(value, Socket):
            tree.links.new(_socket(made[value.node], value.key, is_output=True), socket)
        else:
            _set(socket, value)
    for key, value in node.optional.items():
        if key in new.inputs:
            _set(new.inputs[key], value)
    if node.stops:
        _set_stops(new.color_ramp.elements, node)
    return new


def _socket(node: Any, key: Key, *, is_output: bool) -> Any:
    sockets = node.outputs if is_output else node.inputs
    if node.bl_idname != "ShaderNodeMix":
        return sockets[key]
    name = _MIX[is_output][int(key)].format(_MIXED[node.data_type])
    return next(socket for socket in sockets if socket.identifier == name)


def _set(socket: Any, value: Value) -> None:
    """Give an input a constant; colours may be written without alpha."""
    is_color = isinstance(value, tuple) and socket.type == "RGBA"
    socket.default_value = (*value[:3], 1.0) if is_color else value


def _set_stops(elements: Any, node: Node) -> None:
    while len(elements) < len(node.stops):
        elements.new(1.0)
    for element, (position, color) in zip(elements, node.stops, strict=False):
        element.position = position
        element.color = color
