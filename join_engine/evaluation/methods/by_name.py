# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods by name: every row of JoIN's Table 2, other published inversions, our presets, and the baselines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ...bank import Bank, fingerprint
from ...errors import JoinError
from ...inversion.presets import DEFAULT_PRESET, PRESETS, Preset, get_preset
from ...inversion.stages.encoder_start import EncoderStart
from ...inversion.stages.joint import Joint
from ...inversion.stages.masking import Masking
from ...inversion.stages.mean_start import MeanStart
from ...inversion.stages.samm import Samm
from ...inversion.stages.spaces import Spaces
from ...inversion.stages.spatial import Spatial
from ...inversion.stages.tuning import FORMS, Tuning
from ...networks.samm import REACH
from ...networks.unet import UNet
from .baselines import BASELINES

# λ of Eq. 7 is given nowhere; the kNN loss takes its place, so it gets that one's.
IN_DOMAIN_WEIGHT = 1e-4
# Of in-domain inversion and SAM, as published with their papers.
DOMAIN_WEIGHT = 2.0
GAUSSIAN_WEIGHT, VARIATION_WEIGHT, DELTA_WEIGHT = 1e-8, 1e-3, 5.0
# Above which residual a place is foreign, chosen on validation renders (docs/seeds.md).
RESIDUAL = 0.23
# λ_style of SAMM's Eq. 3.
STYLE_WEIGHT = 50.0
# "sam-tau-0.2": SAM with this τ; "sam-f16": everything in the features at 16 pixels; "sam-face-f16": all but the face.
_TAU, _LAYER, _CLASS = "sam-tau-", "sam-f", "sam-face-f"
# "knn-k-5": JoIN from the mean code with this k of Eq. 8; "ld-anchors-16": its last row with this n_a of Eq. 12.
_KNN = {"knn-k-": ("neighbours", "k"), "knn-weight-": ("knn_weight", "λ")}
_LOCAL = {
    "ld-anchors-": ("anchors", "n_a"),
    "ld-locality-": ("locality", "β"),
    "ld-weight-": ("discriminator_weight", "λ_LD"),
    "ld-form-": ("discriminator_form", "form"),
}
# The rate of Image2StyleGAN and of in-domain inversion, which stays the same.
_STEADY = {"learning_rate": 0.01, "ramp_up": 0.0, "ramp_down": 0.0}
# What the default preset's optimisation may compare images in, by name behind this.
_FEATURES = "features-"
COMPARED_FEATURES = ("pixels", "random", "trunk", "discriminator", "trunk+random", "trunk+discriminator")
UNET = "u-net"
BASELINE_KEYS = {name.lower().replace(" ", "-"): name for name in BASELINES}
GROUPS = {
    "table2": (
        "single",
        "opt",
        "opt-in-domain",
        "opt-knn",
        "encoder",
        "encoder-opt",
        "encoder-opt-pti",
        "encoder-opt-pti-d",
    ),
    "published": (
        "opt",
        "opt-w+",
        "i2s",
        "gaussian-prior",
        "encoder",
        "hybrid-w+",
        "in-domain",
        "pti",
        "sam",
        "samm",
        "samm-search",
        "samm-masks",
        "samm-aligned",
        "opt-knn",
        "encoder-opt",
    ),
    "sam-ablation": ("opt-w+", "sam-f8", "sam-f16", "sam-f32", "sam", "sam-unrefined", "sam-free"),
    "sam-tau": tuple(f"sam-tau-{threshold}" for threshold in (0.05, 0.1, 0.2, 0.4, 0.8)),
    "knn-sweep": ("opt", "opt-knn", "knn-k-5", "knn-k-500", "knn-weight-1e-5", "knn-weight-1e-3", "knn-weight-1e-2"),
    "local-sweep": (
        "encoder-opt",
        "encoder-opt-pti",
        "encoder-opt-pti-d",
        "ld-form-softplus",
        "ld-form-printed",
        "ld-anchors-1",
        "ld-anchors-16",
        "ld-locality-0.1",
        "ld-locality-0.6",
        "ld-weight-1e-3",
        "ld-weight-1e-1",
    ),
    "table4": ("opt", "opt-in-domain", "opt-knn"),
    "presets": tuple(PRESETS),
    "features": tuple(f"{_FEATURES}{kind}" for kind in COMPARED_FEATURES),
    "baselines": tuple(BASELINE_KEYS),
}
GROUPS["all"] = (*GROUPS["table2"], *GROUPS["presets"], "mean-code", UNET, *GROUPS["baselines"])


