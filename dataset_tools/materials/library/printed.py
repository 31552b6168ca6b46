# SPDX-License-Identifier: GPL-3.0-or-later
"""Printed and painted figures: signs, emblems, lettering, camouflage, road marks."""

from __future__ import annotations

import math

import numpy as np

from dataset_tools.description.covering import Color, Material
from dataset_tools.description.sampling import choose, natural, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface


def _polygon(graph: Graph, x: Socket, y: Socket, corners: float) -> Socket:
    """Distance to the middle of a regular polygon, measured so that the polygon of radius r is where it is below r.

    The radius is that of the inscribed circle; one corner points up. Fewer than three corners give a circle.
    """
    length = graph.length(graph.combine(x, y))
    if corners < 3.0:
        return length
    angle = graph.math("ARCTAN2", x, y)
    side = 2.0 * math.pi / corners
    from_corner = angle % side
    return length * graph.math("COSINE", from_corner - 0.5 * side)


def emblem(graph: Graph, x: Socket, y: Socket, size: float, name: Socket) -> Socket:
    """1 on a figure of 5 × 7 random dots about (0, 0), alike left and right; every ``name`` has its own."""
    step = size / 7.0
    column = graph.math("FLOOR", abs(x) / step + 0.5)
    row = graph.math("FLOOR", (y + 0.5 * size) / step)
    key = graph.vector("ADD", graph.vector("SCALE", name, 17.0), graph.combine(column, row, 5.0))
    chance, _, _ = graph.xyz(graph.random(key))
    dot = chance > 0.45
    inside = column < 2.5
    for bound in (row > -0.5, row < 6.5):
        inside = inside * bound
    return dot * inside


def _scuffed(graph: Graph, at: Coordinates, material: Material, color: Socket) -> Surface:
    """A printed or enamelled sheet with a little wear."""
    wear = graph.noise(at.solid, 2.5 / material.scale, detail=5.0, roughness=0.7)
    worn = graph.ramp(wear, 0.55, 0.8) * material.parameters["wear"]
    return Surface(
        graph.mix(worn * 0.6, color, (0.25, 0.23, 0.2)),
        height=wear,
        roughness=graph.ramp(worn, 0.0, 1.0, material.roughness, 0.85),
    )


def _sign_colors(rng: np.random.Generator) -> tuple[Color, ...]:
    """Ground, border, field and figure."""
    panel = natural(rng, ("#8a8d90",), ("#6d5a4c",), ("#d9d6cc",), ("#4a5055",), ("#9b8f7c",))
    sign = natural(
        rng,
        ("#2b2a2b", "#e79a2c", "#2b2a2b"),
        ("#2b2a2b", "#eed03a", "#2b2a2b"),
        ("#b8292f", "#ece9e0", "#2b2a2b"),
        ("#e9e6df", "#2c5ca5", "#e9e6df"),
        ("#e9e6df", "#2f7d4f", "#e9e6df"),
        ("#e9e6df", "#b8292f", "#e9e6df"),
    )
    return (*panel, *sign)


