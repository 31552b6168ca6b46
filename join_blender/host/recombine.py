# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group *JoIN Recombine*: albedo × shading (+ specular), each with exposure, tint and saturation.

The same nodes in every version, out of those that mean the same in all of them: Mix (multiply, subtract, add) and RGB
to BW; :mod:`.versions` knows what they are called. A layer with its controls at rest passes unchanged:
grey + (layer − grey) × 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import bpy

from .versions import new_math, new_mix

GROUP_NAME = "JoIN Recombine"
COMPONENTS, VERSION, GROWN = "join_components", "join_version", "join_grown"
"""Custom properties by which a group is found again, whatever it is called; the last one is on an unfinished group, and
says how many of its components are there."""
_CURRENT = 2

_COLUMN, _ROW = 220, 420


def grow_group(components: Sequence[str]) -> bpy.types.NodeTree | None:
    """The group for these components, in the order of its inputs. Where the file has none yet, each call makes a piece
    of it and returns None: the whole at once would keep Blender waiting.

    Between two pieces anything may happen, such as an undo: what is there already is found anew each time.
    """
    group = _find(components)
    if group is None:
        group = bpy.data.node_groups.new(GROUP_NAME, "CompositorNodeTree")
        group[COMPONENTS], group[VERSION], group[GROWN] = list(components), _CURRENT, 0
        _add_sockets(group, components)
        group.nodes.new("NodeGroupInput").location = (-_COLUMN, 0.0)
        exit_ = group.nodes.new("NodeGroupOutput")
        exit_.location = ((7 + len(components)) * _COLUMN, 0.0)
    elif GROWN in group:
        _add_component(group, components, group[GROWN])
        group[GROWN] += 1
        if group[GROWN] == len(components):
            del group[GROWN]
    else:
        return group
    return None


def _find(components: Sequence[str]) -> Any:
    """The group for these components, finished or not; None where there is none."""
    for known in bpy.data.node_groups:
        if (
            known.bl_idname == "CompositorNodeTree"
            and list(known.get(COMPONENTS, ())) == list(components)
            and known.get(VERSION) == _CURRENT
        ):
            return known
    return None


def _add_component(group: Any, components: Sequence[str], index: int) -> None:
    """The nodes of one component, between what is there and the output."""
    entry, exit_ = (
        next(node for node in group.nodes if node.bl_idname == kind) for kind in ("NodeGroupInput", "NodeGroupOutput")
    )
    image = _graded(group, entry.outputs, components[index].capitalize(), -index * _ROW)
    if index > 0:
        mix = new_mix(group, "MULTIPLY" if index == 1 else "ADD")
        mix.node.location = ((6 + index) * _COLUMN, -index * _ROW)
        group.links.new(exit_.inputs[0].links[0].from_socket, mix.a)
        group.links.new(image, mix.b)
        image = mix.out
    group.links.new(image, exit_.inputs[0])


def _add_sockets(group: Any, components: Sequence[str]) -> None:
    """The layers first, then a closed panel of controls for each."""
    face = group.interface
    face.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    for component in components:
        name = component.capitalize()
        layer = face.new_socket(name, in_out="INPUT", socket_type="NodeSocketColor")
        layer.description = f"The {component} layer, linear"
        layer.default_value = (0.0, 0.0, 0.0, 1.0) if component == "specular" else (1.0, 1.0, 1.0, 1.0)
    for component in components:
        name = component.capitalize()
        panel = face.new_panel(name, default_closed=True)
        exposure = face.new_socket(f"{name} Exposure", in_out="INPUT", socket_type="NodeSocketFloat", parent=panel)
        exposure.description = f"Makes the {component} brighter or darker, in stops: 1 is twice as bright"
        exposure.min_value, exposure.max_value, exposure.default_value = -10.0, 10.0, 0.0
        tint = face.new_socket(f"{name} Tint", in_out="INPUT", socket_type="NodeSocketColor", parent=panel)
        tint.description = f"Multiplies the {component}; white changes nothing"
        tint.default_value = (1.0, 1.0, 1.0, 1.0)
        saturation = face.new_socket(f"{name} Saturation", in_out="INPUT", socket_type="NodeSocketFloat", parent=panel)
        saturation.description = f"0 makes the {component} grey, 1 leaves its colours as they are"
        saturation.min_value, saturation.max_value, saturation.default_value = 0.0, 4.0, 1.0


def _graded(group: Any, inputs: Any, name: str, y: float) -> Any:
    """The nodes that apply exposure, tint and saturation to one layer; the socket with the result."""
    grey = group.nodes.new("CompositorNodeRGBToBW")
    grey.location = (0.0, y - 180.0)
    group.links.new(inputs[name], grey.inputs[0])
    colour = _mix(group, "SUBTRACT", 1, y, inputs[name], grey.outputs[0])
    scaled = _mix(group, "MULTIPLY", 2, y, colour, inputs[f"{name} Saturation"])
    # The layer comes first wherever that is possible: a Mix node takes the alpha of its first input.
    saturated = _mix(group, "ADD", 3, y, scaled, grey.outputs[0])
    power = new_math(group, "POWER")
    power.node.location = (3 * _COLUMN, y - 180.0)
    base: Any = power.a
    base.default_value = 2.0
    group.links.new(inputs[f"{name} Exposure"], power.b)
    exposed = _mix(group, "MULTIPLY", 4, y, saturated, power.out)
    return _mix(group, "MULTIPLY", 5, y, exposed, inputs[f"{name} Tint"])


def _mix(group: Any, blend_type: str, column: int, y: float, a: Any, b: Any) -> Any:
    mix = new_mix(group, blend_type)
    mix.node.location = (column * _COLUMN, y)
    group.links.new(a, mix.a)
    group.links.new(b, mix.b)
    return mix.out
