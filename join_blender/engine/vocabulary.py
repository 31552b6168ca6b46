# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on shares with the engine and the renderer: colour curves, components, how they make the image, names,
memory, errors, the crop of a face.

The eight modules of the engine's that are imported here are data and arithmetic, need nothing beyond Python, and lie
beside the add-on in a checkout as in the installed extension, where Blender gives both a longer name. Nothing else of
the engine is ever imported.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any


def beside(module: str) -> Any:
    """A module of the engine's, under the name that it has beside this add-on."""
    return importlib.import_module(f"{__name__.rpartition('join_blender.')[0]}join_engine.{module}")


if TYPE_CHECKING:
    from join_engine import color, components, errors, face_crop, forward_models, leftovers, memory, names
    from join_engine.forward_models import Formula
else:
    color = beside("color")
    components = beside("components")
    errors = beside("errors")
    face_crop = beside("face_crop")
    forward_models = beside("forward_models")
    leftovers = beside("leftovers")
    memory = beside("memory")
    names = beside("names")
    Formula = forward_models.Formula

components_in, compose = forward_models.components_in, forward_models.compose

_ORDER = tuple(components.COMPONENTS)


def read_formula(value: Any, components: Iterable[str]) -> Formula:
    """A formula out of JSON's lists, without the terms of components that are not there. Where nothing is left of it:
    albedo × shading + each of the others, as in files of before engines told it."""
    known = set(components)
    try:
        terms = tuple(tuple(_factor(factor) for factor in term) for term in value)
    except (TypeError, ValueError):
        terms = ()
    names = [{factor for factor in term if isinstance(factor, str)} for term in terms]
    formula = tuple(term for term, needed in zip(terms, names, strict=True) if needed and needed <= known)
    if formula:
        return formula
    whole = tuple(name for name in ("albedo", "shading") if name in known)
    return (*((whole,) if whole else ()), *((name,) for name in in_order(known) if name not in whole))


def in_order(components: Iterable[str]) -> list[str]:
    """Components as people read them: albedo, shading, specular, and what else there is by name."""
    return sorted(components, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def _factor(value: Any) -> str | float:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(value)
