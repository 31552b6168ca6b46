# SPDX-License-Identifier: GPL-3.0-or-later
"""A small vocabulary for shader graphs, so that a material reads as a formula."""

from __future__ import annotations

from typing import Any

Socket = Any  # bpy.types.NodeSocket
Value = Any  # a socket, a number or a tuple of numbers


class Graph:
    """Adds nodes to one tree; every method returns the output socket of the node it made."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree

    def node(self, kind: str, inputs: dict[str, Value] | None = None, **settings: Any) -> Any:
        """A node of ``kind`` with its properties set and its inputs linked or given values, by socket name."""
        node = self._tree.nodes.new(kind)
        for name, setting in settings.items():
            setattr(node, name, setting)
        for name, value in (inputs or {}).items():
            self.feed(node.inputs[name], value)
        return node

    def feed(self, socket: Socket, value: Value) -> None:
        """Link a socket to an input, or give the input a constant; colours may be written without alpha."""
        if hasattr(value, "is_output"):
            self._tree.links.new(value, socket)
        elif isinstance(value, tuple) and socket.type == "RGBA":
            socket.default_value = (*value[:3], 1.0)
        else:
            socket.default_value = value

    def math(self, operation: str, a: Value, b: Value = 0.0, *, clamp: bool = False) -> Socket:
        """Arithmetic on numbers."""
        node = self.node("ShaderNodeMath", operation=operation, use_clamp=clamp)
        self.feed(node.inputs[0], a)
        self.feed(node.inputs[1], b)
        return node.outputs[0]

    def vector(self, operation: str, a: Value, b: Value) -> Socket:
        """Arithmetic on vectors."""
        node = self.node("ShaderNodeVectorMath", operation=operation)
        self.feed(node.inputs[0], a)
        self.feed(node.inputs[1], b)
        return node.outputs[0]

    def xyz(self, vector: Socket) -> tuple[Socket, Socket, Socket]:
        """The three coordinates of a vector or the three channels of a colour."""
        outputs = self.node("ShaderNodeSeparateXYZ", {"Vector": vector}).outputs
        return outputs[0], outputs[1], outputs[2]

    def mix(self, factor: Value, a: Value, b: Value) -> Socket:
        """Colour ``a`` where ``factor`` is 0, ``b`` where it is 1."""
        node = self.node("ShaderNodeMix", data_type="RGBA", clamp_factor=True)
        # The node carries sockets for every data type; only those of the chosen one are enabled.
        for socket, value in zip((s for s in node.inputs if s.enabled), (factor, a, b), strict=True):
            self.feed(socket, value)
        return next(s for s in node.outputs if s.enabled)

    def step(self, value: Socket, edge: Value, softness: float) -> Socket:
        """0 below ``edge``, 1 above it, straight in between over ``softness``."""
        scaled = self.math("DIVIDE", self.math("SUBTRACT", value, edge), softness)
        return self.math("ADD", scaled, 0.5, clamp=True)

    def noise(self, vector: Socket, scale: float, detail: float = 2.0, roughness: float = 0.5) -> Socket:
        """Smooth noise in about [0, 1]; ``scale`` is features a metre."""
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail, "Roughness": roughness}
        return self.node("ShaderNodeTexNoise", inputs).outputs[0]
