# SPDX-License-Identifier: GPL-3.0-or-later
"""Matted and grown sheets: leather, paper, cardboard, cork."""

from __future__ import annotations

import numpy as np

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.surface import Coordinates, Surface


def _threadlike(graph: Graph, noise: Socket, width: float) -> Socket:
    """1 on the lines where a noise passes through its mean, falling to 0 at ``width`` from it."""
    return graph.ramp(abs(noise - 0.5), 0.0, width, 1.0, 0.0)


@family(
    2,
    (0.05, 0.12),
    natural=palettes(
        ("#7a4a2b", "#a9764c"),
        ("#5a3524", "#80523a"),
        ("#3f3732", "#64574e"),
        ("#9c6b40", "#c49b6c"),
        ("#7b2f2a", "#a4574a"),
        ("#c9b191", "#e0cfb5"),
        ("#45526a", "#6f7c93"),
        ("#4d5340", "#7a8066"),
    ),
    parameters=lambda rng: {
        "creases": uniform(rng, 0.1, 0.9),
        "wear": uniform(rng, 0.1, 0.8),
        "stretch": uniform(rng, 0.6, 1.0),
        "coat": choose(rng, (0.0, uniform(rng, 0.1, 0.5)), (2.0, 1.0)),
    },
    roughness=(0.3, 0.65),
    specular=(0.35, 0.6),
    relief=(0.08, 0.3),
)
def leather(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A hide: pebbles with fine furrows between, long creases where it was bent, lighter where it is worn."""
    parameters, scale = material.parameters, material.scale
    plan = graph.warp(at.solid, 0.7 / scale, 0.6 * scale)
    plan = graph.vector("MULTIPLY", plan, (parameters["stretch"], 1.0, 1.0))
    # Pebbles: distance to the nearest middle, small furrows where two are equally near.
    pebble = graph.voronoi(plan, 1.0 / scale).outputs
    dome = graph.ramp(pebble[0], 0.15, 0.75, 1.0, 0.0)
    bends = graph.noise(plan, 0.16 / scale, detail=3.0, roughness=0.55)
    crease = _threadlike(graph, bends, 0.028) * parameters["creases"]
    hide = graph.noise(at.solid, 0.12 / scale, detail=5.0, roughness=0.65)
    worn = graph.ramp(hide, 0.42, 0.68) * parameters["wear"]
    color = graph.mix(worn * graph.ramp(dome, 0.0, 0.8, 0.4, 1.0), material.colors[0], material.colors[1])
    color = graph.shade(color, graph.ramp(graph.xyz(pebble[1])[0], 0.0, 1.0, 0.9, 1.06))
    # Dye gathers in the furrows.
    color = graph.shade(color, graph.ramp(dome, 0.0, 0.4, 0.78, 1.0))
    color = graph.shade(color, graph.ramp(crease, 0.0, 1.0, 1.0, 0.75))
    height = dome * graph.ramp(crease, 0.0, 1.0, 0.75, 0.25)
    height = height + (1.0 - crease) * 0.25
    rough = graph.mix_number(worn, material.roughness, min(1.0, 1.3 * material.roughness))
    return Surface(color, height=height, roughness=rough, coat=parameters["coat"], coat_roughness=0.3)


def _ruled(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """Where a printed line runs: across only, or across and down."""
    period = material.parameters["spacing"] * material.scale
    u, v, _ = graph.xyz(at.uv)
    near = graph.math("PINGPONG", v, 0.5 * period)
    if material.parameters["ruling"] == 2.0:
        near = graph.math("MINIMUM", near, graph.math("PINGPONG", u, 0.5 * period))
    return graph.ramp(near, 0.02 * period, 0.045 * period, 0.8, 0.0)


@family(
    3,
    (0.8, 1.6),
    natural=palettes(
        ("#eeeae0", "#b59a6c", "#7f93b5"),
        ("#e6dcc3", "#a5814f", "#8a6a52"),
        ("#f0eeea", "#c9bda6", "#b57a7a"),
        ("#d9c9a3", "#94703f", "#6b5a48"),
        ("#cfd3cf", "#9c9680", "#6c7f8c"),
        ("#d8b9a8", "#9c6f58", "#7a6a76"),
        ("#e3da9c", "#b59a52", "#7d8a9c"),
    ),
    parameters=lambda rng: {
        "stains": uniform(rng, 0.1, 0.8),
        "fibres": uniform(rng, 0.2, 0.7),
        "ruling": choose(rng, (0.0, 1.0, 2.0), (2.0, 1.0, 1.0)),
        "spacing": uniform(rng, 0.09, 0.2),
        "folds": choose(rng, (0.0, uniform(rng, 0.4, 1.0)), (1.0, 1.5)),
    },
    roughness=(0.7, 0.98),
    specular=(0.1, 0.4),
    relief=(0.06, 0.2),
)
def paper(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A sheet with fibres, yellowed and stained, plain, lined or squared, smooth or crumpled and folded flat again."""
    parameters, scale = material.parameters, material.scale
    cloud = graph.noise(at.solid, 3.0 / scale, detail=4.0, roughness=0.6)
    aged = graph.ramp(cloud, 0.4, 0.75) * parameters["stains"]
    color: Value = graph.mix(aged, material.colors[0], material.colors[1])
    # A spill dries with a dark rim.
    spill = graph.noise(at.solid, 1.1 / scale, detail=3.0, roughness=0.45)
    rim = graph.ramp(spill, 0.56, 0.6) * graph.ramp(spill, 0.6, 0.68, 1.0, 0.35)
    color = graph.mix(rim * (0.7 * parameters["stains"]), color, material.colors[1])
    hair = graph.noise(at.solid, 9.0 / scale, detail=1.0, distortion=2.0)
    lines = _threadlike(graph, hair, 0.02) * graph.ramp(graph.noise(at.solid, 8.0 / scale), 0.5, 0.56)
    color = graph.mix(lines * parameters["fibres"], color, graph.shade(material.colors[1], 0.75))
    if parameters["ruling"]:
        color = graph.mix(_ruled(graph, at, material), color, material.colors[2])
    grain = graph.noise(at.solid, 45.0 / scale, detail=3.0, roughness=0.65)
    color = graph.shade(color, graph.ramp(grain, 0.3, 0.7, 0.9, 1.04))
    height: Value = grain * 0.05
    if parameters["folds"]:
        # Facets between sharp folds: cones of two sizes, one upon the other.
        large = graph.voronoi(at.solid, 3.0 / scale).outputs[0]
        moved = graph.vector("ADD", at.solid, graph.vector("SCALE", graph.combine(large, 0.0), 0.25 * scale))
        small = graph.voronoi(moved, 7.0 / scale).outputs[0]
        folds = large * 0.6 + small * 0.25
        height = height + folds * parameters["folds"]
    return Surface(color, height=height)


@family(
    2,
    (0.07, 0.16),
    natural=palettes(
        ("#b08a5e", "#c9a87c"),
        ("#a27c52", "#bd9769"),
        ("#8f6b47", "#ad875c"),
        ("#c4a47a", "#d6bc95"),
        ("#9a948a", "#b3ada2"),
        ("#d8d2c6", "#b59267"),
    ),
    parameters=lambda rng: {
        "flutes": uniform(rng, 0.3, 1.0),
        "specks": uniform(rng, 0.4, 1.0),
        "torn": choose(rng, (0.0, 1.0)),
        "level": uniform(rng, 0.5, 0.6),
    },
    roughness=(0.75, 0.98),
    specular=(0.1, 0.35),
    relief=(0.2, 0.5),
)
def cardboard(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Corrugated board: kraft liner with light and dark fibres through which the flutes show; torn open on some."""
    parameters, scale = material.parameters, material.scale
    u, _, _ = graph.xyz(at.uv)
    flute = graph.math("SINE", u * (2.0 * np.pi / scale))
    flute = graph.ramp(flute, -1.0, 1.0)
    drawn = graph.vector("MULTIPLY", at.uv, (1.0, 0.3, 1.0))
    dark = graph.ramp(graph.noise(drawn, 5.0 / scale, detail=2.0, distortion=1.2), 0.57, 0.66)
    light = graph.ramp(graph.noise(drawn, 6.5 / scale, detail=2.0, distortion=1.0), 0.56, 0.68)
    broad = graph.noise(at.uv, 0.25 / scale, detail=4.0, roughness=0.65)
    color: Value = graph.shade(material.colors[0], graph.ramp(broad, 0.3, 0.7, 0.72, 1.12))
    # Glue dries darker along the tips of the flutes.
    color = graph.shade(color, graph.ramp(flute, 0.6, 1.0, 1.0, 1.0 - 0.1 * parameters["flutes"]))
    height: Value = graph.ramp(flute, 0.0, 1.0, 0.8, 0.8 + 0.16 * parameters["flutes"])
    if parameters["torn"]:
        tear = graph.noise(at.uv, 0.16 / scale, detail=5.0, roughness=0.62, distortion=0.4)
        open_ = graph.ramp(tear, parameters["level"], parameters["level"] + 0.012)
        fringe = graph.ramp(tear, parameters["level"] - 0.02, parameters["level"]) * 0.8
        color = graph.mix(fringe, color, graph.shade(material.colors[1], 1.12))
        inner = graph.shade(material.colors[1], graph.ramp(flute, 0.0, 1.0, 0.75, 1.0))
        color = graph.mix(open_, color, inner)
        height = graph.mix_number(open_, height, flute * 0.72)
    color = graph.shade(color, graph.ramp(dark, 0.0, 1.0, 1.0, 1.0 - 0.45 * parameters["specks"]))
    color = graph.mix(light * (0.5 * parameters["specks"]), color, graph.shade(material.colors[1], 1.15))
    grain = graph.noise(at.uv, 12.0 / scale, detail=3.0, roughness=0.65)
    height = height + graph.ramp(grain, 0.25, 0.75, 0.0, 0.04)
    return Surface(color, height=height)


@family(
    3,
    (0.06, 0.14),
    natural=palettes(
        ("#c49a6a", "#a37748", "#553a26"),
        ("#b98a58", "#d0a878", "#4a3222"),
        ("#a87b50", "#866040", "#3d2b20"),
        ("#d6b488", "#b98f60", "#6b4c33"),
        ("#7d5a40", "#5f432f", "#2f221b"),
    ),
    parameters=lambda rng: {
        "variation": uniform(rng, 0.4, 1.0),
        "pits": uniform(rng, 0.3, 1.0),
        "specks": uniform(rng, 0.57, 0.64),
    },
    roughness=(0.7, 0.95),
    specular=(0.1, 0.35),
    relief=(0.08, 0.3),
)
def cork(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Pressed granules of bark: light and dark grains of two sizes, dark crumbs and pits between."""
    parameters, scale = material.parameters, material.scale
    plan = graph.warp(at.solid, 2.0 / scale, 0.35 * scale, detail=3.0)
    grains = graph.voronoi(plan, 1.0 / scale).outputs
    pick, light, deep = graph.xyz(grains[1])
    fine = graph.noise(plan, 6.0 / scale, detail=4.0, roughness=0.7)
    color = graph.mix(pick * parameters["variation"], material.colors[0], material.colors[1])
    color = graph.shade(color, graph.ramp(light, 0.0, 1.0, 0.82, 1.1) * graph.ramp(fine, 0.3, 0.7, 0.8, 1.12))
    crumbs = graph.noise(plan, 2.6 / scale, detail=3.0, roughness=0.6)
    dark = graph.ramp(crumbs, parameters["specks"], parameters["specks"] + 0.04)
    # Some whole granules are of dark outer bark.
    dark = graph.math("MAXIMUM", dark, (deep > 0.93) * 0.75)
    color = graph.mix(dark * 0.85, color, material.colors[2])
    dome = graph.ramp(grains[0], 0.3, 0.8, 1.0, 0.55)
    height = dome * graph.ramp(fine, 0.25, 0.75, 0.75, 1.0)
    height = graph.math("SUBTRACT", height, dark * (0.5 * parameters["pits"]), clamp=True)
    return Surface(color, height=height)


FAMILIES = (leather, paper, cardboard, cork)
