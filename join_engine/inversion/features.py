# SPDX-License-Identifier: GPL-3.0-or-later
"""Which features the reconstruction loss compares, by name.

"random": a trunk of random weights; "trunk": the bank's own; "discriminator": the bank's discriminators; "pixels": none
at all, which leaves the multi-scale pixel term of :mod:`join_engine.losses.perceptual` alone.
"""

from __future__ import annotations

from ..bank import Bank
from ..errors import JoinError
from ..networks.features import DiscriminatorFeatures, Features, RandomFeatures
from ..networks.stylegan2 import Discriminator

FEATURE_KINDS = ("random", "trunk", "discriminator", "pixels")


def make_features(kind: str, bank: Bank) -> Features | None:
    """The features of one of :data:`FEATURE_KINDS`, on the bank's device; None for "pixels".

    Raises:
        JoinError: ``trunk_missing`` or ``discriminator_missing`` when the bank does not hold what is asked for,
            ``settings_invalid`` for an unknown kind.
    """
    if kind == "pixels":
        return None
    if kind == "random":
        device = next(iter(bank.components.values())).w_avg.device
        return RandomFeatures().to(device)
    if kind == "trunk":
        if bank.trunk is None:
            message = f"The bank '{bank.header.name}' has no perceptual trunk."
            raise JoinError("trunk_missing", message, "Choose other features, or a bank with a trunk.")
        return bank.trunk
    if kind == "discriminator":
        return DiscriminatorFeatures([_discriminator(bank, name) for name in bank.components])
    known = ", ".join(FEATURE_KINDS)
    raise JoinError("settings_invalid", f"There are no features '{kind}'.", f"Known are: {known}.")


def _discriminator(bank: Bank, name: str) -> Discriminator:
    found = bank.components[name].discriminator
    if found is None:
        message = f"The bank '{bank.header.name}' has no discriminator of '{name}'."
        raise JoinError("discriminator_missing", message, "Choose other features, or a bank with discriminators.")
    return found
