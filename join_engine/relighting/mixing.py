# SPDX-License-Identifier: GPL-3.0-or-later
"""One decomposition's codes with another's: style mixing by groups of layers, and interpolation.

Both are edits of in-domain inversion (Zhu et al., ECCV 2020, supplement, sections 3 and 5), here of one component or of
all of a bank's: a material with another one's colours, under its own light.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ..bank import Bank
from ..errors import JoinError
from ..layers.decomposition import Decomposition
from ..networks.residuals import Residual
from ..networks.stylegan2 import generate
from .relighter import Layers, Relighter, to_layer


@dataclass(frozen=True)
class Amounts:
    """How much of another decomposition's codes, 0 for none and 1 for all of them, by what the layers say.

    Attributes:
        layout: the first layers, up to 8 pixels: where what is.
        pattern: those in the middle.
        colour: the last four of ten: colours and fine pattern (the paper's style mixing has the last four of fourteen,
            of 256 pixels).
    """

    layout: float = 0.0
    pattern: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        for name, amount in asdict(self).items():
            if not 0.0 <= amount <= 1.0:
                message = f"An amount of {amount:g} of the other's {name} cannot be mixed in."
                raise JoinError("edit_invalid", message, "Choose 0 to 1.")

    def of_layers(self, num_ws: int) -> np.ndarray:
        """For each of a generator's layers, [num_ws] float32."""
        first, last = round(0.3 * num_ws), round(0.4 * num_ws)
        groups = [(self.layout, first), (self.pattern, num_ws - first - last), (self.colour, last)]
        return np.concatenate([np.full(count, amount, np.float32) for amount, count in groups])


def mix(
    relighter: Relighter,
    other: Decomposition,
    amounts: Amounts,
    components: Sequence[str] = ("albedo",),
) -> Decomposition:
    """A decomposition with another one's codes mixed in: code n is (1 − t_n) w_n + t_n w'_n.

    Layers keep their detail as they do when the light is moved: what the generator's output changes by changes them.

    Args:
        relighter: of the decomposition that is mixed into.
        other: of the same bank.
        amounts: t_n, by groups of layers.
        components: whose codes are mixed; all others, and all of them at amounts of 0, stay the same to the bit.

    Raises:
        JoinError: ``bank_mismatch``; ``edit_invalid`` for a component that is not there.
    """
    mine = relighter.decomposition
    _check_same(mine, other)
    unknown = [name for name in components if name not in mine.codes]
    if unknown:
        known = f"There are: {', '.join(mine.codes)}."
        raise JoinError("edit_invalid", f"There is no component '{unknown[0]}'.", known)
    codes = dict(mine.codes)
    for name in components:
        num_ws = relighter.num_ws(name)
        t = amounts.of_layers(num_ws)[:, None]
        if t.any():
            shape = (num_ws, codes[name].shape[1])
            own, theirs = (np.broadcast_to(code, shape) for code in (codes[name], other.codes[name]))
            codes[name] = np.where(t == 1.0, theirs, own + t * (theirs - own)).astype(np.float32)
    changed = [name for name in components if codes[name] is not mine.codes[name]]
    told = {"mixed": {**asdict(amounts), "components": list(components)}}
    return relighter.moved(codes, changed, told)


@torch.no_grad()
def interpolate(first: Decomposition, last: Decomposition, bank: Bank, steps: int = 5) -> list[Layers]:
    """What the generators make between two decompositions: of codes (1 − t) w_a + t w_b, at ``steps`` values of t
    from 0 to 1.

    Residual features fade out and in with t. Of tuned generators nothing is taken over.

    Returns:
        By component, linear [R, R, 3] at the bank's resolution, of each t.

    Raises:
        JoinError: ``bank_mismatch``, ``decomposition_broken``, and ``settings_invalid`` for fewer than two steps.
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
        ends = [_tensor(each.codes[name], part.w_avg).expand(1, part.generator.num_ws, -1) for each in (first, last)]
        hooks: dict[int, Residual] = {}
        for decomposition, share in ((first, 1.0 - t), (last, t)):
            features = decomposition.features.get(name)
            for side, delta in ({} if features is None else features.deltas).items():
                assert features is not None
                added = _tensor(delta, part.w_avg) * _tensor(features.masks[side], part.w_avg) * share
                before = hooks[side].delta if side in hooks else torch.zeros_like(added)
                hooks[side] = Residual(before + added, torch.ones_like(added[:, :1]))
        output = generate(part.generator, torch.lerp(ends[0], ends[1], t), hooks=hooks)
        made[name] = to_layer(part.transform.from_generator(output))
    return made


def _tensor(array: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).to(like)[None]


def _check_same(one: Decomposition, other: Decomposition) -> None:
    if one.bank_sha256 != other.bank_sha256:
        message = f"The two were decomposed with other banks ('{one.bank_name}' and '{other.bank_name}')."
        raise JoinError("bank_mismatch", message, "Decompose both with the same one.")


def shown(layers: Mapping[str, np.ndarray], bank: Bank) -> dict[str, np.ndarray]:
    """Components and the image that they make, linear."""
    return {**layers, "image": np.asarray(bank.forward_model.compose(layers))}
