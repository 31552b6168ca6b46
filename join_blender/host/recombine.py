# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group *JoIN Recombine*: what the forward model makes of the layers, such as albedo × shading + specular,
each layer with exposure, tint and saturation.

The same nodes in every version, out of those that mean the same in all of them: Mix (multiply, subtract, add) and RGB
to BW; :mod:`.versions` knows what they are called. A layer with its controls at rest passes unchanged:
grey + (layer − grey) × 1.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from ..engine.vocabulary import Formula, components_in
from .versions import new_math, new_mix

GROUP_NAME = "JoIN Recombine"
FORMULA = "join_formula"
COMPONENTS, VERSION = "join_components", "join_version"
"""Custom properties by which a group is found again, whatever it is called, beside that of its formula."""
_CURRENT = 3

_COLUMN, _ROW = 220, 420


def known_group(formula: Formula) -> bpy.types.NodeTree | None:
    """The group for this formula, if the file has it."""
    groups: Any = bpy.data.node_groups
    wanted = json.dumps(formula)
    for known in groups:
        ours = known.bl_idname == "CompositorNodeTree" and known.library is None and "join_built" not in known
        if ours and known.get(FORMULA) == wanted and known.get(VERSION) == _CURRENT:
            return known
    return None


def group_for(formula: Formula) -> bpy.types.NodeTree:
    """The group for this formula, made where the file has none; its inputs are in the order of the components."""
    if (known := known_group(formula)) is not None:
        return known
    components = components_in(formula)
    group: Any = bpy.data.node_groups.new(GROUP_NAME, "CompositorNodeTree")
    group[COMPONENTS], group[FORMULA], group[VERSION] = list(components), json.dumps(formula), _CURRENT
    _add_sockets(group, formula)
    entry = group.nodes.new("NodeGroupInput")
    entry.location = (-_COLUMN, 0.0)
    for row, component in enumerate(components):
        _add_grading(group, entry.outputs, component.capitalize(), -row * _ROW)
    exit_ = group.nodes.new("NodeGroupOutput")
    exit_.location = ((7 + len(components)) * _COLUMN, 0.0)
    group.links.new(_add_formula(group, formula), exit_.inputs[0])
    return group


def _add_formula(group: Any, formula: Formula) -> Any:
    """The nodes that multiply and add the graded layers; the socket with the image."""
    rows = {name: -index * _ROW for index, name in enumerate(components_in(formula))}
    total, column = None, 7
    for term in formula:
        # A layer comes first: a Mix node takes the alpha of its first input.
        first, *others = sorted(term, key=lambda factor: not isinstance(factor, str))
        y = rows[str(first)]
        product = _graded(group, str(first))
        for factor in others:
            value = _graded(group, factor) if isinstance(factor, str) else (factor, factor, factor, 1.0)
            product = _mix(group, "MULTIPLY", column, y, product, value)
            column += 1
        if total is None:
            total = product
        else:
            total = _mix(group, "ADD", column, y, total, product)
            column += 1
    return total


def _graded(group: Any, component: str) -> Any:
    """The output of the last node of a layer's grading, as :func:`_add_grading` has named it."""
    node = group.nodes[f"{component.capitalize()} graded"]
    return next(socket for socket in node.outputs if socket.enabled)


def _add_sockets(group: Any, formula: Formula) -> None:
    """The layers first, then a closed panel of controls for each."""
    face = group.interface
    components = components_in(formula)
    alone = {term[0] for term in formula if len(term) == 1}
    face.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
    for component in components:
        name = component.capitalize()
        layer = face.new_socket(name, in_out="INPUT", socket_type="NodeSocketColor")
        layer.description = f"The {component} layer, linear"
        layer.default_value = (0.0, 0.0, 0.0, 1.0) if component in alone else (1.0, 1.0, 1.0, 1.0)
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


def _add_grading(group: Any, inputs: Any, name: str, y: float) -> None:
    """The nodes that apply exposure, tint and saturation to one layer."""
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
    _mix(group, "MULTIPLY", 5, y, exposed, inputs[f"{name} Tint"]).node.name = f"{name} graded"


def _mix(group: Any, blend_type: str, column: int, y: float, a: Any, b: Any) -> Any:
    """A node in that column; ``b`` is a socket or a colour. The socket with the result."""
    mix = new_mix(group, blend_type)
    mix.node.location = (column * _COLUMN, y)
    group.links.new(a, mix.a)
    if isinstance(b, tuple):
        mix.b.default_value = b  # type: ignore[attr-defined]
    else:
        group.links.new(b, mix.b)
    return mix.out