@family(
    4,
    (1.1, 2.4),
    natural=_sign_colors,
    parameters=lambda rng: {
        "corners": choose(rng, (0.0, 3.0, 4.0, 8.0), (2.0, 3.0, 2.0, 1.0)),
        "radius": uniform(rng, 0.17, 0.25),
        "border": uniform(rng, 0.04, 0.22),
        "glyph": uniform(rng, 0.7, 1.1),
        "wear": uniform(rng, 0.0, 0.7),
    },
    roughness=(0.15, 0.5),
    specular=(0.4, 0.6),
    relief=(0.0005, 0.002),
    weight=1.2,
)
def sign(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A bordered sign with a figure on a plain panel."""
    size, parameters = material.scale, material.parameters
    found = blocks(graph, at.uv, size, size)
    x, y = found.centred(size, size)
    radius = size * parameters["radius"]
    reach = _polygon(graph, x, y, parameters["corners"])
    plate = reach < radius
    field = reach < radius * (1.0 - parameters["border"])
    figure = emblem(graph, x, y, radius * parameters["glyph"], found.name)
    panel, border, ground, ink = material.colors
    drawn = graph.mix(figure * field, graph.mix(field, border, ground), ink)
    return _scuffed(graph, at, material, graph.mix(plate, panel, drawn))


def _print(rng: np.random.Generator) -> dict[str, float]:
    return {"wear": uniform(rng, 0.0, 0.5), "lines": uniform(rng, 0.5, 0.72)}


@family(
    2,
    (0.1, 0.35),
    natural=palettes(
        ("#e8e2d2", "#2e2b29"),
        ("#d9cfb4", "#3a2f28"),
        ("#ebe9e4", "#20304f"),
        ("#c8a877", "#3b2a1c"),
        ("#2c4a73", "#e6e2d6"),
        ("#ece8df", "#a3272b"),
    ),
    parameters=_print,
    roughness=(0.3, 0.9),
    specular=(0.2, 0.5),
    relief=(0.001, 0.01),
)
def lettering(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Lines of words in random letters: print that no one can read."""
    line = material.scale
    letter = 0.55 * line
    found = blocks(graph, at.uv, letter, line, shift=0.37)
    word = graph.vector("FLOOR", graph.vector("MULTIPLY", found.name, (0.23, 1.0, 1.0)), (0.0, 0.0, 0.0))
    _, space, _ = graph.xyz(graph.random(graph.vector("ADD", found.name, (0.5, 0.5, 3.0))))
    written, _, _ = graph.xyz(graph.random(word))
    high = line * material.parameters["lines"]
    x, y = found.centred(letter, line)
    dots = emblem(graph, x, y, high, found.name)
    ink = dots * (space > 0.14)
    ink = ink * (written > 0.12)
    return _scuffed(graph, at, material, graph.mix(ink, material.colors[0], material.colors[1]))


@family(3, (0.25, 0.6), parameters=_print, roughness=(0.3, 0.9), specular=(0.2, 0.5), relief=(0.001, 0.005), weight=0.8)
def emblems(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A wallpaper or wrapping of figures in rows, each of them another, in two inks."""
    size = material.scale
    found = blocks(graph, at.uv, size, size, shift=0.5)
    x, y = found.centred(size, size)
    figure = emblem(graph, x, y, 0.72 * size, found.name)
    _, which, _ = graph.xyz(graph.random(found.name))
    ink = graph.mix(which > 0.6, material.colors[1], material.colors[2])
    return _scuffed(graph, at, material, graph.mix(figure, material.colors[0], ink))


@family(
    4,
    (0.25, 0.7),
    natural=palettes(
        ("#6a6b47", "#3f4a33", "#8c7b58", "#2f2d27"),
        ("#b59d74", "#8d724d", "#cdbd98", "#6a5439"),
        ("#8f9698", "#5c6469", "#c3c8c8", "#363b40"),
        ("#48688a", "#2f4560", "#8fa6b8", "#1f2a3a"),
    ),
    parameters=_print,
    roughness=(0.6, 0.95),
    specular=(0.1, 0.3),
    relief=(0.002, 0.01),
    weight=0.7,
)
def camouflage(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Patches of four colours with clean outlines."""
    color: Value = material.colors[0]
    for number, ink in enumerate(material.colors[1:]):
        moved = graph.vector("ADD", at.solid, (7.3 * number, 3.1, 11.7 * number))
        patches = graph.noise(moved, 1.0 / material.scale, detail=2.0, roughness=0.55, distortion=0.4)
        color = graph.mix(graph.ramp(patches, 0.555, 0.565), color, ink)
    return _scuffed(graph, at, material, color)


@family(
    2,
    (0.35, 1.0),
    natural=palettes(("#3c3c3e", "#e9e7e0"), ("#4d4b48", "#e3c54a"), ("#5a5855", "#d8d5cc"), ("#2e2f31", "#d06a2c")),
    parameters=lambda rng: {
        "duty": uniform(rng, 0.25, 0.6),
        "wear": uniform(rng, 0.2, 0.9),
        "slant": choose(rng, (0.0, 1.0)),
    },
    roughness=(0.4, 0.8),
    specular=(0.2, 0.5),
    relief=(0.01, 0.04),
    weight=0.8,
)
def hazard_stripes(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Broad painted bars, worn off in places down to a rough dark ground."""
    size = material.scale
    u, v, _ = graph.xyz(at.uv)
    slanted = u + v * material.parameters["slant"]
    bar = graph.math("FRACT", slanted / size) < material.parameters["duty"]
    grain = graph.noise(at.solid, 12.0 / size, detail=5.0, roughness=0.75)
    level = 0.72 - 0.22 * material.parameters["wear"]
    paint = bar * graph.ramp(grain, level + 0.02, level)
    ground = graph.shade(material.colors[0], graph.ramp(grain, 0.3, 0.7, 0.75, 1.3))
    return Surface(
        graph.mix(paint, ground, material.colors[1]),
        height=grain * graph.ramp(paint, 0.0, 1.0, 1.0, 0.6),
        roughness=graph.ramp(paint, 0.0, 1.0, 0.95, material.roughness),
    )


FAMILIES = (sign, lettering, emblems, camouflage, hazard_stripes)