@dataclass(frozen=True)
class Rows:
    """What all rows of Table 2 have in common.

    Args:
        loss: "elpips" compares features under random transforms as the paper does, "lpips" without them; both beside
            the multi-scale pixel term with weight 1, as our features do not know absolute colours.
        features: as in :class:`join_engine.inversion.stages.joint.Joint`; None takes the bank's trunk, or random ones
            without it.
        feature_weight: of the rows that compare features with each other; None takes the default preset's.
        steps: of the joint optimisation.
        tuning_steps: of the generators' tuning.
        steps_scale: of all optimiser steps of every row, presets included: 1 is what a row is; less is a quick look.
    """

    loss: str = "elpips"
    features: str | None = None
    feature_weight: float | None = None
    steps: int = 1000
    tuning_steps: int = 350
    steps_scale: float = 1.0

    def joint(self, bank: Bank, **changes: Any) -> Joint:
        """The optimisation of section 5.1."""
        features = self._features(bank)
        return Joint(**{"steps": self.steps, "features": features, "ensemble": self.loss == "elpips", **changes})

    def tuning(self, bank: Bank, **changes: Any) -> Tuning:
        """Generator tuning of section 4.2."""
        features = self._features(bank)
        return Tuning(
            **{"steps": self.tuning_steps, "features": features, "ensemble": self.loss == "elpips", **changes}
        )

    def _features(self, bank: Bank) -> str:
        return self.features or ("random" if bank.trunk is None else "trunk")


@dataclass(frozen=True)
class Method:
    """One row of a table.

    Attributes:
        key: its name on the command line.
        title: its name in the table.
        preset: stages of an inversion; None for a baseline.
        single: inverts the bank of the single GAN.
        unet: makes the layers instead of a bank.
        lacks: why it cannot be done here; empty when it can.
    """

    key: str
    title: str
    preset: Preset | None = None
    single: bool = False
    unet: UNet | None = None
    lacks: str = ""

    @property
    def titles(self) -> tuple[str, ...]:
        """The rows that it fills: a preset that asks for detail fills a second one with it, and so does the U-Net."""
        detailed = self.unet is not None or (self.preset is not None and self.preset.detail is not None)
        return (self.title, f"{self.title} + detail") if detailed else (self.title,)

    @property
    def identity(self) -> str:
        """Short hash of what is done, without the name."""
        text = json.dumps({} if self.preset is None else {**self.preset.to_json(), "preset": ""}, sort_keys=True)
        weights = "" if self.unet is None else f" {fingerprint(self.unet)}"
        return hashlib.sha256(f"{text} {self.single}{weights}".encode()).hexdigest()[:12]

    @property
    def steps(self) -> str:
        """Optimiser steps of each stage in turn, such as "1000 + 350 of tuning"; or ""."""
        stages = [stage for stage in (self.preset.stages if self.preset else ()) if stage.optimiser_steps]
        return " + ".join(f"{stage.optimiser_steps}{' of tuning' if stage.tunes else ''}" for stage in stages)

    @property
    def cost(self) -> float:
        """Roughly how much work an image is, in optimiser steps."""
        cost, views = 1.0, 1
        for stage in self.preset.stages if self.preset else ():
            cost += stage.cost * views
            views *= stage.views
        return cost


def make_methods(
    names: Sequence[str], rows: Rows, bank: Bank, single: Bank | None = None, unet: UNet | None = None
) -> list[Method]:
    """The methods of these names (or of :data:`GROUPS`), each once, with the reasons of those that cannot be done.
    Raises JoinError ``method_unknown``."""
    keys: dict[str, None] = {}
    for name in names:
        keys |= dict.fromkeys(GROUPS.get(name, (name,)))
    return [scaled(_make(key, rows, bank, single, unet), rows.steps_scale) for key in keys]


def scaled(method: Method, scale: float) -> Method:
    """A method with so many times its optimiser steps. Raises JoinError ``settings_invalid``."""
    if not 0.0 < scale <= 1.0:
        raise JoinError("settings_invalid", f"Steps cannot be scaled by {scale:g}.", "Choose more than 0, at most 1.")
    if method.preset is None or scale == 1.0:
        return method
    stages = tuple(stage.with_steps(round(stage.optimiser_steps * scale)) for stage in method.preset.stages)
    return replace(method, preset=replace(method.preset, stages=stages))


def preset_method(preset: Preset, bank: Bank, title: str | None = None) -> Method:
    """A preset as a method."""
    return Method(preset.name, title or preset.name, preset, lacks=_lacks(preset, bank))


def preset_methods(preset: Preset, bank: Bank) -> list[Method]:
    """A preset, called "JoIN" where it optimises anything, what the bank's encoders make, and the baselines."""
    optimises = any(stage.optimiser_steps for stage in preset.stages)
    methods = [preset_method(preset, bank, "JoIN" if optimises else preset.name)]
    if bank.has_encoders:
        stages = {"encoder": EncoderStart(), "mean code": MeanStart()}
        methods += [preset_method(Preset(name, (stage,)), bank) for name, stage in stages.items()]
    return methods + make_methods(["baselines"], Rows(), bank)


