# SPDX-License-Identifier: GPL-3.0-or-later
"""One pure node function per family of ``specs.materials``: pattern coordinates and a description → a colour socket.

``uv`` is the surface's own metric coordinate, for patterns laid on a surface; ``solid`` is the position inside the
object in metres, for matter that goes through it. Both are already moved by the material's offset and angle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.specs.description import Material


@dataclass(frozen=True)
class Coordinates:
    """Metric coordinates of the shaded point: over the surface, and through the object."""

    uv: Socket
    solid: Socket


NodeFunction = Callable[[Graph, Coordinates, Material], Socket]


def paint(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """One even colour."""
    node = graph.node("ShaderNodeRGB")
    node.outputs[0].default_value = (*material.colors[0], 1.0)
    return node.outputs[0]


def checker(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Squares of two colours; on round shapes as on a globe."""
    u, v, _ = graph.xyz(at.uv)
    across = graph.math("FLOOR", graph.math("DIVIDE", u, material.scale))
    along = graph.math("FLOOR", graph.math("DIVIDE", v, material.scale))
    parity = graph.math("FLOORED_MODULO", graph.math("ADD", across, along), 2.0)
    return graph.mix(parity, material.colors[0], material.colors[1])


def _masonry(graph: Graph, at: Coordinates, material: Material, offset: float, aspect: float, mortar: float) -> Socket:
    """Rows of blocks with joints; the first two colours are the blocks', the last the joints'."""
    second = graph.mix(material.parameters["variation"], material.colors[0], material.colors[1])
    inputs = {
        "Vector": at.uv,
        "Color1": material.colors[0],
        "Color2": second,
        "Mortar": material.colors[-1],
        "Scale": 1.0,
        "Mortar Size": material.scale * mortar,
        "Mortar Smooth": 0.1,
        "Brick Width": material.scale * aspect,
        "Row Height": material.scale,
    }
    return graph.node("ShaderNodeTexBrick", inputs, offset=offset).outputs["Color"]


