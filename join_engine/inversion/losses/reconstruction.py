# SPDX-License-Identifier: GPL-3.0-or-later
"""Which features the reconstruction loss compares, by name.

"random": a trunk of random weights; "trunk": the bank's own; "discriminator": the bank's discriminators; "vgg16",
"alexnet", "squeezenet" and "efficientnet-lite0": over ImageNet weights that the user has
(:mod:`join_engine.inversion.losses.elpips_weights`); "pixels": none at all, which leaves the multi-scale pixel term of
:mod:`join_engine.inversion.losses.perceptual` alone. A plus makes a sum of several, as in "trunk+random".
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from ...bank import Bank
from ...errors import JoinError
from ...networks.features import DiscriminatorFeatures, RandomFeatures, SummedFeatures
from ...networks.stylegan2 import Discriminator
from .elpips import ELpips
from .elpips_weights import KNOWN, load_published
from .perceptual import PerceptualLoss

# Those that need nothing but a bank; the published ones (KNOWN) come beside them.
FEATURE_KINDS = ("random", "trunk", "discriminator", "pixels")


class ReconstructionSettings(Protocol):
    """What a stage's settings say of L; see :class:`join_engine.inversion.stages.joint.Joint`."""

    @property
    def pixel_weight(self) -> float: ...
    @property
    def feature_weight(self) -> float: ...
    @property
    def features(self) -> str: ...
    @property
    def ensemble(self) -> bool: ...


def reconstruction_loss(
    settings: ReconstructionSettings,
    bank: Bank,
    target: Tensor,
    seed: int,
    draws: int = 1,
    dtype: torch.dtype | None = None,
    style_weight: float = 0.0,
) -> PerceptualLoss:
    """L of Eq. 4 and 11 as the settings want it, for targets [B, 3, R, R]; ``draws`` of an ensemble follow the seed.
    ``style_weight``: see :class:`join_engine.inversion.losses.perceptual.PerceptualLoss`. Raises JoinError as
    :func:`make_features`."""
    features = make_features(settings.features, bank)
    ensemble = None
    if settings.ensemble and features is not None:
        ensemble = ELpips(features, target, draws, seed, dtype=dtype)
    weights = settings.pixel_weight, settings.feature_weight
    return PerceptualLoss(target, *weights, features, ensemble, dtype, style_weight)


def make_features(kind: str, bank: Bank) -> nn.Module | None:
    """One of :data:`FEATURE_KINDS`, a published trunk or a sum, on the bank's device; None for "pixels". Raises
    JoinError ``trunk_missing`` or ``discriminator_missing`` when the bank does not hold what is asked for,
    ``settings_invalid`` for an unknown kind, ``weights_missing`` for a trunk that the user has not got."""
    if "+" in kind:
        parts = [make_features(part, bank) for part in kind.split("+")]
        return SummedFeatures([part for part in parts if part is not None])
    if kind == "pixels":
        return None
    device = next(iter(bank.components.values())).w_avg.device
    if kind == "random":
        return RandomFeatures().to(device)
    if kind == "trunk":
        if bank.trunk is None:
            message = f"The bank '{bank.header.name}' has no perceptual trunk."
            raise JoinError("trunk_missing", message, "Choose other features, or a bank with a trunk.")
        return bank.trunk
    if kind in KNOWN:
        return load_published(kind).to(device)
    if kind == "discriminator":
        return DiscriminatorFeatures([_discriminator(bank, name) for name in bank.components])
    known = ", ".join((*FEATURE_KINDS, *KNOWN))
    raise JoinError("settings_invalid", f"There are no features '{kind}'.", f"Known are: {known}.")


def features_lacking(kind: str, bank: Bank) -> str:
    """What such features need and a bank has not, as "the bank has no …"; empty where there is everything."""
    kinds = kind.split("+")
    without = [name for name, component in bank.components.items() if component.discriminator is None]
    if without and "discriminator" in kinds:
        return f"the bank has no discriminator of {', '.join(without)}"
    if bank.trunk is None and "trunk" in kinds:
        return "the bank has no perceptual trunk"
    return ""


def _discriminator(bank: Bank, name: str) -> Discriminator:
    found = bank.components[name].discriminator
    if found is None:
        message = f"The bank '{bank.header.name}' has no discriminator of '{name}'."
        raise JoinError("discriminator_missing", message, "Choose other features, or a bank with discriminators.")
    return found
