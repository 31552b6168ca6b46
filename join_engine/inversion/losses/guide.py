# SPDX-License-Identifier: GPL-3.0-or-later
"""What the encoders see, as a guide of the joint inversion.

Not in the paper, whose encoders only say where to start. The image alone does not tell how bright the light is, so that
an optimisation which looks at nothing else lets albedo and shading trade; the encoders have learned what is likely.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank
from ...images.orientation import Orientation, known_orientations

_AT_ONCE = 32  # pictures that the encoders look at


def guide_loss(
    outputs: Mapping[str, Tensor], seen: Mapping[str, Tensor], weight: float, quarters_weight: float
) -> Tensor:
    """Mean squared distances of the components from what the encoders see in an image, weighted, and summed over the
    components: [B].

    Of the encoders' answer the brightness is what the image cannot tell, so that it may count more than the rest: it is
    compared as the mean of each quarter of the picture.

    Args:
        outputs: of each component [B, 3, R, R] in the generators' range.
        seen: likewise, as :func:`encoders_see` tells it.
        weight: of the squared distance, pixel by pixel.
        quarters_weight: of that between the quarters' means.
    """
    total = torch.zeros(1, device=next(iter(seen.values())).device)
    for name, made in seen.items():
        offset = outputs[name] - made
        quarters = functional.adaptive_avg_pool2d(offset, 2)
        total = total + weight * _mean_square(offset) + quarters_weight * _mean_square(quarters)
    return total


def _mean_square(offset: Tensor) -> Tensor:
    """[B, C, H, W] → [B]."""
    return offset.square().mean(dim=(1, 2, 3))


def encoders_see(bank: Bank, target: Tensor) -> dict[str, Tensor]:
    """What a bank's generators make of what its encoders see in sRGB-encoded images, all [B, 3, R, R].

    An encoder that was trained on mirrored or turned samples, too, looks at the image in all of these ways, and what it
    sees on average counts.
    """
    return {name: _seen(bank, name, target) for name in bank.forward_model.components}


@torch.no_grad()
def _seen(bank: Bank, name: str, target: Tensor) -> Tensor:
    """[B, 3, R, R] in the generator's range."""
    component, views = bank.components[name], _views(bank, name)
    # Many views at once: small pictures one by one leave a processor idle most of the time.
    at_once, made = max(1, _AT_ONCE // len(target)), []
    for first in range(0, len(views), at_once):
        some = views[first : first + at_once]
        seen = component.seen(torch.cat([view.of(target) for view in some])).chunk(len(some))
        made += [view.back(part) for view, part in zip(some, seen, strict=True)]
    return torch.stack(made).mean(dim=0)


def _views(bank: Bank, name: str) -> tuple[Orientation, ...]:
    encoder = bank.header.components[name].encoder
    return known_orientations({} if encoder is None else encoder.training)


def know_mirrored(bank: Bank) -> bool:
    """Whether all of a bank's encoders were trained on mirrored samples, too."""
    return bank.has_encoders and all(Orientation(flip=True) in _views(bank, name) for name in bank.components)
