# SPDX-License-Identifier: GPL-3.0-or-later
"""Regularisations of codes: of spatially adaptive multilayer inversion (Parmar 2022, Eq. 3.6), in W+,

Σ_n (ŵ_n − μ)ᵀ Σ⁻¹ (ŵ_n − μ) + ‖w_n − w_0‖², with ŵ = LeakyReLU(w, 5);

and of in-domain inversion (Zhu et al., ECCV 2020, section 3.2): an encoder looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank

# Undoes the last activation of the mapping network, whose negative slope is 0.2.
_SLOPE = 5.0


def straightened(w: Tensor) -> Tensor:
    """ŵ = LeakyReLU(w, 5) of Eq. 3.6, which makes the codes of Gaussian z nearly Gaussian; any shape."""
    return functional.leaky_relu(w, _SLOPE)


def gaussian_prior(w: Tensor, whiten: Callable[[Tensor], Tensor]) -> Tensor:
    """The first term of Eq. 3.6, a multivariate Gaussian prior: codes [B, L, D] → [B].

    The thesis prints Σ between the differences, which would hold back the directions in which codes differ most; the
    prior that it cites, and the code published with it, have the inverse. So has this.

    Args:
        w: the codes.
        whiten: coordinates of straightened codes in which sampled ones have zero mean and unit covariance.
    """
    return whiten(straightened(w)).square().sum(dim=(1, 2))


def variation(w: Tensor) -> Tensor:
    """The second term of Eq. 3.6, Σ_n ‖w_n − w_0‖², squared as printed: codes [B, L, D] → [B]."""
    return (w - w[:, :1]).square().sum(dim=(1, 2))


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
