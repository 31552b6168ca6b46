# SPDX-License-Identifier: GPL-3.0-or-later
"""Laid and cast walls and floors: brick, tile, cobbles."""

from __future__ import annotations

import numpy as np

from dataset_tools.materials.family import Family
from dataset_tools.materials.graph import Graph, Socket
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface
from dataset_tools.specs.description import Color, Material
from dataset_tools.specs.sampling import natural, uniform


def _roughened(graph: Graph, at: Coordinates, material: Material, height: Socket, share: float) -> Socket:
    """A height with fine noise over it, still in [0, 1]."""
    grain = graph.noise(at.solid, 9.0 / material.scale, detail=4.0, roughness=0.65)
    return graph.math("ADD", graph.math("MULTIPLY", height, 1.0 - share), graph.math("MULTIPLY", grain, share))


def _brick_colors(rng: np.random.Generator) -> tuple[Color, ...]:
    return natural(
        rng,
        ("#9c5a3c", "#7d4230", "#b5aea2"),
        ("#b87a58", "#96573f", "#8d877c"),
        ("#8a8378", "#6f6a62", "#b9b4aa"),
        ("#d9cfbd", "#bfae93", "#8f887a"),
        ("#6b4a3d", "#4f352c", "#a39c90"),
    )


def _bricks(rng: np.random.Generator) -> dict[str, float]:
    return {"aspect": uniform(rng, 1.8, 3.2), "mortar": uniform(rng, 0.03, 0.07), "variation": uniform(rng, 0.3, 1.0)}


def bricks(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A running bond: each brick of its own tone, stained, with worn edges and recessed, sandy joints."""
    parameters = material.parameters
    # Hand-made edges: the plan itself is a little crooked.
    wobble = graph.vector("SUBTRACT", graph.noise_color(at.uv, 4.0 / material.scale), (0.5, 0.5, 0.5))
    plan = graph.vector("ADD", at.uv, graph.vector("SCALE", wobble, 0.08 * material.scale))
    found = blocks(graph, plan, material.scale * parameters["aspect"], material.scale, shift=0.5)
    tone, light, _ = graph.xyz(graph.random(found.name))
    face = graph.mix(graph.math("MULTIPLY", tone, parameters["variation"]), material.colors[0], material.colors[1])
    stains = graph.noise(at.solid, 2.5 / material.scale, detail=5.0, roughness=0.65)
    face = graph.shade(
        face, graph.math("MULTIPLY", graph.ramp(light, 0.0, 1.0, 0.85, 1.15), graph.ramp(stains, 0.2, 0.8, 0.75, 1.2))
    )
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


FAMILIES = (
    Family(
        "bricks",
        bricks,
        3,
        (0.2, 0.42),
        natural=_brick_colors,
        parameters=_bricks,
        roughness=(0.6, 0.95),
        specular=(0.15, 0.45),
        relief=(0.05, 0.16),
        displaced=True,
    ),
)
