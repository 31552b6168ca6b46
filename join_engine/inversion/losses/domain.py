# SPDX-License-Identifier: GPL-3.0-or-later
"""The domain regularisation of in-domain inversion (Zhu et al., ECCV 2020, section 3.2): an encoder looks again."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...bank import Bank


def domain_loss(bank: Bank, codes: Mapping[str, Tensor], image: Tensor) -> Tensor:
    """‖w − E(G(w))‖² for every generator, with the encoders looking at the image that they all make together:
    Σ_i mean((w_i − E_i(I(w_1, …, w_n)))²). A bank of one generator has the published term, for there I(w) is G(w).

    The paper prints the norm; this is the mean of the squares, as published with the paper. The gradient goes through
    encoders and generators. Raises JoinError ``encoder_missing``.

    Args:
        bank: with encoders.
        codes: of each component, [B, L, w_dim]; an encoder that tells one code is compared with every layer's.
        image: I of these codes, sRGB-encoded [B, 3, R, R].

    Returns:
        [B].
    """
    seen = {name: bank.components[name].encode(image) for name in codes}
    return torch.stack([(w - seen[name]).square().mean(dim=(1, 2)) for name, w in codes.items()]).sum(dim=0)
