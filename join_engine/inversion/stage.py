# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stage of an inversion is. Needs neither torch nor numpy.

A stage is one class in one file of :mod:`join_engine.inversion.stages`: its fields are its settings, which go to JSON
and back, and its methods do the work and tell what it costs. Presets, progress, tables and reports know of it by that
alone.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import JoinError

if TYPE_CHECKING:
    from ..bank import Bank
    from .progress import Monitor
    from .state import InversionState


@dataclass(frozen=True)
class Stage:
    """Base of all stages; the fields of a stage are its settings.

    Attributes:
        kind: the stage's name in files, presets and progress reports.
        words: what a person reads while it runs.
        tunes: changes the networks, not the codes.
        views: how many images the stages after it work on for each one.
    """

    kind: ClassVar[str]
    words: ClassVar[str] = "Working"
    tunes: ClassVar[bool] = False
    views: ClassVar[int] = 1

    def run(self, state: InversionState, monitor: Monitor) -> None:
        """Move the state, tell the monitor of every step and stop when it says so."""
        raise NotImplementedError

    @property
    def optimiser_steps(self) -> int:
        """How many it takes for each image."""
        return int(getattr(self, "steps", 0))

    @property
    def cost(self) -> float:
        """How much work an image is, in steps of a plain search for codes; measured roughly on a CPU."""
        return float(self.optimiser_steps)

    def lacks(self, bank: Bank) -> str:
        """What it needs and a bank has not, as "the bank has no …"; empty where there is everything."""
        return ""

    def with_steps(self, steps: int) -> Self:
        """The same stage with so many optimiser steps, at least one; itself if it takes none."""
        return replace(self, steps=max(1, steps)) if self.optimiser_steps else self  # type: ignore[call-arg]

    def to_json(self) -> dict[str, Any]:
        """For a report or a file."""
        return {"kind": self.kind, **asdict(self)}


STAGES: dict[str, type[Stage]] = {}


def register(stage: type[Stage]) -> type[Stage]:
    """Let presets name a stage; decorates its class."""
    if stage.kind in STAGES:
        raise ValueError(f"a stage named {stage.kind!r} is registered already")
    STAGES[stage.kind] = stage
    return stage


def stage_from_json(data: Mapping[str, Any]) -> Stage:
    """Inverse of :meth:`Stage.to_json`; settings that are not given are the defaults. Raises JoinError
    ``settings_invalid``."""
    importlib.import_module("join_engine.inversion.stages")  # which register themselves
    kind = STAGES.get(str(data.get("kind")))
    if kind is None:
        known = ", ".join(STAGES)
        raise JoinError("settings_invalid", f"There is no stage '{data.get('kind')}'.", f"Known are: {known}.")
    settings = {name: value for name, value in data.items() if name != "kind"}
    unknown = set(settings) - {field.name for field in fields(kind)}
    if unknown:
        raise JoinError("settings_invalid", f"A stage '{kind.kind}' has no setting '{min(unknown)}'.")
    return kind(**settings)
