# SPDX-License-Identifier: GPL-3.0-or-later
"""Samplers of procedural materials: one per family, beside the node function of the same name in ``materials``.

Scales are chosen so that a pattern is still seen when the picture is 64 pixels wide (about 12 pixels a metre).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset_tools.specs.description import Material
from dataset_tools.specs.sampling import choose, log_uniform, palette, uniform, vector

ParameterSampler = Callable[[np.random.Generator], dict[str, float]]


@dataclass(frozen=True)
class Family:
    """How a family is drawn: how many colours, how large its feature may be (m), how often, and its parameters."""

    colors: int
    smallest: float
    largest: float
    weight: float
    parameters: ParameterSampler


def _none(rng: np.random.Generator) -> dict[str, float]:
    return {}


def _bricks(rng: np.random.Generator) -> dict[str, float]:
    return {"aspect": uniform(rng, 1.8, 2.6), "mortar": uniform(rng, 0.05, 0.1), "variation": uniform(rng, 0.2, 0.8)}


def _tiles(rng: np.random.Generator) -> dict[str, float]:
    return {"mortar": uniform(rng, 0.04, 0.09), "variation": uniform(rng, 0.0, 1.0)}


def _planks(rng: np.random.Generator) -> dict[str, float]:
    return {"aspect": uniform(rng, 3.0, 6.0), "grain": uniform(rng, 0.15, 0.5), "variation": uniform(rng, 0.4, 1.0)}


def _wood(rng: np.random.Generator) -> dict[str, float]:
    return {"distortion": uniform(rng, 1.0, 5.0), "grain": uniform(rng, 0.1, 0.4)}


def _marble(rng: np.random.Generator) -> dict[str, float]:
    return {"distortion": uniform(rng, 4.0, 10.0), "sharpness": uniform(rng, 2.0, 6.0)}


def _stone(rng: np.random.Generator) -> dict[str, float]:
    return {"detail": uniform(rng, 2.0, 6.0), "contrast": uniform(rng, 1.5, 4.0)}


def _plaster(rng: np.random.Generator) -> dict[str, float]:
    return {"strength": uniform(rng, 0.2, 0.6)}


def _duty(rng: np.random.Generator) -> dict[str, float]:
    return {"duty": uniform(rng, 0.3, 0.7)}


def _dots(rng: np.random.Generator) -> dict[str, float]:
    return {"radius": uniform(rng, 0.24, 0.42), "stagger": float(rng.random() < 0.5)}


def _zigzag(rng: np.random.Generator) -> dict[str, float]:
    return {"duty": uniform(rng, 0.35, 0.65), "amplitude": uniform(rng, 0.4, 1.0)}


def _weave(rng: np.random.Generator) -> dict[str, float]:
    return {"gap": uniform(rng, 0.1, 0.25)}


def _cobbles(rng: np.random.Generator) -> dict[str, float]:
    return {"gap": uniform(rng, 0.05, 0.12), "randomness": uniform(rng, 0.5, 1.0)}


FAMILIES: dict[str, Family] = {
    "paint": Family(1, 1.0, 1.0, 5.0, _none),
    "checker": Family(2, 0.33, 0.75, 1.0, _none),
    "bricks": Family(3, 0.22, 0.45, 1.0, _bricks),
    "tiles": Family(3, 0.4, 0.9, 1.0, _tiles),
    "planks": Family(2, 0.22, 0.5, 1.0, _planks),
    "wood": Family(2, 0.3, 0.8, 1.0, _wood),
    "marble": Family(2, 0.6, 1.6, 1.0, _marble),
    "stone": Family(2, 0.4, 1.2, 1.0, _stone),
    "plaster": Family(2, 0.5, 1.5, 1.0, _plaster),
    "stripes": Family(2, 0.35, 0.8, 1.0, _duty),
    "dots": Family(2, 0.35, 0.7, 1.0, _dots),
    "zigzag": Family(2, 0.45, 0.8, 0.7, _zigzag),
    "weave": Family(2, 0.6, 1.0, 0.8, _weave),
    "terrazzo": Family(3, 0.25, 0.6, 1.0, _none),
    "cobbles": Family(3, 0.35, 0.8, 0.9, _cobbles),
}


def sample_material(rng: np.random.Generator, *, size: float = 1.0, darkest: float = 0.3) -> Material:
    """A random material; ``size`` multiplies its features' size, ``darkest`` bounds its colours' encoded value."""
    name = choose(rng, tuple(FAMILIES), [family.weight for family in FAMILIES.values()])
    family = FAMILIES[name]
    return Material(
        family=name,
        colors=palette(rng, family.colors, darkest=darkest),
        scale=size * log_uniform(rng, family.smallest, family.largest),
        angle=_angle(rng),
        offset=vector(rng, (0.0, 0.0, 0.0), (20.0, 20.0, 20.0)),
        roughness=uniform(rng, 0.3, 0.95),
        specular=uniform(rng, 0.2, 0.6),
        parameters=family.parameters(rng),
    )


def _angle(rng: np.random.Generator) -> float:
    """Most patterns are laid straight, some across, some askew."""
    return choose(rng, (0.0, float(np.pi / 2), uniform(rng, 0.0, float(np.pi))), (0.55, 0.2, 0.25))
