# SPDX-License-Identifier: GPL-3.0-or-later
"""SeFa: semantic directions in closed form (Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs").

JoIN uses it on the shading generator for relighting (section 5.3).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def style_weights(generator: nn.Module) -> Tensor:
    """Weights of all affine layers w → styles of a generator, one below the other: [ΣC, w_dim]."""
    weights = [weight for name, weight in generator.named_parameters() if name.endswith(".affine.weight")]
    if not weights:
        raise ValueError("the generator has no affine layers")
    return torch.cat([weight.detach() for weight in weights])


def sefa_directions(weights: Tensor) -> tuple[Tensor, Tensor]:
    """The directions in W that change the styles most: eigenvectors of AᵀA for the row-normalised A.

    Args:
        weights: A, [ΣC, w_dim], see :func:`style_weights`; each row (one style channel) counts with unit length, as in
            the published method.

    Returns:
        Directions [w_dim, w_dim], one unit vector per row, strongest first, each with a positive largest entry (an
        eigenvector has no sign of its own); and their eigenvalues [w_dim].
    """
    rows = functional.normalize(weights.double(), dim=1)
    values, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending; eigenvectors in columns
    directions = vectors.flip(1).T
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return (directions * largest.sign()).to(weights.dtype), values.flip(0).to(weights.dtype)
