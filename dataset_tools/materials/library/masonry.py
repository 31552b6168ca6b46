# SPDX-License-Identifier: GPL-3.0-or-later
"""Laid walls and floors: brick, tile, cobbles, flagstones."""

from __future__ import annotations

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface


def _roughened(graph: Graph, at: Coordinates, material: Material, height: Socket, share: float) -> Socket:
    """A height with fine noise over it, still in [0, 1]."""
    grain = graph.noise(at.solid, 9.0 / material.scale, detail=4.0, roughness=0.65)
    return height * (1.0 - share) + grain * share


@family(
    3,
    (0.2, 0.42),
    natural=palettes(
        ("#9c5a3c", "#7d4230", "#b5aea2"),
        ("#b87a58", "#96573f", "#8d877c"),
        ("#8a8378", "#6f6a62", "#b9b4aa"),
        ("#d9cfbd", "#bfae93", "#8f887a"),
        ("#6b4a3d", "#4f352c", "#a39c90"),
    ),
    parameters=lambda rng: {
        "aspect": uniform(rng, 1.8, 3.2),
        "mortar": uniform(rng, 0.03, 0.07),
        "variation": uniform(rng, 0.3, 1.0),
    },
    roughness=(0.6, 0.95),
    specular=(0.15, 0.45),
    relief=(0.05, 0.16),
    displaced=True,
)
def bricks(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A running bond: each brick of its own tone, stained, with worn edges and recessed, sandy joints."""
    parameters = material.parameters
    # Hand-made edges: the plan itself is a little crooked.
    plan = graph.warp(at.uv, 4.0 / material.scale, 0.04 * material.scale)
    found = blocks(graph, plan, material.scale * parameters["aspect"], material.scale, shift=0.5)
    tone, light, _ = graph.xyz(graph.random(found.name))
    face = graph.mix(tone * parameters["variation"], material.colors[0], material.colors[1])
    stains = graph.noise(at.solid, 2.5 / material.scale, detail=5.0, roughness=0.65)
    face = graph.shade(face, graph.ramp(light, 0.0, 1.0, 0.85, 1.15) * graph.ramp(stains, 0.2, 0.8, 0.75, 1.2))
    gap = material.scale * parameters["mortar"]
    inside = graph.ramp(found.edge, gap, gap * 1.6)
    grain = graph.noise(at.solid, 20.0 / material.scale, detail=2.0)
    joint = graph.shade(material.colors[2], graph.ramp(grain, 0.25, 0.75, 0.75, 1.15))
    height = graph.ramp(found.edge, gap * 0.8, gap * 2.6)
    return Surface(
        graph.mix(inside, joint, face),
        height=_roughened(graph, at, material, height, 0.18),
        roughness=graph.ramp(inside, 0.0, 1.0, 0.95, material.roughness),
    )


@family(
    3,
    (0.22, 0.6),
    natural=palettes(
        ("#e6e4dc", "#d9d6cc", "#a09b92"),
        ("#efece4", "#3a3a3d", "#8a8780"),
        ("#3f6f8f", "#6fa0b8", "#d8d5cc"),
        ("#4f7f6a", "#86ab8d", "#cfcabd"),
        ("#b4654a", "#9a5038", "#bfb6a6"),
        ("#d8c29a", "#c3a878", "#8f8570"),
        ("#2f4a6b", "#28405c", "#c9c6bf"),
        ("#8f8f8c", "#a3a19c", "#d5d2ca"),
        ("#d8b9b4", "#e6d3cc", "#eae6e0"),
    ),
    parameters=lambda rng: {
        "aspect": choose(rng, (1.0, 1.5, 2.0, 3.0), (5.0, 1.0, 2.0, 1.0)),
        "shift": choose(rng, (0.0, 0.5), (3.0, 1.0)),
        "joint": uniform(rng, 0.008, 0.03),
        "chess": float(rng.random() < 0.25),
        "variation": uniform(rng, 0.0, 1.0) ** 1.5,
        "tilt": uniform(rng, 0.0, 0.6),
        "dirt": uniform(rng, 0.0, 1.0),
    },
    roughness=(0.05, 0.35),
    specular=(0.35, 0.65),
    relief=(0.015, 0.04),
)
def tiles(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Glazed ceramic in a grid: cushioned edges, each tile a little askew, so that each one mirrors something else."""
    parameters, size = material.parameters, material.scale
    width = size * parameters["aspect"]
    found = blocks(graph, at.uv, width, size, shift=parameters["shift"])
    tone, lean, light = graph.xyz(graph.random(found.name))
    cloud = graph.noise(at.solid, 2.0 / size, detail=4.0, roughness=0.6)
    if parameters["chess"]:
        column, row, _ = graph.xyz(found.name)
        share = (column + row) % 2.0
    else:
        share = tone * parameters["variation"]
        share = share + graph.ramp(cloud, 0.3, 0.7, -0.15, 0.25)
    shown = graph.mix(share, material.colors[0], material.colors[1])
    shown = graph.shade(shown, graph.ramp(light, 0.0, 1.0, 0.95, 1.05))
    gap = size * parameters["joint"]
    inside = graph.ramp(found.edge, gap * 0.8, gap * 1.2)
    dirt = graph.noise(at.solid, 1.1 / size, detail=5.0, roughness=0.65)
    grey = graph.ramp(dirt, 0.35, 0.65) * parameters["dirt"]
    joint = graph.shade(material.colors[2], graph.ramp(grey, 0.0, 1.0, 1.05, 0.55))
    # The cushion falls off over the glaze's rounded rim; the tilt turns the whole face by a degree or two.
    rim = graph.ramp(found.edge, gap * 0.8, gap * 0.8 + 0.06 * size) ** 0.4
    slope_x = found.x * graph.ramp(lean, 0.0, 1.0, -1.0 / width, 1.0 / width)
    slope_y = found.y * graph.ramp(tone, 0.0, 1.0, -1.0 / size, 1.0 / size)
    tilt = (slope_x + slope_y) * (0.25 * parameters["tilt"])
    waves = graph.noise(at.solid, 5.0 / size, detail=1.0)
    face = tilt + 0.65 + waves * 0.12
    dull = material.roughness + grey * 0.12
    return Surface(
        graph.mix(inside, joint, shown),
        height=face * rim,
        roughness=graph.mix_number(inside, 0.9, dull),
        specular=graph.mix_number(inside, 0.15, material.specular),
    )


def _stones(graph: Graph, plan: Socket, material: Material, shift: float, loose: float) -> tuple[Socket, Socket]:
    """Stones in rows, or polygons where the material has none: the distance to the nearest edge as a share of the
    stone's size, and a random colour that is the stone's own."""
    size = material.scale
    if material.parameters["rows"]:
        found = blocks(graph, plan, size * material.parameters["aspect"], size, shift=shift)
        return found.edge / size, graph.random(found.name)
    edge = graph.voronoi(plan, 1.0 / size, "DISTANCE_TO_EDGE", randomness=loose, voronoi_dimensions="2D").outputs[0]
    return edge, graph.voronoi(plan, 1.0 / size, randomness=loose, voronoi_dimensions="2D").outputs[1]


@family(
    3,
    (0.2, 0.4),
    natural=palettes(
        ("#8c8880", "#6a6763", "#5a5044"),
        ("#77746f", "#9a958c", "#6f6453"),
        ("#a08b74", "#7c6a5a", "#5e5140"),
        ("#6a6d72", "#84858a", "#565a3c"),
        ("#8a7468", "#a39486", "#8c8069"),
        ("#b9ae9b", "#97897a", "#6b6250"),
    ),
    parameters=lambda rng: {
        "rows": float(rng.random() < 0.45),
        "aspect": uniform(rng, 1.0, 1.6),
        "randomness": uniform(rng, 0.45, 0.95),
        "gap": uniform(rng, 0.04, 0.1),
        "worn": uniform(rng, 0.0, 1.0),
        "variation": uniform(rng, 0.5, 1.0),
    },
    roughness=(0.6, 0.9),
    specular=(0.2, 0.5),
    relief=(0.2, 0.4),
    displaced=True,
)
def cobbles(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Rounded paving stones, cut in rows or picked from the field, with tops polished by feet and soil between."""
    parameters, size = material.parameters, material.scale
    plan = graph.warp(at.uv, 2.2 / size, 0.15 * size)
    edge, tint = _stones(graph, plan, material, shift=0.43, loose=parameters["randomness"])
    tone, light, top = graph.xyz(tint)
    grain = graph.noise(at.solid, 6.0 / size, detail=5.0, roughness=0.7)
    share = tone * parameters["variation"] + graph.ramp(grain, 0.3, 0.7, -0.3, 0.3)
    stone = graph.mix(share, material.colors[0], material.colors[1])
    stone = graph.shade(stone, graph.ramp(light, 0.0, 1.0, 0.78, 1.15))
    speckles = graph.noise(at.solid, 30.0 / size, detail=1.0)
    stone = graph.shade(stone, graph.ramp(speckles, 0.3, 0.7, 0.82, 1.15))
    gap = parameters["gap"]
    crumbs = graph.noise(at.solid, 14.0 / size, detail=3.0, roughness=0.6)
    soil = graph.shade(material.colors[2], graph.ramp(crumbs, 0.3, 0.7, 0.7, 1.15))
    # The seam between soil and stone frays.
    seam = edge + graph.ramp(crumbs, 0.3, 0.7, -0.03, 0.03)
    inside = graph.ramp(seam, gap * 0.8, gap * 1.2)
    dome = graph.ramp(edge, gap * 0.7, 0.36) ** 0.55
    body = dome * graph.ramp(top, 0.0, 1.0, 0.66, 0.84)
    relief = grain * 0.13 + crumbs * 0.03
    worn = graph.ramp(dome, 0.6, 1.0) * (0.4 * parameters["worn"])
    return Surface(
        graph.mix(inside, soil, stone),
        height=body + relief,
        roughness=graph.mix_number(inside, 0.95, material.roughness - worn),
        specular=graph.mix_number(inside, 0.1, material.specular),
    )


@family(
    4,
    (0.45, 0.9),
    natural=palettes(
        ("#5d6166", "#474b50", "#6f675b", "#8a8578"),
        ("#b9a583", "#a08a68", "#c9b999", "#8d8372"),
        ("#7a7f78", "#5f675f", "#8f8470", "#a19a8a"),
        ("#9a7f6c", "#7f6a66", "#b59a80", "#77695a"),
        ("#8a8a88", "#a09d96", "#77736c", "#6a6f4a"),
        ("#4d4a52", "#625a5c", "#756a5c", "#9a948a"),
    ),
    parameters=lambda rng: {
        "rows": float(rng.random() < 0.35),
        "aspect": uniform(rng, 1.2, 2.0),
        "gap": uniform(rng, 0.012, 0.04),
        "layers": uniform(rng, 0.2, 1.0),
        "variation": uniform(rng, 0.5, 1.0),
    },
    roughness=(0.4, 0.85),
    specular=(0.2, 0.5),
    relief=(0.02, 0.07),
    displaced=True,
    weight=0.8,
)
def flagstones(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Riven slabs, polygonal or in rows, whose faces step down in thin layers; each slab of its own tone and rust."""
    parameters, size = material.parameters, material.scale
    plan = graph.warp(at.uv, 3.0 / size, 0.045 * size)
    edge, tint = _stones(graph, plan, material, shift=0.37, loose=0.9)
    tone, light, rusty = graph.xyz(tint)
    # Each slab is split from another depth of the quarry: its noise is its own.
    place = graph.vector("ADD", at.solid, graph.vector("SCALE", tint, 7.0 * size))
    rock = graph.noise(place, 1.5 / size, detail=5.0, roughness=0.6)
    share = tone * parameters["variation"] + graph.ramp(rock, 0.3, 0.7, -0.3, 0.3)
    stone = graph.mix(share, material.colors[0], material.colors[1])
    stains = graph.noise(place, 3.0 / size, detail=5.0, roughness=0.7)
    rust = graph.ramp(stains, 0.45, 0.65) * graph.ramp(rusty, 0.3, 0.9, 0.1, 0.9)
    stone = graph.mix(rust, stone, material.colors[2])
    grain = graph.noise(at.solid, 22.0 / size, detail=3.0, roughness=0.6)
    factor = graph.ramp(light, 0.0, 1.0, 0.82, 1.12) * graph.ramp(grain, 0.3, 0.7, 0.85, 1.12)
    gap = parameters["gap"]
    inside = graph.ramp(edge, gap * 0.8, gap * 1.3)
    joint = graph.shade(material.colors[3], graph.ramp(grain, 0.3, 0.7, 0.7, 1.15))
    terraces = graph.math("SNAP", rock + grain * 0.04, 0.06)
    riven = graph.mix_number(parameters["layers"], rock, terraces)
    face = graph.ramp(riven, 0.2, 0.8, 0.55, 0.9) + grain * 0.1
    return Surface(
        graph.mix(inside, joint, graph.shade(stone, factor)),
        height=face * graph.ramp(edge, gap * 0.7, gap * 2.2),
        roughness=graph.mix_number(
            inside, 0.95, graph.ramp(stains, 0.3, 0.7, material.roughness - 0.12, material.roughness)
        ),
        specular=graph.mix_number(inside, 0.1, material.specular),
    )


FAMILIES = (bricks, tiles, cobbles, flagstones)