def _make(key: str, rows: Rows, bank: Bank, single: Bank | None, unet: UNet | None) -> Method:
    if key in BASELINE_KEYS:
        parts = bank.forward_model.components
        lacks = "" if {"albedo", "shading"} <= set(parts) else "the bank has no albedo and shading"
        return Method(key, BASELINE_KEYS[key], lacks=lacks)
    if key == UNET:
        if unet is not None and set(unet.config.components) != set(bank.forward_model.components):
            return Method(key, "U-Net", lacks=f"the U-Net tells {', '.join(unet.config.components)}")
        return Method(key, "U-Net", unet=unet, lacks="" if unet is not None else "no U-Net was given")
    if key in PRESETS:
        return preset_method(get_preset(key), bank)
    if key.startswith(_FEATURES):
        return preset_method(_with_features(key, rows), bank)
    if key == "single":
        title, lacks = "Inversion with a single GAN", "no bank of a single GAN was given"
        if single is None:
            return Method(key, title, single=True, lacks=lacks)
        if single.header.resolution != bank.header.resolution:
            return Method(key, title, single=True, lacks="the bank of the single GAN has another resolution")
        preset = Preset(key, (MeanStart(), rows.joint(single)))
        return Method(key, title, preset, single=True, lacks=_lacks(preset, single))
    table = _table(rows, bank) | _adaptive(key, rows, bank) | _swept(key, rows, bank)
    if key not in table:
        known = ", ".join(sorted({*GROUPS, *GROUPS["all"], *GROUPS["published"], *GROUPS["sam-ablation"]}))
        raise JoinError("method_unknown", f"There is no method '{key}'.", f"Known are: {known}.")
    title, *stages = table[key]
    preset = Preset(key, tuple(stages))
    return Method(key, title, preset, lacks=_lacks(preset, bank))


def _with_features(key: str, rows: Rows) -> Preset:
    """The default preset, looking at images in other features."""
    preset = get_preset(DEFAULT_PRESET)
    changes: dict[str, Any] = {"features": key.removeprefix(_FEATURES)}
    if rows.feature_weight is not None:
        changes["feature_weight"] = rows.feature_weight
    stages = tuple(replace(stage, **changes) if isinstance(stage, Joint) else stage for stage in preset.stages)
    return replace(preset, name=key, stages=stages)


def _table(rows: Rows, bank: Bank) -> dict[str, tuple[Any, ...]]:
    """Key → title and stages, of Table 2 and what belongs to it, and of other published inversions, all of them of all
    generators at once."""
    mean, encoder, knn = MeanStart(), EncoderStart(), rows.joint(bank)
    none = rows.joint(bank, knn_weight=0.0)
    in_domain = rows.joint(bank, knn_weight=0.0, in_domain_weight=IN_DOMAIN_WEIGHT)
    tuned, guarded = rows.tuning(bank, discriminator_weight=0.0), rows.tuning(bank)
    return {
        "mean-code": ("mean code", mean),
        "encoder": ("Encoder", encoder),
        "opt": ("Optimization", mean, none),
        "opt-in-domain": ("Opt. + in-domain loss", mean, in_domain),
        "opt-knn": ("Opt. + kNN loss", mean, knn),
        "encoder-opt": ("Encoder + Opt. + kNN loss", encoder, knn),
        "encoder-opt-pti": ("Encoder + Opt. + kNN loss + PTI w/o D loss", encoder, knn, tuned),
        "encoder-opt-pti-d": ("Encoder + Opt. + kNN loss + PTI w/ D loss", encoder, knn, guarded),
        "opt-pti": ("Opt. + kNN loss + PTI w/o D loss", mean, knn, tuned),
        "opt-pti-d": ("Opt. + kNN loss + PTI w/ D loss", mean, knn, guarded),
        **_published(rows, bank),
    }