def bricks(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """A running bond."""
    return _masonry(graph, at, material, 0.5, material.parameters["aspect"], material.parameters["mortar"])


def tiles(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Square tiles in a grid."""
    return _masonry(graph, at, material, 0.0, 1.0, material.parameters["mortar"])


def planks(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Boards of two tones, with grain along them and a dark joint."""
    boards = _masonry(graph, at, material, 0.37, material.parameters["aspect"], 0.025)
    stretched = graph.vector("MULTIPLY", at.uv, (1.5, 14.0, 1.0))
    grain = graph.noise(stretched, 1.0, detail=3.0)
    strength = graph.math("MULTIPLY", grain, material.parameters["grain"])
    return graph.mix(strength, boards, material.colors[1])


def wood(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Rings cut through a trunk."""
    inputs = {
        "Vector": graph.vector("MULTIPLY", at.solid, (1.0, 1.0, 0.25)),
        "Scale": 0.5 / material.scale,
        "Distortion": material.parameters["distortion"],
        "Detail": 2.0,
        "Detail Scale": 1.2,
    }
    rings = graph.node("ShaderNodeTexWave", inputs, wave_type="RINGS", rings_direction="Z").outputs["Fac"]
    grain = graph.noise(graph.vector("MULTIPLY", at.solid, (12.0, 12.0, 1.0)), 1.0)
    tone = graph.math("ADD", rings, graph.math("MULTIPLY", grain, material.parameters["grain"]))
    return graph.mix(tone, material.colors[0], material.colors[1])


def marble(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Veins in a ground colour."""
    inputs = {
        "Vector": at.solid,
        "Scale": 0.5 / material.scale,
        "Distortion": material.parameters["distortion"],
        "Detail": 3.0,
        "Detail Scale": 1.0,
    }
    wave = graph.node("ShaderNodeTexWave", inputs, wave_type="BANDS", bands_direction="DIAGONAL").outputs["Fac"]
    vein = graph.math("POWER", wave, material.parameters["sharpness"])
    return graph.mix(vein, material.colors[0], material.colors[1])


def stone(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Clouded rock of two colours."""
    clouds = graph.noise(at.solid, 1.0 / material.scale, material.parameters["detail"], 0.6)
    spread = graph.math("MULTIPLY", graph.math("SUBTRACT", clouds, 0.5), material.parameters["contrast"])
    return graph.mix(graph.math("ADD", spread, 0.5, clamp=True), material.colors[0], material.colors[1])


def plaster(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Plaster or concrete: broad faint stains and fine grain of the same tone."""
    stains = graph.noise(at.solid, 1.0 / material.scale, 2.0)
    grain = graph.noise(at.solid, 9.0, 3.0)
    tone = graph.math("ADD", graph.math("MULTIPLY", stains, 0.7), graph.math("MULTIPLY", grain, 0.3))
    return graph.mix(graph.math("MULTIPLY", tone, material.parameters["strength"]), *material.colors)


def _fraction(graph: Graph, value: Socket, period: float) -> Socket:
    """Position inside the current period, [0, 1)."""
    return graph.math("FRACT", graph.math("DIVIDE", value, period))


def stripes(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Even bands of two colours."""
    u, _, _ = graph.xyz(at.uv)
    band = graph.math("LESS_THAN", _fraction(graph, u, material.scale), material.parameters["duty"])
    return graph.mix(band, material.colors[0], material.colors[1])


def dots(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Round dots in a grid, staggered or not."""
    u, v, _ = graph.xyz(at.uv)
    row = graph.math("FLOOR", graph.math("DIVIDE", v, material.scale))
    shift = graph.math("MULTIPLY", graph.math("FLOORED_MODULO", row, 2.0), 0.5 * material.parameters["stagger"])
    x = graph.math(
        "SUBTRACT", graph.math("FRACT", graph.math("ADD", graph.math("DIVIDE", u, material.scale), shift)), 0.5
    )
    y = graph.math("SUBTRACT", _fraction(graph, v, material.scale), 0.5)
    squared = graph.math("ADD", graph.math("MULTIPLY", x, x), graph.math("MULTIPLY", y, y))
    inside = graph.math("LESS_THAN", squared, material.parameters["radius"] ** 2)
    return graph.mix(inside, material.colors[0], material.colors[1])


def zigzag(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Stripes folded into chevrons."""
    u, v, _ = graph.xyz(at.uv)
    fold = graph.math("PINGPONG", v, material.scale)
    shifted = graph.math("ADD", u, graph.math("MULTIPLY", fold, material.parameters["amplitude"]))
    band = graph.math("LESS_THAN", _fraction(graph, shifted, material.scale), material.parameters["duty"])
    return graph.mix(band, material.colors[0], material.colors[1])


def weave(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Basket weave: threads across and along, over and under in turn, with a gap between them."""
    u, v, _ = graph.xyz(at.uv)
    gap = material.parameters["gap"]
    cell_u, cell_v = (graph.math("FLOOR", graph.math("DIVIDE", axis, material.scale)) for axis in (u, v))
    parity = graph.math("FLOORED_MODULO", graph.math("ADD", cell_u, cell_v), 2.0)
    thread_u, thread_v = (_fraction(graph, axis, material.scale * 0.5) for axis in (u, v))
    along = graph.math("GREATER_THAN", thread_u, gap * 2.0)
    across = graph.math("GREATER_THAN", thread_v, gap * 2.0)
    chosen = graph.math(
        "ADD",
        graph.math("MULTIPLY", parity, along),
        graph.math("MULTIPLY", graph.math("SUBTRACT", 1.0, parity), across),
    )
    return graph.mix(chosen, material.colors[1], material.colors[0])


def terrazzo(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Chips of three colours, edge to edge."""
    inputs = {"Vector": at.solid, "Scale": 1.0 / material.scale, "Randomness": 1.0}
    cells = graph.node("ShaderNodeTexVoronoi", inputs, feature="F1").outputs["Color"]
    chance, _, _ = graph.xyz(cells)
    first = graph.mix(graph.math("GREATER_THAN", chance, 0.45), material.colors[0], material.colors[1])
    return graph.mix(graph.math("GREATER_THAN", chance, 0.75), first, material.colors[2])


def cobbles(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Irregular stones of two tones in a bed of a third."""
    inputs = {"Vector": at.solid, "Scale": 1.0 / material.scale, "Randomness": material.parameters["randomness"]}
    edge = graph.node("ShaderNodeTexVoronoi", inputs, feature="DISTANCE_TO_EDGE").outputs["Distance"]
    cells = graph.node("ShaderNodeTexVoronoi", inputs, feature="F1").outputs["Color"]
    chance, _, _ = graph.xyz(cells)
    stones = graph.mix(chance, material.colors[0], material.colors[1])
    bed = graph.step(edge, material.parameters["gap"], 0.04)
    return graph.mix(bed, material.colors[2], stones)


NODE_FUNCTIONS: dict[str, NodeFunction] = {
    function.__name__: function
    for function in (
        paint,
        checker,
        bricks,
        tiles,
        planks,
        wood,
        marble,
        stone,
        plaster,
        stripes,
        dots,
        zigzag,
        weave,
        terrazzo,
        cobbles,
    )
}
