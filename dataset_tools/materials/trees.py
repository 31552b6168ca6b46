# SPDX-License-Identifier: GPL-3.0-or-later
"""A graph becomes a Blender material.

Blender looks the whole tree over again after every node, link and value that Python adds, and draws each node's
identifier from the system's random device: a sixth of the time of a sample of 64² (measured). A copy of a material
costs next to nothing. So the first material of each shape stays as a template, and the next one of that shape is its
copy, in which only the values that differ are set. A shape is a graph without its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.materials.graph import Key, Node, Socket, Value

# The plain materials of the datasets have 86 shapes: with 40 templates every second material was built anew (69 ms of
# processor time a scene of primeshapes, 49 with all; 25 MB more). Those not used for the longest time go first.
_TEMPLATES = 128
_PREFIX = "template"


@dataclass(frozen=True)
class _Template:
    material: Any
    nodes: tuple[Node, ...]


# The last used last.
_templates: dict[Any, _Template] = {}


def material(nodes: Sequence[Node], name: str, *, common: bool) -> Any:
    """A new ``bpy.types.Material`` of that name, the same whether it was built or copied from a template.

    ``common`` says that more of its shape are to be expected, so that a template is worth its memory.
    """
    # Images go with their sample, and so does what shows them.
    if not common or any("image" in node.settings for node in nodes):
        return _built(nodes, name)
    template = _template(tuple(nodes))
    data = template.material.copy()
    data.name = name
    made = data.node_tree.nodes
    for old, new, node in zip(template.nodes, nodes, made, strict=True):
        _change(node, old, new)
    return data


def removable(materials: Iterable[Any]) -> list[Any]:
    """Those materials that are no templates."""
    kept = {template.material for template in _templates.values()}
    return [data for data in materials if data not in kept]


def forget() -> None:
    """Drop all templates: to be called when Blender reads another file, which ends them."""
    _templates.clear()


def _template(nodes: tuple[Node, ...]) -> _Template:
    shape = tuple(_shape(node) for node in nodes)
    found = _templates.pop(shape, None) or _Template(_built(nodes, _PREFIX), nodes)
    _templates[shape] = found
    if len(_templates) > _TEMPLATES:
        bpy.data.materials.remove(_templates.pop(next(iter(_templates))).material)
    return found


def _shape(node: Node) -> tuple[Any, ...]:
    """All of a node but its values: what two nodes must have in common for one to be made of the other's copy."""
    inputs = tuple((key, value if isinstance(value, Socket) else None) for key, value in node.inputs.items())
    places = tuple(place for place, _ in node.stops)
    return node.kind, tuple(node.settings.items()), inputs, tuple(node.optional.items()), places


def _built(nodes: Sequence[Node], name: str) -> Any:
    data = bpy.data.materials.new(name)
    if not data.use_nodes:  # always true from Blender 5.0, where setting it warns
        data.use_nodes = True
    tree = data.node_tree
    tree.nodes.clear()
    made: list[Any] = []
    for node in nodes:
        made.append(_add(tree, node, made))
    return data


def _add(tree: Any, node: Node, made: Sequence[Any]) -> Any:
    """A node of the tree, linked to those that were made before it."""
    new = tree.nodes.new(node.kind)
    target = new.color_ramp if node.stops else new
    for name, setting in node.settings.items():
        setattr(target, name, setting)
    for key, value in node.inputs.items():
        socket = _socket(new.inputs, node.kind, key)
        if isinstance(value, Socket):
            source = made[value.node]
            tree.links.new(_socket(source.outputs, source.bl_idname, value.key), socket)
        else:
            _set(socket, value)
    for key, value in node.optional.items():
        if key in new.inputs:
            _set(new.inputs[key], value)
    if node.stops:
        _set_stops(new.color_ramp.elements, node)
    return new


def _socket(sockets: Any, kind: str, key: Key) -> Any:
    # This node carries sockets for every data type; only those of the chosen one are enabled.
    return [s for s in sockets if s.enabled][int(key)] if kind == "ShaderNodeMix" else sockets[key]


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


def _change(made: Any, old: Node, new: Node) -> None:
    """Carry a copied node from the template's values to those of another node of its shape."""
    for key, value in new.inputs.items():
        if value != old.inputs[key]:
            _set(_socket(made.inputs, new.kind, key), value)
    if new.stops != old.stops:
        for element, (_, color) in zip(made.color_ramp.elements, new.stops, strict=False):
            element.color = color
