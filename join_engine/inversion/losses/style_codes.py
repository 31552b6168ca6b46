# SPDX-License-Identifier: GPL-3.0-or-later
"""The regularisation of codes in W+ of spatially adaptive multilayer inversion (Parmar 2022, Eq. 3.6):

Σ_n (ŵ_n − μ)ᵀ Σ⁻¹ (ŵ_n − μ) + ‖w_n − w_0‖², with ŵ = LeakyReLU(w, 5).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

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
