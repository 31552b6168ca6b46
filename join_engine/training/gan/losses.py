# SPDX-License-Identifier: GPL-3.0-or-later
"""The losses of StyleGAN2: non-saturating logistic loss, R1, path length (Karras et al. 2020, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F


def generator_loss(fake_logits: torch.Tensor) -> torch.Tensor:
    """Mean softplus(−D(fake)): [B, 1] → scalar."""
    return F.softplus(-fake_logits).mean()


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Mean softplus(−D(real)) + mean softplus(D(fake)): two [B, 1] → scalar."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(discriminator: Callable[[torch.Tensor], torch.Tensor], real: torch.Tensor) -> torch.Tensor:
    """Mean over the batch of ‖∇D(real)‖² (Mescheder et al. 2018), without the factor γ/2: [B, 3, H, W] → scalar."""
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(images: torch.Tensor, ws: torch.Tensor, y: torch.Tensor | None = None) -> torch.Tensor:
    """‖Jᵀy‖ (StyleGAN2, Eq. 4): images [B, C, H, W] made from ws [B, num_ws, w_dim] → [B]. ``y``: [B, C, H, W] of unit
    variance; drawn when not given."""
    y = (torch.randn_like(images) if y is None else y) / (images.shape[2] * images.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((images * y).sum(), ws, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()


def path_length_penalty(
    lengths: torch.Tensor, mean: torch.Tensor, decay: float = 0.01, batch_mean: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared deviation from the running mean, and the new running mean: [B] and scalar → two scalars. ``batch_mean``:
    mean length of the whole batch, where ``lengths`` is a part of it."""
    new_mean = mean.lerp(lengths.detach().mean() if batch_mean is None else batch_mean, decay)
    return (lengths - new_mean).square().mean(), new_mean
