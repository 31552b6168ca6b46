# SPDX-License-Identifier: GPL-3.0-or-later
"""One decomposition's codes with another's: style mixing by groups of layers, and interpolation.

Both are edits of in-domain inversion (Zhu et al., ECCV 2020, supplement, sections 3 and 5), here of one component or of
all of a bank's: a material with another one's colours, under its own light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from ..bank import Bank
from ..errors import JoinError
from ..layers.decomposition import Decomposition
from ..networks.residuals import Residual
from ..networks.stylegan2 import generate
from .layer_groups import MIX
from .relighter import Edit, Layers, Relighter, item_like, to_layer


def with_other(mine: Decomposition, other: Decomposition) -> Decomposition:
    """A decomposition that can be mixed with another: its albedo gets directions ``mix.colour``, ``mix.pattern`` and
    ``mix.layout``, along which an amount t from 0 to 1 makes of code n of that group of layers (1 − t) w_n + t w'_n.
    Raises JoinError ``bank_mismatch``; ``edit_invalid`` where there is no albedo."""
    _check_same(mine, other)
    if "albedo" not in mine.codes:
        known = f"There are: {', '.join(mine.codes)}."
        raise JoinError("edit_invalid", "There is no component 'albedo'.", known)
    return replace(mine, other={"albedo": other.codes["albedo"]})


def mix(mine: Decomposition, other: Decomposition, bank: Bank, amounts: Mapping[str, float]) -> Decomposition:
    """A decomposition with another one's albedo mixed into its own, by groups of layers; its light stays the same to
    the bit, and so does everything where all amounts are 0.

    Layers keep their detail as they do when the light is moved: what the generator's output changes by changes them.
    Raises JoinError as :func:`with_other`; ``edit_invalid`` for other amounts.

    Args:
        mine: that is mixed into.
        other: of the same bank.
        amounts: t from 0 to 1, by "colour", "pattern" and "layout".
    """
    for name, amount in amounts.items():
        if not 0.0 <= amount <= 1.0:
            message = f"An amount of {amount:g} of the other's {name} cannot be mixed in."
            raise JoinError("edit_invalid", message, "Choose 0 to 1.")
    edits = [Edit("albedo", f"{MIX}{name}", amount) for name, amount in amounts.items() if amount]
    return Relighter(with_other(mine, other), bank).relight(edits)


@torch.no_grad()
def interpolate(first: Decomposition, last: Decomposition, bank: Bank, steps: int = 5) -> list[Layers]:
    """What the generators make between two decompositions: of codes (1 − t) w_a + t w_b, at ``steps`` values of t
    from 0 to 1.

    Residual features fade out and in with t. Of tuned generators nothing is taken over. Raises JoinError
    ``bank_mismatch``, ``decomposition_broken``, and ``settings_invalid`` for fewer than two steps. Returns by
    component, linear [R, R, 3] at the bank's resolution, of each t.
    """
    if steps < 2:
        raise JoinError("settings_invalid", f"An interpolation has no {steps} steps.", "Ask for 2 or more.")
    _check_same(first, last)
    for each in (first, last):
        Relighter(each, bank)  # whose codes fit the bank
    return [_between(first, last, bank, t) for t in torch.linspace(0.0, 1.0, steps).tolist()]


def _between(first: Decomposition, last: Decomposition, bank: Bank, t: float) -> Layers:
    made = {}
    for name in first.codes:
        part = bank.components[name]
        ends = [item_like(each.codes[name], part.w_avg).expand(1, part.generator.num_ws, -1) for each in (first, last)]
        hooks: dict[int, Residual] = {}
        for decomposition, share in ((first, 1.0 - t), (last, t)):
            features = decomposition.features.get(name)
            for side, delta in ({} if features is None else features.deltas).items():
                assert features is not None
                added = item_like(delta, part.w_avg) * item_like(features.masks[side], part.w_avg) * share
                before = hooks[side].delta if side in hooks else torch.zeros_like(added)
                hooks[side] = Residual(before + added, torch.ones_like(added[:, :1]))
        output = generate(part.generator, torch.lerp(ends[0], ends[1], t), hooks=hooks)
        made[name] = to_layer(part.transform.from_generator(output))
    return made


def _check_same(one: Decomposition, other: Decomposition) -> None:
    if one.bank_sha256 != other.bank_sha256:
        message = f"The two were decomposed with other banks ('{one.bank_name}' and '{other.bank_name}')."
        raise JoinError("bank_mismatch", message, "Decompose both with the same one.")


def shown(layers: Mapping[str, np.ndarray], bank: Bank) -> dict[str, np.ndarray]:
    """Components and the image that they make, linear."""
    return {**layers, "image": np.asarray(bank.forward_model.compose(layers))}
