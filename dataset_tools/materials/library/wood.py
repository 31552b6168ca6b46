# SPDX-License-Identifier: GPL-3.0-or-later
"""Wood: boards, veneer, parquet, stacked logs, bark."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface

# Early wood, late wood, and what fills pores, knots and gaps.
_wood_colors = palettes(
    ("#c9a06c", "#a9774a", "#5a3d28"),  # oak
    ("#dcc096", "#c08f58", "#7d5232"),  # pine
    ("#7f5638", "#5a3a26", "#37251b"),  # walnut
    ("#8e4e30", "#66321f", "#3d2018"),  # mahogany
    ("#e2cfae", "#cdb189", "#94764f"),  # maple, birch
    ("#b5834e", "#8c5b31", "#4e3320"),  # teak
    ("#a09689", "#7c7268", "#48423c"),  # weathered grey
    ("#6b5140", "#493729", "#302620"),  # smoked oak
    ("#b96f42", "#8f4d2c", "#54301f"),  # cherry
)


def _finish(rng: np.random.Generator) -> dict[str, float]:
    """How the tree grew, and whether its wood is varnished."""
    varnished = rng.random() < 0.45
    return {
        "rings": uniform(rng, 3.0, 8.0),
        "figure": uniform(rng, 0.5, 2.2),
        "contrast": uniform(rng, 0.35, 0.95),
        "pores": uniform(rng, 0.0, 0.7),
        "knots": float(rng.random() < 0.4),
        "coat": uniform(rng, 0.4, 1.0) if varnished else 0.0,
        "coat_roughness": uniform(rng, 0.06, 0.3),
    }


@dataclass(frozen=True)
class _Grain:
    """Sawn wood at a point: its colour, and its fibres as a height in [0, 1]."""

    color: Socket
    height: Socket


def _sawn(graph: Graph, point: Socket, material: Material, width: float) -> _Grain:
    """Wood whose fibres run along x; ``width`` is that of a board, which holds about ``rings`` year rings.

    The rings are the level lines of a noise drawn out along the trunk: arches and ovals, as a saw lays them open.
    """
    parameters = material.parameters
    trunk = graph.vector("MULTIPLY", point, (0.11, 1.0, 1.0))
    fibres = graph.noise(graph.vector("MULTIPLY", point, (0.03, 1.0, 1.0)), 26.0 / width, detail=4.0, roughness=0.6)
    growth = graph.noise(trunk, 1.1 / width, detail=1.0) * (parameters["figure"] * 2.5)
    across = graph.xyz(point)[1] * (0.6 / width)
    phase = growth + across + fibres * 0.2
    knot: Value = 0.0
    if parameters["knots"]:
        found = graph.voronoi(graph.vector("MULTIPLY", point, (0.7, 1.0, 1.0)), 0.55 / width).outputs
        exists = graph.xyz(found[1])[0] > 0.35
        # The rings bend around a knot.
        near = graph.ramp(found[0], 0.0, 0.4, 1.0, 0.0) ** 3.0 * exists
        phase = phase + near * 1.6
        knot = graph.ramp(near, 0.35, 0.6)
    ring = graph.math("FRACT", phase * parameters["rings"])
    # Late wood darkens slowly and ends at once, with the winter.
    late = ring**2.0 * graph.ramp(ring, 0.88, 1.0, 1.0, 0.0)
    tone = late * parameters["contrast"]
    tone = tone + graph.ramp(fibres, 0.35, 0.7, -0.1, 0.45)
    color = graph.mix(tone, material.colors[0], material.colors[1])
    pores = graph.noise(graph.vector("MULTIPLY", point, (0.05, 1.0, 1.0)), 75.0 / width, detail=1.0)
    dark = graph.ramp(pores, 0.58, 0.72) * parameters["pores"]
    color = graph.mix(graph.math("MAXIMUM", dark, graph.math("MULTIPLY", knot, 0.85)), color, material.colors[2])
    broad = graph.noise(trunk, 0.7 / width, detail=2.0)
    color = graph.shade(color, graph.ramp(broad, 0.3, 0.7, 0.86, 1.1))
    height = graph.math("SUBTRACT", graph.ramp(fibres, 0.25, 0.75), dark * 0.6, clamp=True)
    # Varnish fills the grain.
    height = height * (0.2 if parameters["coat"] else 1.0)
    return _Grain(color, height)


def _laid(graph: Graph, material: Material, piece: Socket, along: Socket, across: Socket, width: float) -> _Grain:
    """Sawn wood that differs from piece to piece: each is cut from another place and is of its own tone."""
    random = graph.random(piece)
    x, y, z = graph.xyz(graph.vector("SCALE", random, 40.0))
    cut = graph.combine(along + x, across + y, z)
    grain = _sawn(graph, cut, material, width)
    spread = 0.3 * material.parameters["variation"]
    tone = graph.ramp(graph.xyz(random)[1], 0.0, 1.0, 1.0 - spread, 1.0 + 0.45 * spread)
    return _Grain(graph.shade(grain.color, tone), grain.height)


def _gap_and_wear(
    graph: Graph, at: Coordinates, material: Material, grain: _Grain, edge: Socket, gap: float, grain_share: float
) -> Surface:
    """Pieces with dirty gaps between them, scuffed here and there."""
    inside = graph.ramp(edge, 0.4 * gap, 1.3 * gap)
    soil = graph.shade(material.colors[2], 0.6)
    scuffs = graph.noise(at.uv, 1.6 / material.scale, detail=5.0, roughness=0.65)
    color = graph.shade(grain.color, graph.ramp(scuffs, 0.3, 0.7, 0.88, 1.08))
    height = graph.ramp(edge, 0.3 * gap, 3.0 * gap) * (1.0 - grain_share)
    height = height + grain.height * grain_share
    worn = graph.ramp(scuffs, 0.3, 0.7, material.roughness * 0.85, min(material.roughness * 1.25, 1.0))
    return Surface(
        graph.mix(inside, soil, color),
        height=height,
        roughness=worn,
        coat=inside * material.parameters["coat"] if material.parameters["coat"] else 0.0,
        coat_roughness=material.parameters["coat_roughness"],
    )


@family(
    3,
    (0.22, 0.45),
    natural=_wood_colors,
    parameters=lambda rng: (
        _finish(rng)
        | {
            "aspect": uniform(rng, 4.0, 9.0),
            "shift": uniform(rng, 0.28, 0.5),
            "gap": uniform(rng, 0.008, 0.035),
            "variation": uniform(rng, 0.3, 1.0),
            "nails": float(rng.random() < 0.4),
        }
    ),
    roughness=(0.35, 0.85),
    relief=(0.03, 0.09),
)
def planks(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Boards side by side, each with grain and tone of its own, with gaps, some with nails near their ends."""
    parameters = material.parameters
    length = material.scale * parameters["aspect"]
    found = blocks(graph, at.uv, length, material.scale, shift=parameters["shift"])
    grain = _laid(graph, material, found.name, found.x, found.y, material.scale)
    made = _gap_and_wear(graph, at, material, grain, found.edge, material.scale * parameters["gap"], 0.3)
    if not parameters["nails"]:
        return made
    end = graph.math("MINIMUM", found.x, length - found.x)
    side = graph.math("PINGPONG", found.y, 0.5 * material.scale)
    x = end - 0.13 * material.scale
    y = side - 0.22 * material.scale
    distance = graph.length(graph.combine(x, y))
    nail = graph.ramp(distance, 0.026 * material.scale, 0.034 * material.scale, 1.0, 0.0)
    rust = graph.ramp(distance, 0.03 * material.scale, 0.1 * material.scale, 0.55, 0.0)
    color = graph.mix(rust, made.color, material.colors[2])
    return Surface(
        graph.mix(nail, color, (0.055, 0.05, 0.047)),
        height=graph.math("SUBTRACT", made.height, nail * 0.3, clamp=True),
        roughness=made.roughness,
        coat=made.coat,
        coat_roughness=made.coat_roughness,
    )


