# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inversion does, as data: presets that string stages together (:mod:`join_engine.inversion.stage`).

Needs neither torch nor numpy; the stages, which do, are looked up when a preset is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import JoinError
from .stage import Stage, stage_from_json


@dataclass(frozen=True)
class Detail:
    """How the difference between the image and what its layers make is split (see :mod:`join_engine.layers.detail`).

    Args:
        radius: standard deviation, in pixels of the bank, of the Gaussian that tells smooth from fine.
        share: part of the smooth grey difference that is taken for light.
        brightness: set the albedo's brightness as the bank's network tells it, for a bank that has one
            (:mod:`join_engine.layers.albedo_level`).
        seen_at: longest side, in pixels, at which the bank's split network looks at a photo; None for the most
            (:mod:`join_engine.layers.split`).
        orientations: in how many it looks at a photo of the most pixels; at smaller ones in as many more as take no
            longer.
    Radius and share None: what its validation renders have told of the bank
    (:class:`join_engine.bank.header.BankHeader`).
    """

    radius: float | None = None
    share: float | None = None
    brightness: bool = True
    seen_at: int | None = None
    orientations: int = 1

    def __post_init__(self) -> None:
        if self.radius is not None and not self.radius > 0.0:
            message = f"A detail's radius of {self.radius:g} is too small."
            raise JoinError("settings_invalid", message, "Choose above 0.")
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise JoinError("settings_invalid", f"A detail's share of {self.share:g} is none.", "Choose 0 to 1.")
        if self.seen_at is not None and not self.seen_at >= 1:
            raise JoinError("settings_invalid", f"Nothing is seen at {self.seen_at:g} pixels.", "Choose 1 or more.")
        if not self.orientations >= 1:
            message = f"In {self.orientations:g} orientations nothing is seen."
            raise JoinError("settings_invalid", message, "Choose 1 or more.")

    def to_json(self) -> dict[str, Any]:
        """Without what is not chosen, so that results of before there was a choice count as made in the same way."""
        unchosen = {"seen_at": None, "orientations": 1}.items()
        return dict(item for item in asdict(self).items() if item not in unchosen)


@dataclass(frozen=True)
class Preset:
    """Stages in the order in which they run, and what is done with the detail that they leave; None does nothing."""

    name: str
    stages: tuple[Stage, ...]
    detail: Detail | None = None

    def with_steps(self, steps: int | None) -> Preset:
        """The same stages with so many optimiser steps in the longest search for codes; None changes nothing."""
        if steps is None:
            return self
        if steps < 1:
            raise JoinError("steps_invalid", f"{steps} optimiser steps are too few.", "Ask for 1 or more.")
        searches = [stage for stage in self.stages if stage.optimiser_steps and not stage.tunes]
        if not searches:
            message = f"The preset '{self.name}' takes no optimiser steps."
            raise JoinError("steps_invalid", message, "Leave their number out, or choose another preset.")
        longest = max(stage.optimiser_steps for stage in searches)
        changed = [s.with_steps(steps) if s in searches and s.optimiser_steps == longest else s for s in self.stages]
        return replace(self, stages=tuple(changed))

    def to_json(self) -> dict[str, Any]:
        """For a report or a file."""
        return {
            "preset": self.name,
            "stages": [stage.to_json() for stage in self.stages],
            "detail": None if self.detail is None else self.detail.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preset:
        """Inverse of :meth:`to_json`; settings that are not given are the defaults. Raises JoinError."""
        try:
            detail = None if data["detail"] is None else Detail(**data["detail"])
            return cls(str(data["preset"]), tuple(stage_from_json(stage) for stage in data["stages"]), detail)
        except (KeyError, TypeError, AttributeError) as error:
            raise JoinError("settings_invalid", f"The inversion's settings cannot be read ({error}).") from error


# Chosen on validation renders of both shipped banks (docs/choices.md). Of the paper's settings, k and λ of the kNN
# loss, the encoders as a start and the schedule stand. What differs, because the components come out better: a
# learning rate of 0.05 in whitened coordinates instead of 0.1 in plain ones, a Mahalanobis term beside the kNN loss,
# and what the encoders see as a guide, above all of the brightness. Without the guide albedo and shading trade, while
# the image comes nearer.
_SEARCH = {
    "kind": "joint",
    "learning_rate": 0.05,
    "feature_weight": 0.01,
    "normal_weight": 0.01,
    "space": "whitened",
    "guide_weight": 0.1,
    "guide_quarters_weight": 3.0,
}
_SEEN = {"kind": "encoder_start", "required": False}
# As in :meth:`Preset.to_json`, by name.
PRESETS: dict[str, dict[str, Any]] = {
    "draft": {"stages": [{"kind": "mirrored"}, {"kind": "encoder_start"}], "detail": {"seen_at": 512}},
    "standard": {"stages": [{"kind": "mirrored"}, _SEEN, {**_SEARCH, "steps": 15}], "detail": {}},
    "best": {"stages": [{"kind": "mirrored"}, _SEEN, {**_SEARCH, "steps": 60}], "detail": {"orientations": 2}},
    # The paper's way to real faces: pivotal tuning with the local discriminator loss after the search.
    "portrait": {"stages": [{"kind": "mirrored"}, _SEEN, {**_SEARCH, "steps": 60}, {"kind": "tuning"}], "detail": {}},
    "seeing": {"stages": [{"kind": "mirrored"}, {"kind": "seeing_start"}], "detail": {}},
    "seeing-search": {
        "stages": [{"kind": "mirrored"}, {"kind": "seeing_start"}, {**_SEARCH, "kind": "spatial", "steps": 15}],
        "detail": {},
    },
}
DEFAULT_PRESET = "standard"


def get_preset(name: str) -> Preset:
    """The preset, or JoinError ``preset_unknown``."""
    if name not in PRESETS:
        raise JoinError("preset_unknown", f"There is no preset '{name}'.", f"Known are: {', '.join(PRESETS)}.")
    return Preset.from_json({**PRESETS[name], "preset": name})
