# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen dataclasses to plain JSON data and back, by the types of their fields: scenes of the renderer, headers of the
engine. Needs neither torch nor numpy.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Self

# Marks a field that is left out of the JSON while it has its default: descriptions that never use it keep their bytes.
LATER = {"left out at its default": True}


class Described:
    """Base of dataclasses that go to JSON and back whole: what is missing or unknown is refused, but for ``LATER``."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dict(plain(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_dict`. Raises KeyError, TypeError or ValueError for values that do not fit."""
        return restored(cls, values)  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries and tuples as lists, all the way down."""
    if is_dataclass(value):
        shown = (f for f in fields(value) if not (f.metadata and getattr(value, f.name) == f.default))
        return {f.name: plain(getattr(value, f.name)) for f in shown}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def restored(kind: Any, data: Any) -> Any:
    """Inverse of :func:`plain` for a value of type ``kind``, also after a trip through a JSON file. Raises KeyError,
    TypeError or ValueError for data that does not fit."""
    if isinstance(kind, type) and is_dataclass(kind):
        values, hints = dict(data), _hints(kind)
        if issubclass(kind, Described):
            missing = {f.name for f in fields(kind) if not f.metadata} - values.keys()
            unknown = values.keys() - hints.keys()
            if missing or unknown:
                raise ValueError(f"{kind.__name__}: missing {sorted(missing)}, unknown {sorted(unknown)}")
        return kind(**{name: restored(hints[name], value) for name, value in values.items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if data is None else restored(inner[0], data)
    if origin is tuple:
        kinds = inner[:1] * len(data) if inner[-1] is Ellipsis else inner
        return tuple(restored(item, value) for item, value in zip(kinds, data, strict=True))
    if origin is Mapping:
        return {key: restored(inner[1], value) for key, value in dict(data).items()}
    wanted: Any = {str: str, bool: bool, int: int, float: (int, float)}.get(kind, object)
    if not isinstance(data, wanted) or (kind in (int, float) and isinstance(data, bool)):
        raise ValueError(f"{data!r:.40} is no {kind.__name__}")
    return data


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of the fields; a type variable of a base is what the class chose for it."""
    chosen = {
        variable: found
        for base in getattr(kind, "__orig_bases__", ())
        for variable, found in zip(
            getattr(typing.get_origin(base), "__parameters__", ()), typing.get_args(base), strict=False
        )
    }
    return {name: chosen.get(hint, hint) for name, hint in typing.get_type_hints(kind).items()}