@family(
    3,
    (0.45, 1.0),
    natural=_wood_colors,
    parameters=lambda rng: _finish(rng) | {"rays": uniform(rng, 0.0, 0.5)},
    roughness=(0.35, 0.85),
    relief=(0.006, 0.025),
)
def veneer(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """One piece of wood with its rings, pores and rays, varnished or raw."""
    grain = _sawn(graph, at.solid, material, material.scale)
    # Rays: short light flecks across the fibres, seen where the saw met them.
    flecks = graph.noise(graph.vector("MULTIPLY", at.solid, (0.5, 1.6, 1.0)), 24.0 / material.scale, detail=2.0)
    rays = graph.ramp(flecks, 0.58, 0.68) * material.parameters["rays"]
    color = graph.mix(rays, grain.color, graph.shade(material.colors[0], 1.1))
    return Surface(
        color,
        height=grain.height,
        coat=material.parameters["coat"],
        coat_roughness=material.parameters["coat_roughness"],
    )


@dataclass(frozen=True)
class _Stave:
    """Where a point lies in its stave, in widths of one: from its lower end, and from its side."""

    name: Socket
    along: Socket
    across: Socket


def _herringbone(graph: Graph, x: Socket, y: Socket, count: float) -> _Stave:
    """Staves of one by ``count``, laid upon one another's ends at right angles."""
    column, row = graph.math("FLOOR", x), graph.math("FLOOR", y)
    # Along a row, and down a column, staves of both directions alternate every ``count`` squares.
    step = (column - row) % (2.0 * count)
    upright = step > count - 0.5
    u, v = x - column, y - row
    back = graph.mix_number(upright, step, 2.0 * count - 1.0 - step)
    along = back + graph.mix_number(upright, u, v)
    start_x = column - graph.mix_number(upright, back, 0.0)
    start_y = row - graph.mix_number(upright, 0.0, back)
    return _Stave(graph.combine(start_x, start_y, upright), along, graph.mix_number(upright, v, u))


def _mosaic(graph: Graph, x: Socket, y: Socket, count: float) -> _Stave:
    """Squares of ``count`` staves, lying and standing by turns."""
    column = graph.math("FLOOR", x / count)
    row = graph.math("FLOOR", y / count)
    upright = (column + row) % 2.0
    u, v = x % count, y % count
    side = graph.mix_number(upright, v, u)
    stave = graph.math("FLOOR", side)
    name = graph.combine(column, row, stave + 0.5)
    return _Stave(name, graph.mix_number(upright, u, v), side - stave)


@family(
    3,
    (0.13, 0.28),
    natural=_wood_colors,
    parameters=lambda rng: (
        _finish(rng)
        | {
            "herringbone": float(rng.random() < 0.6),
            "count": choose(rng, (3.0, 4.0, 5.0, 6.0)),
            "gap": uniform(rng, 0.01, 0.035),
            "variation": uniform(rng, 0.4, 1.0),
            "knots": 0.0,
        }
    ),
    roughness=(0.3, 0.75),
    relief=(0.025, 0.08),
)
def parquet(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A floor of small staves, in herringbone or in squares."""
    parameters, width = material.parameters, material.scale
    count = parameters["count"]
    x, y, _ = graph.xyz(graph.vector("SCALE", at.uv, 1.0 / width))
    stave = (_herringbone if parameters["herringbone"] else _mosaic)(graph, x, y, count)
    end = graph.math("MINIMUM", stave.along, count - stave.along)
    side = graph.math("MINIMUM", stave.across, 1.0 - stave.across)
    along, across = stave.along * width, stave.across * width
    grain = _laid(graph, material, stave.name, along, across, 1.6 * width)
    return _gap_and_wear(graph, at, material, grain, graph.math("MINIMUM", end, side), parameters["gap"], 0.3)


@family(
    3,
    (0.3, 0.65),
    natural=palettes(
        ("#d8b98a", "#b08352", "#54402f"),
        ("#c99e6b", "#94633a", "#40312a"),
        ("#e0cda8", "#bf9a68", "#8d857b"),
        ("#b3a897", "#857a6b", "#4b443d"),
        ("#c08457", "#8a4f31", "#3c2c25"),
    ),
    parameters=lambda rng: {
        "rings": uniform(rng, 5.0, 12.0),
        "contrast": uniform(rng, 0.4, 0.9),
        "cracks": uniform(rng, 0.0, 0.06),
        "randomness": uniform(rng, 0.15, 0.5),
    },
    roughness=(0.7, 0.98),
    specular=(0.1, 0.35),
    relief=(0.15, 0.4),
    displaced=True,
    weight=0.6,
)
def logs(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Stacked logs from their sawn ends: rings around the pith, heart and sap wood, cracks, bark, soil between."""
    parameters, scale = material.parameters, material.scale
    plan = graph.vector("MULTIPLY", graph.warp(at.uv, 2.2 / scale, 0.08 * scale), (1.0, 1.0, 0.0))
    randomness = parameters["randomness"]
    found = graph.voronoi(plan, 1.0 / scale, randomness=randomness, voronoi_dimensions="2D").outputs
    border = graph.voronoi(plan, 1.0 / scale, "DISTANCE_TO_EDGE", randomness, voronoi_dimensions="2D").outputs[0]
    tone, light, _ = graph.xyz(found[1])
    radius = found[0]
    # Round logs, flattened a little where they touch.
    edge = graph.math("MINIMUM", border, graph.ramp(tone, 0.0, 1.0, 0.48, 0.64) - radius)
    ends = graph.ramp(edge, 0.06, 0.08)
    bark = graph.ramp(edge, 0.005, 0.02)
    around = graph.vector("NORMALIZE", graph.vector("SUBTRACT", plan, found[2]), (0.0, 0.0, 0.0))
    ring = graph.math("FRACT", radius * (parameters["rings"] * 2.0))
    late = ring**2.0 * parameters["contrast"]
    heart = graph.ramp(radius + tone * 0.15, 0.25, 0.33, 0.45, 0.0)
    saw = graph.noise(graph.vector("MULTIPLY", at.uv, (1.0, 0.12, 1.0)), 30.0 / scale, detail=3.0)
    face = graph.mix(late + heart, material.colors[0], material.colors[1])
    face = graph.shade(face, graph.ramp(saw, 0.3, 0.7, 0.85, 1.1))
    face = graph.shade(face, graph.ramp(light, 0.0, 1.0, 0.75, 1.1))
    # A crack lies where the direction from the pith falls into a thin band of a noise over directions.
    direction = graph.vector("ADD", around, graph.vector("SCALE", found[1], 30.0))
    split = abs(graph.noise(direction, 1.4, detail=2.0) - 0.5)
    width = graph.ramp(radius, 0.05, 0.5, 0.2, 1.0)
    crack = split < width * (0.5 * parameters["cracks"])
    rough = graph.noise(at.uv, 14.0 / scale, detail=4.0, roughness=0.65)
    rind = graph.shade(material.colors[2], graph.ramp(rough, 0.3, 0.7, 0.7, 1.25))
    soil = graph.shade(material.colors[2], 0.45)
    face = graph.mix(crack * 0.8, face, soil)
    depth = graph.ramp(light, 0.0, 1.0, 0.65, 0.9)
    top = depth - crack * 0.25
    top = top + saw * 0.08
    rim = depth * 0.8 + rough * 0.2
    height = graph.mix_number(ends, rim, top) * graph.ramp(edge, -0.02, 0.03)
    return Surface(graph.mix(bark, soil, graph.mix(ends, rind, face)), height=height)


@family(
    4,
    (0.18, 0.4),
    natural=palettes(
        ("#8a7460", "#6a5646", "#3b2f27", "#8d9479"),
        ("#a39787", "#7d7164", "#463d35", "#a9ad94"),
        ("#9a6a48", "#74492f", "#42291d", "#7d8361"),
        ("#6f6860", "#544d46", "#302b27", "#77825c"),
        ("#b9b0a2", "#8f8578", "#4f473f", "#b5b48a"),
    ),
    parameters=lambda rng: {
        "stretch": uniform(rng, 0.15, 0.36),
        "furrow": uniform(rng, 0.1, 0.28),
        "lichen": choose(rng, (0.0, uniform(rng, 0.3, 1.0)), (1.0, 1.0)),
    },
    roughness=(0.75, 0.98),
    specular=(0.1, 0.35),
    relief=(0.15, 0.4),
    displaced=True,
)
def bark(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Bark: long plates of many scales between deep, dark furrows; lichen on some."""
    parameters, scale = material.parameters, material.scale
    warp = graph.vector("SUBTRACT", graph.noise_color(at.solid, 2.0 / scale, 4.0), (0.5, 0.5, 0.5))
    long = graph.vector("MULTIPLY", at.solid, (parameters["stretch"], 1.0, 1.0))
    long = graph.vector("ADD", long, graph.vector("SCALE", warp, 0.55 * scale))
    edge = graph.voronoi(long, 1.0 / scale, "DISTANCE_TO_EDGE").outputs[0]
    flakes = graph.noise(long, 5.0 / scale, detail=5.0, roughness=0.68)
    ridge = graph.ramp(edge, 0.0, parameters["furrow"])
    broad = graph.noise(at.solid, 0.6 / scale, detail=2.0)
    color = graph.mix(graph.ramp(flakes, 0.36, 0.64), material.colors[1], material.colors[0])
    color = graph.shade(color, graph.ramp(broad, 0.3, 0.7, 0.72, 1.12))
    color = graph.mix(graph.ramp(ridge, 0.1, 0.65, 0.9, 0.0), color, material.colors[2])
    if parameters["lichen"]:
        patches = graph.noise(at.solid, 2.2 / scale, detail=5.0, roughness=0.75)
        grows = graph.ramp(patches, 0.55, 0.62) * graph.ramp(ridge, 0.4, 0.9)
        color = graph.mix(grows * (0.8 * parameters["lichen"]), color, material.colors[3])
    height = ridge**0.7 * graph.ramp(flakes, 0.25, 0.75, 0.55, 1.0)
    return Surface(color, height=height)


FAMILIES = (planks, veneer, parquet, logs, bark)
