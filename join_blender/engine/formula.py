# SPDX-License-Identifier: GPL-3.0-or-later
"""How a set's layers make the image, as the engine tells it: a sum of products of components and numbers.

``(("albedo", "shading"), ("specular",))`` is albedo × shading + specular. Each of a decomposition's layers keeps it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

import numpy as np

Formula = tuple[tuple[str | float, ...], ...]

_ORDER = ("albedo", "shading", "specular")


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


def components_of(formula: Formula) -> list[str]:
    """The components, in the order in which they first occur."""
    return list(dict.fromkeys(factor for term in formula for factor in term if isinstance(factor, str)))


def in_order(components: Iterable[str]) -> list[str]:
    """Components as people read them: albedo, shading, specular, and what else there is by name."""
    return sorted(components, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def compose(formula: Formula, layers: Mapping[str, np.ndarray]) -> np.ndarray:
    """The image of linear layers ``[H, W, 3]``."""
    terms = ((layers[factor] if isinstance(factor, str) else np.float32(factor) for factor in term) for term in formula)
    return np.asarray(reduce(operator.add, (reduce(operator.mul, term) for term in terms)))


def _factor(value: Any) -> str | float:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise ValueError(value)
