# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inversion does, as data: the settings of each stage, and presets that string stages together.

Needs neither torch nor numpy. A stage's settings go to JSON and back (``kind`` names the stage), so that a
decomposition can say how it was made. :mod:`join_engine.inversion` has the functions that carry them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from ..errors import JoinError


@dataclass(frozen=True)
class StageSettings:
    """Base of all settings; ``kind`` is the stage's name in files and progress reports."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class MeanStart(StageSettings):
    """Start every component at its mean code (JoIN, section 7)."""

    kind: ClassVar[str] = "mean_start"


@dataclass(frozen=True)
class Mirrored(StageSettings):
    """Go on with each image and with its mirror image, and take the mean of what comes out of both in the end.

    A first stage. Does nothing with a bank whose encoders were not trained on mirrored samples.
    """

    kind: ClassVar[str] = "mirrored"


@dataclass(frozen=True)
class PoolStart(StageSettings):
    """Several starts per image: the mean codes, and the best combinations within a pool of samples of each component.

    Args:
        starts: how many, the mean and the encoders' codes included.
        pool: samples per component.
        size: side of the images that are compared.
        tries: random combinations from which the search sets out.
        encoder: begin one start at the encoders' codes, for a bank that has encoders; other banks do without.
    """

    kind: ClassVar[str] = "pool_start"
    starts: int = 4
    pool: int = 1024
    size: int = 16
    tries: int = 8
    encoder: bool = False


@dataclass(frozen=True)
class EncoderStart(StageSettings):
    """Start every component where its encoder sees it in the image (JoIN, section 4.1).

    Args:
        space: "w" averages the codes of an encoder that tells one per layer, "w+" keeps them.
        required: refuse a bank without encoders; else start such a bank at its mean codes.
    """

    kind: ClassVar[str] = "encoder_start"
    space: str = "w"
    required: bool = True


@dataclass(frozen=True)
class KeepBest(StageSettings):
    """Go on with the best of the starts of each image."""

    kind: ClassVar[str] = "keep_best"
    starts: int = 1


@dataclass(frozen=True)
class Joint(StageSettings):
    """Joint optimisation of all codes (JoIN's Eq. 4); the defaults are those of section 5.1 where it gives any.

    Args:
        steps: optimiser steps.
        learning_rate: Adam's, at the height of the schedule.
        ramp_up, ramp_down: parts of the schedule in which the rate rises from 0 and falls to 0.
        knn_weight, neighbours: λ and k of the kNN loss (Eq. 8).
        pixel_weight, feature_weight: of the reconstruction loss (see :mod:`join_engine.inversion.losses.perceptual`).
        normal_weight: of the squared Mahalanobis distance per dimension, which is 1 on average for the bank's samples;
            not in the paper.
        features: what the reconstruction loss compares beside pixels: "random", "trunk", "discriminator", "vgg16",
            "squeezenet", "pixels" (nothing), or a sum such as "trunk+random" (see
            :mod:`join_engine.inversion.losses.reconstruction`).
        ensemble: compare the features under random transforms, drawn anew at each step (E-LPIPS).
        in_domain_weight: of the in-domain loss (Eq. 7), which the kNN loss replaces.
        guide_weight, guide_quarters_weight: of the distance from what the encoders see, pixel by pixel and as the mean
            of each quarter (:mod:`join_engine.inversion.losses.guide`), for a bank that has encoders; not in the paper.
        space: "w", one code per generator; "w+", one per layer; or "whitened": W, but optimised in coordinates in which
            the bank's codes have unit variance, so that a step in each direction is in proportion to their spread.
    """

    kind: ClassVar[str] = "joint"
    steps: int = 1000
    learning_rate: float = 0.1
    ramp_up: float = 0.05
    ramp_down: float = 0.25
    knn_weight: float = 1e-4
    neighbours: int = 50
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    normal_weight: float = 0.0
    features: str = "random"
    space: str = "w"
    ensemble: bool = False
    in_domain_weight: float = 0.0
    guide_weight: float = 0.0
    guide_quarters_weight: float = 0.0


@dataclass(frozen=True)
class Tuning(StageSettings):
    """Fine-tuning of the generators around the codes (JoIN's Eq. 13).

    Args:
        steps, learning_rate: of Adam on all weights of the synthesis networks.
        pixel_weight, feature_weight, features, ensemble: of the reconstruction loss, as in :class:`Joint`.
        discriminator_weight: λ_LD.
        discriminator_every: apply the discriminator loss at each so many steps, so many times as strong.
        anchors: n_a of Eq. 12.
        locality: β of Eq. 12: 0 looks at the pivot alone, 1 at the whole distribution.
    """

    kind: ClassVar[str] = "tuning"
    steps: int = 150
    learning_rate: float = 1e-3
    pixel_weight: float = 1.0
    feature_weight: float = 1.0
    discriminator_weight: float = 1e-2
    discriminator_every: int = 4
    anchors: int = 4
    locality: float = 0.3
    features: str = "random"
    ensemble: bool = False


@dataclass(frozen=True)
class Detail:
    """How the difference between the image and what its layers make is split (see :mod:`join_engine.layers.detail`).

    Args:
        radius: standard deviation, in pixels of the bank, of the Gaussian that tells smooth from fine.
        share: part of the smooth grey difference that is taken for light.
        brightness: set the albedo's brightness as the bank's network tells it, for a bank that has one
            (:mod:`join_engine.layers.albedo_level`).

    Radius and share None: what its validation renders have told of the bank
    (:class:`join_engine.bank.header.BankHeader`).
    """

    radius: float | None = None
    share: float | None = None
    brightness: bool = True

    def __post_init__(self) -> None:
        if self.radius is not None and not self.radius > 0.0:
            raise JoinError(
                "settings_invalid", f"A detail's radius of {self.radius:g} is too small.", "Choose above 0."
            )
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise JoinError("settings_invalid", f"A detail's share of {self.share:g} is none.", "Choose 0 to 1.")


@dataclass(frozen=True)
class Preset:
    """Stages in the order in which they run, and what is done with the detail that they leave; None does nothing."""

    name: str
    stages: tuple[StageSettings, ...]
    detail: Detail | None = None

    def with_steps(self, steps: int | None) -> Preset:
        """The same stages with so many optimiser steps in the longest joint stage; None changes nothing."""
        if steps is None:
            return self
        if steps < 1:
            raise JoinError("steps_invalid", f"{steps} optimiser steps are too few.", "Ask for 1 or more.")
        longest = max((stage.steps for stage in self.stages if isinstance(stage, Joint)), default=0)
        if not longest:
            message = f"The preset '{self.name}' takes no optimiser steps."
            raise JoinError("steps_invalid", message, "Leave their number out, or choose another preset.")
        return replace(
            self,
            stages=tuple(
                replace(stage, steps=steps) if isinstance(stage, Joint) and stage.steps == longest else stage
                for stage in self.stages
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """For a report or a file."""
        return {
            "preset": self.name,
            "stages": [{"kind": stage.kind, **asdict(stage)} for stage in self.stages],
            "detail": None if self.detail is None else asdict(self.detail),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preset:
        """Inverse of :meth:`to_json`. Raises JoinError ``settings_invalid``."""
        try:
            detail = None if data["detail"] is None else Detail(**data["detail"])
            return cls(str(data["preset"]), tuple(_stage_from_json(stage) for stage in data["stages"]), detail)
        except (KeyError, TypeError, AttributeError) as error:
            raise JoinError("settings_invalid", f"The inversion's settings cannot be read ({error}).") from error


def _stage_from_json(data: Mapping[str, Any]) -> StageSettings:
    kind = SETTINGS[data["kind"]]
    known = {field.name for field in fields(kind)}
    return kind(**{name: value for name, value in data.items() if name in known})


SETTINGS: dict[str, type[StageSettings]] = {
    kind.kind: kind for kind in (Mirrored, MeanStart, PoolStart, EncoderStart, KeepBest, Joint, Tuning)
}


# Chosen on validation renders of both shipped banks (docs/choices.md). Of the paper's settings, k and λ of the kNN
# loss, the encoders as a start and the schedule stand. What differs, because the components come out better: a
# learning rate of 0.05 in whitened coordinates instead of 0.1 in plain ones, a Mahalanobis term beside the kNN loss,
# and what the encoders see as a guide, above all of the brightness. Without the guide albedo and shading trade, while
# the image comes nearer.
def _tuned(steps: int) -> Joint:
    return Joint(
        steps=steps,
        learning_rate=0.05,
        feature_weight=0.01,
        normal_weight=0.01,
        space="whitened",
        guide_weight=0.1,
        guide_quarters_weight=3.0,
    )


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("draft", (Mirrored(), EncoderStart()), Detail()),
        Preset("standard", (Mirrored(), EncoderStart(required=False), _tuned(15)), Detail()),
        Preset("best", (Mirrored(), EncoderStart(required=False), _tuned(60)), Detail()),
    )
}
DEFAULT_PRESET = "standard"


def get_preset(name: str) -> Preset:
    """The preset, or JoinError ``preset_unknown``."""
    if name not in PRESETS:
        raise JoinError("preset_unknown", f"There is no preset '{name}'.", f"Known are: {', '.join(PRESETS)}.")
    return PRESETS[name]
