# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses to plain JSON data and back, by the types of their fields."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

# Marks a field that a description leaves out of its JSON while it has its default: datasets that never use it keep
# their bytes.
LATER = {"left out at its default": True}


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, all the way down."""
    if is_dataclass(value):
        shown = (f for f in fields(value) if not (f.metadata and getattr(value, f.name) == f.default))
        return {f.name: plain(getattr(value, f.name)) for f in shown}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return tuple(plain(item) for item in value) if isinstance(value, tuple) else value


def restored(kind: Any, data: Any) -> Any:
    """Inverse of :func:`plain` for a value of type ``kind``, also after a trip through a JSON file (where tuples
    become lists). Raises KeyError, TypeError or ValueError for data that does not fit."""
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: restored(hints[name], value) for name, value in dict(data).items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if data is None else restored(inner[0], data)
    if origin is tuple:
        kinds = inner[:1] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(restored(item, value) for item, value in zip(kinds, data, strict=True))
    if origin is Mapping:
        return {key: restored(inner[1], value) for key, value in dict(data).items()}
    return data


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
