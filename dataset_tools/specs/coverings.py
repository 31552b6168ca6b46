# SPDX-License-Identifier: GPL-3.0-or-later
"""Random materials of the library, and random coverings: one material, or two or three laid over one another."""

from __future__ import annotations

import numpy as np

from dataset_tools.description.covering import Color, Covering, Mask, Material
from dataset_tools.description.sampling import choose, log_uniform, palette, uniform, vector
from dataset_tools.materials.family import Family
from dataset_tools.materials.library import FAMILIES
from dataset_tools.sources.scanned import Scans

# Bare metal has no diffuse colour, so there is nothing to learn about albedo from it.
METAL_SHARE = 0.03

_FAR = (20.0, 20.0, 20.0)


def sample_material(
    rng: np.random.Generator,
    *,
    size: float = 1.0,
    darkest: float = 0.3,
    natural: float = 0.5,
    metals: float = METAL_SHARE,
    family: str | None = None,
) -> Material:
    """A random material, of the named family or of any.

    ``size`` multiplies its features' size, ``darkest`` bounds the encoded value of its colours when they are drawn
    freely, and ``natural`` is how often they are those of the real thing instead. ``metals`` is the share of
    bare metal.
    """
    drawn = FAMILIES[family] if family else _family(rng, metals)
    return Material(
        family=drawn.name,
        colors=_colors(rng, drawn, darkest, natural),
        scale=size * log_uniform(rng, *drawn.size),
        angle=_angle(rng),
        offset=vector(rng, (0.0, 0.0, 0.0), _FAR),
        roughness=uniform(rng, *drawn.roughness),
        specular=uniform(rng, *drawn.specular),
        relief=uniform(rng, *drawn.relief),
        metal=drawn.metal,
        parameters=drawn.parameters(rng),
    )


def sample_covering(
    rng: np.random.Generator,
    *,
    mixed: float,
    size: float = 1.0,
    darkest: float = 0.3,
    natural: float = 0.5,
    metals: float = METAL_SHARE,
    scans: Scans | None = None,
) -> Covering:
    """One material, or with the chance ``mixed`` two or three (two are twice as likely) with noise masks between.

    Each is one of ``scans`` as often as those say, and procedural otherwise.
    """
    count = choose(rng, (2, 3), (2.0, 1.0)) if rng.random() < mixed else 1
    layers = tuple(
        scans.sample(rng, size)
        if scans and rng.random() < scans.share
        else sample_material(rng, size=size, darkest=darkest, natural=natural, metals=metals)
        for _ in range(count)
    )
    return Covering(layers, tuple(sample_mask(rng, size) for _ in layers[1:]))


def sample_mask(rng: np.random.Generator, size: float) -> Mask:
    """A random mask between two layers of a covering; ``size`` multiplies the size of its patches."""
    return Mask(
        scale=size * log_uniform(rng, 0.3, 1.5),
        cover=uniform(rng, 0.2, 0.6),
        softness=choose(rng, (0.02, 0.06, 0.2)),
        offset=vector(rng, (0.0, 0.0, 0.0), _FAR),
    )


def _family(rng: np.random.Generator, metals: float) -> Family:
    metal = rng.random() < metals
    options = [family for family in FAMILIES.values() if family.metal == metal and family.weight > 0.0]
    return choose(rng, options, [family.weight for family in options])


def _colors(rng: np.random.Generator, family: Family, darkest: float, natural: float) -> tuple[Color, ...]:
    # Both are drawn, so that one choice does not shift what follows it.
    free = palette(rng, family.colors, darkest=darkest)
    real = family.natural(rng) if family.natural else free
    return real if rng.random() < natural else free


def _angle(rng: np.random.Generator) -> float:
    """Most patterns are laid straight, some across, some askew."""
    return choose(rng, (0.0, float(np.pi / 2), uniform(rng, 0.0, float(np.pi))), (0.55, 0.2, 0.25))
