# SPDX-License-Identifier: GPL-3.0-or-later
"""The families of materials. No bpy: node functions only say what they want of a graph."""

from __future__ import annotations

from dataset_tools.materials.family import Family
from dataset_tools.materials.library import (
    fibre,
    ground,
    masonry,
    metal,
    minerals,
    painted,
    patterns,
    printed,
    scanned,
    synthetic,
    textile,
    wood,
)

_MODULES = (patterns, masonry, minerals, ground, synthetic, metal, printed, wood, textile, fibre, scanned, painted)

FAMILIES: dict[str, Family] = {family.name: family for module in _MODULES for family in module.FAMILIES}
