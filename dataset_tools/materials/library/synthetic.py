# SPDX-License-Identifier: GPL-3.0-or-later
"""Made of one mass and moulded or glazed: plastic, rubber, linoleum, ceramic, car paint."""

from __future__ import annotations

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface


@family(
    1,
    (0.3, 0.9),
    parameters=lambda rng: {"scuffs": uniform(rng, 0.0, 1.0), "grain": choose(rng, (0.0, uniform(rng, 0.3, 1.0)))},
    roughness=(0.12, 0.55),
    specular=(0.4, 0.6),
    relief=(0.004, 0.02),
    weight=1.5,
)
def plastic(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A moulded sheet with a fine pebbled grain, duller where it is scuffed."""
    cells = graph.voronoi(at.solid, 14.0 / material.scale, feature="SMOOTH_F1").outputs["Distance"]
    scuffs = graph.noise(graph.vector("MULTIPLY", at.solid, (1.0, 2.5, 1.0)), 1.5 / material.scale, detail=5.0)
    worn = graph.ramp(scuffs, 0.5, 0.72) * material.parameters["scuffs"]
    return Surface(
        graph.mix(worn * 0.1, material.colors[0], (0.6, 0.6, 0.6)),
        height=(1.0 - cells) * material.parameters["grain"],
        roughness=graph.ramp(worn, 0.0, 1.0, material.roughness, min(material.roughness + 0.35, 0.9)),
    )


@family(
    1,
    (0.14, 0.3),
    natural=palettes(("#2e2e30",), ("#3a3a3d",), ("#4a4d52",), ("#5b2e2a",), ("#2f4a3a",), ("#31415c",)),
    parameters=lambda rng: {
        "radius": uniform(rng, 0.22, 0.4),
        "stagger": choose(rng, (0.0, 0.5)),
        "dust": uniform(rng, 0.0, 0.5),
    },
    roughness=(0.45, 0.9),
    specular=(0.3, 0.5),
    relief=(0.1, 0.25),
    displaced=True,
    weight=0.7,
)
def rubber(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A studded mat, dusty between the studs."""
    size = material.scale
    found = blocks(graph, at.uv, size, size, shift=material.parameters["stagger"])
    x, y = found.centred(size, size)
    distance = graph.length(graph.combine(x, y))
    radius = size * material.parameters["radius"]
    stud = graph.ramp(distance, radius, radius * 0.75)
    specks = graph.noise(at.solid, 30.0 / size, detail=3.0)
    dust = (1.0 - stud) * graph.ramp(specks, 0.35, 0.75)
    return Surface(
        graph.mix(dust * material.parameters["dust"], material.colors[0], (0.32, 0.3, 0.27)),
        height=stud * 0.9 + specks * 0.1,
    )


@family(
    3,
    (0.4, 1.2),
    natural=palettes(
        ("#8d8a7e", "#6f6c62", "#b4b0a3"),
        ("#7a8b8c", "#5c6d70", "#a3b1b0"),
        ("#a5744e", "#8a5a3a", "#c59a75"),
        ("#5d6b52", "#47543f", "#84917a"),
        ("#93392f", "#732a23", "#b56a5e"),
        ("#3f4550", "#2e333c", "#6d7380"),
    ),
    roughness=(0.25, 0.6),
    specular=(0.3, 0.5),
    relief=(0.001, 0.004),
    weight=0.8,
)
def linoleum(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A marbled sheet: streaks of a darker and a lighter tone drawn out along one direction."""
    drawn = graph.vector("MULTIPLY", at.solid, (1.0, 3.5, 1.0))
    first = graph.noise(drawn, 2.0 / material.scale, detail=5.0, roughness=0.7, distortion=0.6)
    second = graph.noise(drawn, 5.0 / material.scale, detail=4.0, roughness=0.7, distortion=1.0)
    tone = graph.mix(graph.ramp(first, 0.38, 0.62), material.colors[0], material.colors[1])
    wear = graph.noise(at.solid, 1.2 / material.scale, detail=3.0)
    return Surface(
        graph.mix(graph.ramp(second, 0.55, 0.68), tone, material.colors[2]),
        height=graph.noise(at.solid, 40.0 / material.scale, detail=2.0),
        roughness=graph.ramp(wear, 0.3, 0.7, 0.7 * material.roughness, min(1.4 * material.roughness, 0.9)),
    )


@family(
    3,
    (0.4, 1.1),
    natural=palettes(
        ("#e5e0d2", "#b9ad94", "#6b5a45"),
        ("#9fb7b4", "#6d8f8e", "#3f4f4e"),
        ("#3d5f7d", "#28425c", "#1f2c3a"),
        ("#7d8f63", "#59693f", "#3b3a28"),
        ("#a8583a", "#7d3b26", "#3f2a20"),
        ("#c9a25a", "#94702f", "#4a3720"),
    ),
    parameters=lambda rng: {
        "crackle": choose(rng, (0.0, uniform(rng, 0.4, 1.0))),
        "speckle": choose(rng, (0.0, uniform(rng, 0.3, 1.0))),
    },
    roughness=(0.05, 0.25),
    specular=(0.45, 0.65),
    relief=(0.005, 0.03),
)
def ceramic(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A fired glaze that pooled unevenly: crackled, speckled with iron, and mirror smooth."""
    pools = graph.noise(at.solid, 1.0 / material.scale, detail=4.0, distortion=0.5)
    glaze = graph.mix(graph.ramp(pools, 0.35, 0.7), material.colors[0], material.colors[1])
    edge = graph.voronoi(at.solid, 5.0 / material.scale, feature="DISTANCE_TO_EDGE").outputs["Distance"]
    crack = graph.ramp(edge, 0.03, 0.01) * material.parameters["crackle"]
    specks = graph.noise(at.solid, 26.0 / material.scale, detail=1.0)
    iron = graph.ramp(specks, 0.7, 0.76) * material.parameters["speckle"]
    marked = graph.mix(crack * 0.6, glaze, material.colors[2])
    return Surface(graph.mix(iron, marked, material.colors[2]), height=pools)


@family(
    2,
    (0.5, 1.2),
    parameters=lambda rng: {"flakes": uniform(rng, 0.1, 0.6), "dirt": choose(rng, (0.0, uniform(rng, 0.2, 0.8)))},
    roughness=(0.35, 0.7),
    specular=(0.3, 0.5),
    relief=(0.0005, 0.003),
    weight=0.8,
)
def car_paint(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A coat of clear lacquer over a colour with flakes, with or without road dirt."""
    flakes, _, _ = graph.xyz(graph.voronoi(at.solid, 60.0 / material.scale).outputs["Color"])
    strength = graph.ramp(flakes, 0.6, 1.0) * material.parameters["flakes"]
    base = graph.mix(strength * 0.5, material.colors[0], material.colors[1])
    stains = graph.noise(at.solid, 2.0 / material.scale, detail=5.0, roughness=0.7)
    dirt = graph.ramp(stains, 0.48, 0.75) * material.parameters["dirt"]
    return Surface(
        graph.mix(dirt * 0.7, base, (0.2, 0.17, 0.13)),
        height=graph.noise(at.solid, 10.0 / material.scale, detail=1.0),
        coat=1.0 - dirt,
        coat_roughness=graph.ramp(dirt, 0.0, 1.0, 0.03, 0.5),
    )


FAMILIES = (plastic, rubber, linoleum, ceramic, car_paint)
