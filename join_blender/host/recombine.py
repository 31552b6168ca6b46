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
COMPONENTS, VERSION = "join_components", "join_version"
"""Custom properties by which a group is found again, whatever it is called."""
_CURRENT = 2

_COLUMN, _ROW = 220, 420


def recombine_group(components: Sequence[str]) -> bpy.types.NodeTree:
    """The group for these components, in the order of its inputs; made where the file has none yet."""
    for known in bpy.data.node_groups:
        if (
            known.bl_idname == "CompositorNodeTree"
            and list(known.get(COMPONENTS, ())) == list(components)
            and known.get(VERSION) == _CURRENT
        ):
            return known
    group: Any = bpy.data.node_groups.new(GROUP_NAME, "CompositorNodeTree")
    group[COMPONENTS], group[VERSION] = list(components), _CURRENT
    _add_sockets(group, components)
    entry, exit_ = group.nodes.new("NodeGroupInput"), group.nodes.new("NodeGroupOutput")
    entry.location = (-_COLUMN, 0.0)
    image: Any = None
    for index, component in enumerate(components):
        layer = _graded(group, entry.outputs, component.capitalize(), -index * _ROW)
        if image is None:
            image = layer
            continue
        mix = new_mix(group, "MULTIPLY" if index == 1 else "ADD")
        mix.node.location = ((6 + index) * _COLUMN, -index * _ROW)
        group.links.new(image, mix.a)
        group.links.new(layer, mix.b)
        image = mix.out
    group.links.new(image, exit_.inputs[0])
    exit_.location = ((7 + len(components)) * _COLUMN, 0.0)
    return group


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
