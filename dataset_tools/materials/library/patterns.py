# SPDX-License-Identifier: GPL-3.0-or-later
"""Flat patterns in any colours: paint, checks, stripes, dots, zigzag."""

from __future__ import annotations

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.materials.surface import Coordinates, Surface


@family(1, (1.0, 1.0), weight=3.0)
def paint(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """One even colour."""
    return Surface(material.colors[0])


@family(2, (0.33, 0.75))
def checker(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Squares of two colours; on round shapes as on a globe."""
    u, v, _ = graph.xyz(at.uv)
    across = graph.math("FLOOR", u / material.scale)
    along = graph.math("FLOOR", v / material.scale)
    parity = (across + along) % 2.0
    return Surface(graph.mix(parity, material.colors[0], material.colors[1]))


def _fraction(graph: Graph, value: Socket, period: float) -> Socket:
    """Position inside the current period, [0, 1)."""
    return graph.math("FRACT", value / period)


@family(2, (0.35, 0.8), parameters=lambda rng: {"duty": uniform(rng, 0.3, 0.7)})
def stripes(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Even bands of two colours."""
    u, _, _ = graph.xyz(at.uv)
    band = _fraction(graph, u, material.scale) < material.parameters["duty"]
    return Surface(graph.mix(band, material.colors[0], material.colors[1]))


@family(
    2, (0.35, 0.7), parameters=lambda rng: {"radius": uniform(rng, 0.24, 0.42), "stagger": float(rng.random() < 0.5)}
)
def dots(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Round dots in a grid, staggered or not."""
    u, v, _ = graph.xyz(at.uv)
    row = graph.math("FLOOR", v / material.scale)
    shift = row % 2.0 * (0.5 * material.parameters["stagger"])
    moved = u / material.scale + shift
    x = graph.math("FRACT", moved) - 0.5
    y = _fraction(graph, v, material.scale) - 0.5
    squared = x * x + y * y
    inside = squared < material.parameters["radius"] ** 2
    return Surface(graph.mix(inside, material.colors[0], material.colors[1]))


@family(
    2,
    (0.45, 0.8),
    parameters=lambda rng: {"duty": uniform(rng, 0.35, 0.65), "amplitude": uniform(rng, 0.4, 1.0)},
    weight=0.7,
)
def zigzag(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Stripes folded into chevrons."""
    u, v, _ = graph.xyz(at.uv)
    fold = graph.math("PINGPONG", v, material.scale)
    shifted = u + fold * material.parameters["amplitude"]
    band = _fraction(graph, shifted, material.scale) < material.parameters["duty"]
    return Surface(graph.mix(band, material.colors[0], material.colors[1]))


FAMILIES = (paint, checker, stripes, dots, zigzag)
