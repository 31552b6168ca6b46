# SPDX-License-Identifier: GPL-3.0-or-later
"""Metal: painted and chipped, rusted, brushed, tread plate. Where it is bare its diffuse colour is zero."""

from __future__ import annotations

import numpy as np

from dataset_tools.description.covering import Color, Material
from dataset_tools.description.sampling import natural, palette, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface

_RUST = (0.16, 0.055, 0.02)
_PALE_RUST = (0.36, 0.15, 0.05)


def rust_color(graph: Graph, at: Coordinates, scale: float) -> Socket:
    """The colour of rust: dark crust and orange bloom."""
    bloom = graph.noise(at.solid, 9.0 / scale, detail=5.0, roughness=0.7)
    return graph.mix(graph.ramp(bloom, 0.35, 0.65), _RUST, _PALE_RUST)


@family(
    1,
    (0.4, 1.2),
    parameters=lambda rng: {"wear": uniform(rng, 0.0, 0.5), "streaks": uniform(rng, 0.0, 0.6)},
    roughness=(0.2, 0.6),
    specular=(0.4, 0.6),
    relief=(0.002, 0.01),
)
def painted_metal(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Enamel that chips off over rust, which runs down in streaks."""
    scale = material.scale
    coarse = graph.noise(at.solid, 1.6 / scale, detail=5.0, roughness=0.72)
    # 0.3 to 0.7 holds nearly all of the noise: wear moves the level at which the paint gives way.
    level = 0.76 - 0.3 * material.parameters["wear"]
    chipped = graph.ramp(coarse, level, level + 0.012)
    rim = graph.ramp(coarse, level - 0.06, level)
    drawn = graph.noise(graph.vector("MULTIPLY", at.solid, (7.0, 0.6, 7.0)), 1.0 / scale, detail=3.0)
    streaks = graph.ramp(drawn, 0.52, 0.75) * material.parameters["streaks"]
    fade = graph.noise(at.solid, 0.8 / scale, detail=2.0)
    paint = graph.shade(material.colors[0], graph.ramp(fade, 0.3, 0.7, 0.88, 1.08))
    stained = graph.mix(graph.math("MAXIMUM", streaks, rim) * 0.5, paint, _PALE_RUST)
    grain = graph.noise(at.solid, 40.0 / scale, detail=2.0)
    return Surface(
        graph.mix(chipped, stained, rust_color(graph, at, scale)),
        height=graph.mix_number(chipped, graph.ramp(grain, 0.0, 1.0, 0.92, 1.0), graph.ramp(grain, 0.0, 1.0, 0.2, 0.6)),
        roughness=graph.ramp(chipped, 0.0, 1.0, material.roughness, 0.95),
    )


_steel_colors = palettes(("#b9b9bb",), ("#a3a19d",), ("#c9c2b4",), ("#8e8f92",), ("#c9925e",), ("#d0b16a",))


@family(
    1,
    (0.4, 1.2),
    natural=_steel_colors,
    parameters=lambda rng: {"rust": uniform(rng, 0.25, 0.75)},
    roughness=(0.25, 0.5),
    relief=(0.003, 0.015),
    metal=True,
)
def rusted_metal(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Bare steel under patches of rust, scratched."""
    scale = material.scale
    patches = graph.noise(at.solid, 1.3 / scale, detail=5.0, roughness=0.75)
    level = 0.5 + 0.3 * (0.5 - material.parameters["rust"])
    bare = graph.ramp(patches, level + 0.04, level - 0.04)
    scratches = graph.noise(graph.vector("MULTIPLY", at.solid, (1.0, 30.0, 1.0)), 4.0 / scale, detail=3.0)
    steel = graph.shade(material.colors[0], graph.ramp(scratches, 0.3, 0.7, 0.8, 1.1))
    return Surface(
        graph.mix(bare, rust_color(graph, at, scale), steel),
        height=1.0 - bare,
        roughness=graph.ramp(bare, 0.0, 1.0, 0.95, material.roughness),
        metallic=bare,
    )


@family(1, (0.4, 1.0), natural=_steel_colors, roughness=(0.2, 0.5), relief=(0.0003, 0.001), metal=True)
def brushed_metal(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A rolled sheet with fine scratches along one direction, and fingerprints of dust."""
    scale = material.scale
    lines = graph.noise(graph.vector("MULTIPLY", at.solid, (1.0, 60.0, 1.0)), 3.0 / scale, detail=4.0, roughness=0.7)
    smudges = graph.noise(at.solid, 1.5 / scale, detail=4.0)
    return Surface(
        graph.shade(material.colors[0], graph.ramp(lines, 0.3, 0.7, 0.85, 1.1)),
        height=lines,
        roughness=material.roughness + graph.ramp(smudges, 0.4, 0.7, 0.0, 0.2),
        metallic=1.0,
    )


def _tread_colors(rng: np.random.Generator) -> tuple[Color, ...]:
    grey = natural(rng, ("#8a8c8e",), ("#6f7274",), ("#9a968d",))
    return grey if rng.random() < 0.6 else palette(rng, 1)


@family(
    1,
    (0.2, 0.4),
    natural=_tread_colors,
    roughness=(0.3, 0.7),
    specular=(0.4, 0.6),
    relief=(0.04, 0.1),
    displaced=True,
    weight=0.7,
)
def tread_plate(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A painted checker plate: raised lozenges turned in alternate directions, worn where feet step."""
    size = material.scale
    found = blocks(graph, at.uv, size, size)
    column, row, _ = graph.xyz(found.name)
    turned = (column + row) % 2.0
    x, y = found.centred(size, size)
    along = graph.mix_number(turned, x + y, x - y)
    across = graph.mix_number(turned, x - y, x + y)
    # A lozenge: half as wide as long would be 0.5; the ridge of a real one is slimmer.
    shape = graph.length(graph.combine(along, across * 3.2))
    ridge = graph.ramp(shape, 0.62 * size, 0.4 * size)
    dirt = graph.noise(at.solid, 3.0 / size, detail=5.0, roughness=0.7)
    worn = (1.0 - ridge) * graph.ramp(dirt, 0.35, 0.75)
    return Surface(graph.mix(worn * 0.55, material.colors[0], (0.12, 0.1, 0.08)), height=ridge * 0.9 + dirt * 0.1)


FAMILIES = (painted_metal, rusted_metal, brushed_metal, tread_plate)
