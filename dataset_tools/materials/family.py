# SPDX-License-Identifier: GPL-3.0-or-later
"""A family of materials: how one is drawn at random, and its node function beside it. No bpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dataset_tools.description.covering import Color, Material
from dataset_tools.materials.graph import Graph
from dataset_tools.materials.surface import Coordinates, Surface

NodeFunction = Callable[[Graph, Coordinates, Material], Surface]
ParameterSampler = Callable[[np.random.Generator], dict[str, float]]
PaletteSampler = Callable[[np.random.Generator], tuple[Color, ...]]
Range = tuple[float, float]


def no_parameters(rng: np.random.Generator) -> dict[str, float]:
    """For families that have none."""
    return {}


@dataclass(frozen=True)
class Family:
    """One family. Node functions are pure: equal descriptions build equal graphs.

    ``colors`` is how many base colours a material has; ``size`` the range of its main feature in metres, for a
    surface of about two metres across; ``natural`` draws the colours that the real thing has, and None means any.
    ``roughness``, ``specular`` (Principled's IOR level) and ``relief`` (height as a share of the feature) are
    ranges. ``displaced`` asks for true displacement where the mesh is fine enough, for relief that casts shadows.
    ``weight`` is how often the family is drawn, ``metal`` marks those that show bare metal.
    """

    name: str
    nodes: NodeFunction
    colors: int
    size: Range
    natural: PaletteSampler | None = None
    parameters: ParameterSampler = no_parameters
    roughness: Range = (0.3, 0.95)
    specular: Range = (0.2, 0.6)
    relief: Range = (0.0, 0.0)
    displaced: bool = False
    weight: float = 1.0
    metal: bool = False

    def __call__(self, graph: Graph, at: Coordinates, material: Material) -> Surface:
        """Its surface; so one family can be made of another."""
        return self.nodes(graph, at, material)


def family(
    colors: int,
    size: Range,
    natural: PaletteSampler | None = None,
    parameters: ParameterSampler = no_parameters,
    **more: Any,
) -> Callable[[NodeFunction], Family]:
    """Makes a family of a node function, of its name; the arguments are :class:`Family`'s."""
    return lambda nodes: Family(nodes.__name__, nodes, colors, size, natural, parameters, **more)