def _published(rows: Rows, bank: Bank) -> dict[str, tuple[Any, ...]]:
    """Of other papers than JoIN. None of them compares features under random transforms."""

    def joint(**changes: Any) -> Joint:
        return rows.joint(bank, **{"knn_weight": 0.0, "ensemble": False, **changes})

    mean, encoder = MeanStart(), EncoderStart(space="w+")
    prior = joint(space="w+", learning_rate=0.05, gaussian_weight=GAUSSIAN_WEIGHT, variation_weight=VARIATION_WEIGHT)
    in_domain = joint(space="w+", domain_weight=DOMAIN_WEIGHT, **_STEADY)
    tuning = rows.tuning(bank, discriminator_weight=0.0, ensemble=False)
    features = rows.joint(bank).features
    masking = Masking(steps=rows.steps, learning_rate=0.05, knn_weight=0.0, features=features, space="w+")
    return {
        # StyleGAN2's projector (Karras et al. 2020) in W+, as SAM's Table 4.1 has it; in W it is "opt".
        "opt-w+": ("Optimization in W+", mean, joint(space="w+")),
        # Abdal et al. 2019: from the mean code, pixels and features, nothing that holds the codes.
        "i2s": ("Image2StyleGAN", mean, joint(space="w+", **_STEADY)),
        # Wulff and Torralba 2020, in the form of SAM's Eq. 3.6.
        "gaussian-prior": ("W+ with Gaussian prior", mean, prior),
        "hybrid-w+": ("Encoder + Opt. in W+", encoder, joint(space="w+")),
        # With the Gram matrices of SAMM's L_style (Eq. 2 and 3).
        "hybrid-w+-gram": ("Encoder + Opt. in W+, Gram", encoder, joint(space="w+", style_weight=STYLE_WEIGHT)),
        # Zhu et al. 2020, from the encoders' codes.
        "in-domain": ("In-domain inversion", encoder, in_domain),
        # Yang et al. 2022: masks and a flow told by the bank's alignment module, of the encoders' codes, and of ones
        # that were searched for.
        "samm": ("SAMM", encoder, Samm()),
        "samm-search": ("SAMM after Opt. in W+", encoder, joint(space="w+", learning_rate=0.05), Samm()),
        "samm-search-residual": (
            "SAMM after Opt. in W+, told by the residual",
            encoder,
            joint(space="w+", learning_rate=0.05),
            Samm(residual=RESIDUAL),
        ),
        # The same searched for.
        "samm-masks": ("SAMM's masks, optimised", encoder, masking),
        "samm-aligned": ("SAMM's masks and flow, optimised", encoder, replace(masking, reach=REACH)),
        "samm-residual": ("SAMM's masks, told by the residual", encoder, replace(masking, residual=RESIDUAL)),
        # Roich et al. 2021: a pivot in W, then the generators' weights.
        "pti": ("PTI", mean, joint(), tuning),
    }


def _adaptive(key: str, rows: Rows, bank: Bank) -> dict[str, tuple[Any, ...]]:
    """SAM (Parmar 2022) in its optimisation setting, from the encoders' codes and Δf = 0, with the published
    weights; and what a key asks for of it."""
    stage = Spatial(
        steps=rows.steps,
        learning_rate=0.05,
        knn_weight=0.0,
        features=rows.joint(bank).features,
        space="w+",
        gaussian_weight=GAUSSIAN_WEIGHT,
        variation_weight=VARIATION_WEIGHT,
        delta_rate=1.0,
        delta_weight=DELTA_WEIGHT,
    )
    start = EncoderStart(space="w+")
    found: dict[str, tuple[Any, ...]] = {
        "sam": ("SAM", start, Spaces(), stage),
        "sam-unrefined": ("SAM without refinement", start, Spaces(segments=0), stage),
        "sam-free": ("SAM without L_F", start, Spaces(), replace(stage, delta_weight=0.0)),
    }
    with suppress(ValueError):  # keys of something else
        if key.startswith(_TAU):
            threshold = float(key.removeprefix(_TAU))
            found[key] = (f"SAM, τ {threshold:g}", start, Spaces(threshold), stage)
        elif key.startswith(_CLASS):
            side = int(key.removeprefix(_CLASS))
            found[key] = (f"The face in W+, the rest in F{side}", start, Spaces(only=side, face=True), stage)
        elif key.startswith(_LAYER):
            side = int(key.removeprefix(_LAYER))
            found[key] = (f"Everything in F{side}", start, Spaces(only=side), stage)
    return found


def _swept(key: str, rows: Rows, bank: Bank) -> dict[str, tuple[Any, ...]]:
    """What a key asks for of JoIN's rows with another value of one of their settings."""
    found: dict[str, tuple[Any, ...]] = {}
    for prefix, (name, symbol) in {**_KNN, **_LOCAL}.items():
        if not key.startswith(prefix):
            continue
        text = key.removeprefix(prefix)
        with suppress(ValueError):  # keys of something else
            value: Any = text if name == "discriminator_form" else float(text)
            if name in ("neighbours", "anchors"):
                value = int(text)
            if prefix in _KNN:
                found[key] = (f"kNN loss, {symbol} {text}", MeanStart(), rows.joint(bank, **{name: value}))
            elif name != "discriminator_form" or text in FORMS:
                tuning = rows.tuning(bank, **{name: value})
                found[key] = (f"PTI w/ D loss, {symbol} {text}", EncoderStart(), rows.joint(bank), tuning)
    return found


def _lacks(preset: Preset, bank: Bank) -> str:
    """What the bank would need for it; empty where it has everything."""
    missing = [name for name in bank.forward_model.components if name not in bank.components]
    if missing:
        return f"the bank lacks {', '.join(missing)}"
    return next((lacking for stage in preset.stages if (lacking := stage.lacks(bank))), "")
