# SPDX-License-Identifier: GPL-3.0-or-later
"""A small vocabulary for shader graphs, so that a material reads as a formula. No bpy: graphs are data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = int | str


@dataclass(frozen=True)
class Socket:
    """An output of a node, which is named by its place in the graph.

    Numbers reckon as Python's do, each operation a node: ``0.5 * noise + 0.2``, and 1 where ``noise < 0.3``, 0
    elsewhere. One side of it must be a socket. Vectors and colours have :meth:`Graph.vector`.
    """

    node: int
    key: Key
    graph: Graph = field(repr=False, compare=False)

    def __add__(self, other: Value) -> Socket:
        return self.graph.math("ADD", self, other)

    def __radd__(self, other: float) -> Socket:
        return self.graph.math("ADD", other, self)

    def __sub__(self, other: Value) -> Socket:
        return self.graph.math("SUBTRACT", self, other)

    def __rsub__(self, other: float) -> Socket:
        return self.graph.math("SUBTRACT", other, self)

    def __mul__(self, other: Value) -> Socket:
        return self.graph.math("MULTIPLY", self, other)

    def __rmul__(self, other: float) -> Socket:
        return self.graph.math("MULTIPLY", other, self)

    def __truediv__(self, other: Value) -> Socket:
        return self.graph.math("DIVIDE", self, other)

    def __rtruediv__(self, other: float) -> Socket:
        return self.graph.math("DIVIDE", other, self)

    def __mod__(self, other: Value) -> Socket:
        return self.graph.math("FLOORED_MODULO", self, other)

    def __pow__(self, other: Value) -> Socket:
        return self.graph.math("POWER", self, other)

    def __lt__(self, other: Value) -> Socket:
        return self.graph.math("LESS_THAN", self, other)

    def __gt__(self, other: Value) -> Socket:
        return self.graph.math("GREATER_THAN", self, other)

    def __abs__(self) -> Socket:
        return self.graph.math("ABSOLUTE", self)


Value = Any  # a socket, a number or a tuple of numbers


@dataclass(frozen=True)
class _Outputs:
    node: int
    graph: Graph

    def __getitem__(self, key: Key) -> Socket:
        return Socket(self.node, key, self.graph)


@dataclass(frozen=True)
class Node:
    """A node: Blender's name of its kind, its properties, what goes into its sockets, and the stops of a colour ramp.

    A socket is named as Blender does or counted from 0, among those in use alone where the node hides the others.
    ``optional`` are inputs that not every Blender has.
    """

    graph: Graph = field(repr=False, compare=False)
    number: int
    kind: str
    settings: Mapping[str, Any]
    inputs: Mapping[Key, Value]
    optional: Mapping[Key, Value] = field(default_factory=dict)
    stops: tuple[tuple[float, tuple[float, ...]], ...] = ()

    @property
    def outputs(self) -> _Outputs:
        """Its outputs by name or number."""
        return _Outputs(self.number, self.graph)


class Graph:
    """Collects nodes; every method returns the output socket of the node it made. ``trees`` makes Blender's of them."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        """``load`` opens an image file of a scanned material."""
        self.nodes: list[Node] = []
        self._load = load

    def node(
        self,
        kind: str,
        inputs: Mapping[Any, Value] | None = None,
        *,
        optional: Mapping[Key, Value] | None = None,
        stops: Sequence[tuple[float, tuple[float, ...]]] = (),
        **settings: Any,
    ) -> Node:
        """A node of ``kind`` with its properties set and its inputs linked or given values; see :class:`Node`."""
        made = Node(self, len(self.nodes), kind, settings, dict(inputs or {}), dict(optional or {}), tuple(stops))
        self.nodes.append(made)
        return made

    def math(self, operation: str, a: Value, b: Value = 0.0, *, clamp: bool = False) -> Socket:
        """Arithmetic on numbers that no operator of :class:`Socket` writes, or on constants alone."""
        return self.node("ShaderNodeMath", {0: a, 1: b}, operation=operation, use_clamp=clamp).outputs[0]

    def vector(self, operation: str, a: Value, b: Value) -> Socket:
        """Arithmetic on vectors and colours; SCALE takes a number as its second."""
        second = "Scale" if operation == "SCALE" else 1
        return self.node("ShaderNodeVectorMath", {0: a, second: b}, operation=operation).outputs[0]

    def length(self, vector: Socket) -> Socket:
        """How long a vector is."""
        return self.node("ShaderNodeVectorMath", {"Vector": vector}, operation="LENGTH").outputs[1]

    def xyz(self, vector: Socket) -> tuple[Socket, Socket, Socket]:
        """The three coordinates of a vector or the three channels of a colour."""
        outputs = self.node("ShaderNodeSeparateXYZ", {"Vector": vector}).outputs
        return outputs[0], outputs[1], outputs[2]

    def mix(self, factor: Value, a: Value, b: Value) -> Socket:
        """Colour ``a`` where ``factor`` is 0, ``b`` where it is 1."""
        return self.node("ShaderNodeMix", {0: factor, 1: a, 2: b}, data_type="RGBA", clamp_factor=True).outputs[0]

    def mix_number(self, factor: Value, a: Value, b: Value) -> Value:
        """Number ``a`` where ``factor`` is 0, ``b`` where it is 1; no node where both are the same constant."""
        if isinstance(a, float | int) and a == b:
            return a
        return self.node("ShaderNodeMix", {0: factor, 1: a, 2: b}, data_type="FLOAT", clamp_factor=True).outputs[0]

    def mix_shader(self, factor: Value, a: Socket, b: Socket) -> Socket:
        """Shader ``a`` where ``factor`` is 0, ``b`` where it is 1."""
        return self.node("ShaderNodeMixShader", {0: factor, 1: a, 2: b}).outputs[0]

    def mix_vector(self, factor: Value, a: Socket, b: Socket) -> Socket:
        """Vector ``a`` where ``factor`` is 0, ``b`` where it is 1."""
        part = self.vector("SCALE", self.vector("SUBTRACT", b, a), factor)
        return self.vector("ADD", a, part)

    def normal(self, mapped: Socket | None) -> Socket:
        """A mapped normal, or the surface's own."""
        return mapped or self.node("ShaderNodeNewGeometry").outputs["Normal"]

    def picture(self, file: str, vector: Socket, *, data: bool) -> Socket:
        """The colour of an image file that repeats in every unit square; ``data`` is for what is not a colour."""
        image = self._load(file)
        image.colorspace_settings.name = "Non-Color" if data else "sRGB"
        return self.node("ShaderNodeTexImage", {"Vector": vector}, image=image).outputs[0]

    def ramp(self, value: Value, low: float, high: float, to_low: float = 0.0, to_high: float = 1.0) -> Socket:
        """``value`` carried from [low, high] to [to_low, to_high] in a straight line, and held at both ends."""
        inputs = {"From Min": low, "From Max": high, "To Min": to_low, "To Max": to_high, "Value": value}
        return self.node("ShaderNodeMapRange", inputs, clamp=True).outputs[0]

    def voronoi(
        self, vector: Socket, scale: float, feature: str = "F1", randomness: float = 1.0, **settings: Any
    ) -> Any:
        """A Voronoi node; ``scale`` is cells a metre. Outputs: Distance, Color (random per cell), Position."""
        inputs = {"Vector": vector, "Scale": scale, "Randomness": randomness}
        return self.node("ShaderNodeTexVoronoi", inputs, feature=feature, **settings)

    def palette(self, value: Value, colors: Sequence[tuple[float, ...]]) -> Socket:
        """The colours in equal shares of [0, 1], one after another."""
        stops = [(index / len(colors), (*color[:3], 1.0)) for index, color in enumerate(colors)]
        return self.node("ShaderNodeValToRGB", {0: value}, stops=stops, interpolation="CONSTANT").outputs[0]

    def wave(
        self, vector: Socket, scale: float, distortion: float = 0.0, detail: float = 2.0, **settings: Any
    ) -> Socket:
        """Bands (or rings) in [0, 1]; ``scale`` is about three bands a metre at 1 (2π / 20 metres a period each)."""
        inputs = {"Vector": vector, "Scale": scale, "Distortion": distortion, "Detail": detail, "Detail Scale": 1.0}
        return self.node("ShaderNodeTexWave", inputs, **settings).outputs[1]

    def noise_color(self, vector: Socket, scale: float, detail: float = 2.0) -> Socket:
        """Three independent noises as a colour, each about 0.5 in the mean."""
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail}
        return self.node("ShaderNodeTexNoise", inputs).outputs[1]

    def warp(self, vector: Socket, scale: float, amount: float, detail: float = 2.0) -> Socket:
        """Coordinates pushed about by noise with ``scale`` features a metre, by up to about ``amount`` metres."""
        push = self.vector("SUBTRACT", self.noise_color(vector, scale, detail), (0.5, 0.5, 0.5))
        return self.vector("ADD", vector, self.vector("SCALE", push, 2.0 * amount))

    def shade(self, color: Value, factor: Value) -> Socket:
        """A colour made darker or lighter: all channels times ``factor``."""
        return self.vector("SCALE", color, factor)

    def random(self, vector: Socket) -> Socket:
        """A random colour, the same for equal vectors: for what differs from brick to brick, board to board."""
        return self.node("ShaderNodeTexWhiteNoise", {"Vector": vector}, noise_dimensions="3D").outputs["Color"]

    def combine(self, x: Value, y: Value, z: Value = 0.0) -> Socket:
        """A vector of three numbers."""
        return self.node("ShaderNodeCombineXYZ", {"X": x, "Y": y, "Z": z}).outputs[0]

    def step(self, value: Socket, edge: Value, softness: float) -> Socket:
        """0 below ``edge``, 1 above it, straight in between over ``softness``."""
        return self.math("ADD", (value - edge) / softness, 0.5, clamp=True)

    def noise(
        self, vector: Socket, scale: float, detail: float = 2.0, roughness: float = 0.5, distortion: float = 0.0
    ) -> Socket:
        """Smooth noise in about [0.2, 0.8], 0.5 in the mean; ``scale`` is features a metre."""
        inputs = {"Vector": vector, "Scale": scale, "Detail": detail, "Roughness": roughness, "Distortion": distortion}
        return self.node("ShaderNodeTexNoise", inputs).outputs[0]
