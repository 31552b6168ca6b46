# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import pytest

from join_engine.json_data import LATER, Described

Part = TypeVar("Part")


@dataclass(frozen=True)
class Inner(Described):
    sizes: tuple[int, ...]
    share: float = 0.5


@dataclass(frozen=True)
class Outer(Described, Generic[Part]):
    part: Part
    named: Mapping[str, Inner] = field(default_factory=dict)
    free: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Whole(Outer[Inner]):
    word: str | None = field(default=None, metadata=LATER)


WHOLE = Whole(Inner((1, 2)), {"a": Inner((3,), 1.0)}, {"list": [1, "x", None]})


def test_all_comes_back_and_what_is_marked_is_left_out_at_its_default() -> None:
    values = json.loads(json.dumps(WHOLE.to_dict()))
    assert values == WHOLE.to_dict() and "word" not in values
    assert Whole.from_dict(values) == WHOLE
    assert Whole.from_dict({**values, "word": "said"}).word == "said"


@pytest.mark.parametrize(
    "change",
    [
        {"word": 5},
        {"other": 1},
        {"part": {"sizes": [1]}},
        {"part": {"sizes": [1.5], "share": 0.5}},
        {"part": {"sizes": [True], "share": 0.5}},
        {"part": {"sizes": [1], "share": "0.5"}},
        {"part": {"sizes": 1, "share": 0.5}},
        {"part": None},
        {"named": {"a": 3}},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Whole.from_dict({**WHOLE.to_dict(), **change})
