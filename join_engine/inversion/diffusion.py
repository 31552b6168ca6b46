# SPDX-License-Identifier: GPL-3.0-or-later
"""Semantic diffusion: a patch of one picture in another one's surroundings (Zhu et al., ECCV 2020, supplement,
section 6), of all generators of a bank at once.

The patch is pasted onto the context, the encoders see what came of it, and from their codes on the masked optimisation
compares with the patch alone, without any regularisation: the surroundings adapt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bank import Bank
from ..errors import JoinError
from ..networks.stylegan2 import generate
from .invert import invert
from .losses.reconstruction import reconstruction_loss
from .presets import Preset
from .progress import Clock, Monitor, Progress
from .stage import Stage
from .stages.encoder_start import EncoderStart
from .stages.joint import Joint

# As published: 100 steps at a rate that stays the same.
STEPS = 100
_SEARCH = Joint(STEPS, 0.01, ramp_up=0.0, ramp_down=0.0, knn_weight=0.0, space="w+")


@dataclass(frozen=True)
class Diffused:
    """What became of a batch of patches.

    Attributes:
        stitched: the patches pasted onto their contexts, sRGB-encoded [B, 3, R, R].
        seen: what the generators make at the start: of what the encoders see in that, likewise.
        image: what they make in the end, likewise.
        laid: context where there is no patch, to the bit, and ``image`` where there is one.
        components: of ``image``, linear [B, 3, R, R] each.
        latents: its codes, [B, num_ws, w_dim].
    """

    stitched: Tensor
    seen: Tensor
    image: Tensor
    laid: Tensor
    components: dict[str, Tensor]
    latents: dict[str, Tensor]


def diffuse(
    bank: Bank,
    context: Tensor,
    patch: Tensor,
    mask: Tensor,
    steps: int = _SEARCH.steps,
    start: Stage | None = None,
) -> Diffused:
    """Lay what a mask has of one picture into another. Raises JoinError ``encoder_missing``; ``mask_empty`` where a
    mask has nothing; and as :func:`join_engine.inversion.invert.invert`.

    Args:
        bank: with encoders.
        context, patch: sRGB-encoded [B, 3, R, R] at the bank's resolution.
        mask: [B, 1, R, R] in [0, 1]: where the patch counts.
        steps: of the masked optimisation.
        start: where the search begins; None for what the encoders see, which makes it in-domain.
    """
    if not (mask.flatten(1) > 0.0).any(dim=1).all():
        raise JoinError("mask_empty", "There is no patch to lay into the picture.", "Choose a larger one.")
    start, search = start or EncoderStart(space="w+"), replace(_SEARCH, steps=steps, features=_features(bank))
    stitched = torch.lerp(context, patch, mask)
    begun = invert(bank, stitched, Preset("diffusion", (start,)))
    found = invert(bank, stitched, Preset("diffusion", (start, search)), region=mask)
    with torch.no_grad():
        seen = begun.render(begun.synthesize())
        outputs = found.synthesize()
        image = found.render(outputs)
    laid = torch.where(mask > 0.0, torch.lerp(context, image, mask), context)
    return Diffused(stitched, seen, image, laid, found.decode(outputs), found.latents)


def component_codes(
    bank: Bank,
    name: str,
    start: Tensor,
    target: Tensor,
    mask: Tensor,
    steps: int = STEPS,
    rate: float = _SEARCH.learning_rate,
    features: str | None = None,
    monitor: Monitor | None = None,
) -> Tensor:
    """The masked optimisation of one component alone, which is given; the codes of all others have no part in it.

    Args:
        bank: see there.
        name: of the component.
        start: codes to begin with, [B, 1 or num_ws, w_dim].
        target: the component, in its generator's range, [B, 3, R, R].
        mask: [B, 1, R, R] in [0, 1]: where it counts.
        steps: see :func:`diffuse`.
        monitor: see :func:`join_engine.inversion.invert.invert`.
        rate: of learning, throughout.
        features: see :class:`join_engine.inversion.stages.joint.Joint`; None for those of :func:`diffuse`.

    Returns:
        [B, num_ws, w_dim], the best of the search.
    """
    part, monitor = bank.components[name], monitor or Monitor()
    features = features or _features(bank)
    codes = start.expand(-1, part.generator.num_ws, -1).clone().requires_grad_()
    distance = reconstruction_loss(replace(_SEARCH, features=features), bank, _shown(target) * mask, 0)
    optimizer = torch.optim.Adam([codes], lr=rate)
    best, lowest, clock = codes.detach().clone(), torch.full((len(start),), torch.inf).to(start), Clock(max(steps, 1))
    for step in range(steps):
        if monitor.cancelled():
            break
        loss = distance(_shown(generate(part.generator, codes)) * mask)  # [B]
        better = loss.detach() < lowest
        best = torch.where(better[:, None, None], codes.detach(), best)
        lowest = torch.where(better, loss.detach(), lowest)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()
        optimizer.step()
        monitor.on_progress(Progress(_SEARCH.kind, step + 1, steps, float(loss.detach().mean()), clock.left(step + 1)))
    return best


def _features(bank: Bank) -> str:
    return "random" if bank.trunk is None else "trunk"


def _shown(output: Tensor) -> Tensor:
    """A generator's range as a picture's, [0, 1]."""
    return (output + 1.0) / 2.0


def crop(resolution: int, side: int) -> Tensor:
    """The mask of a square of so many pixels in the middle, [1, 1, R, R]. Raises JoinError ``settings_invalid``."""
    if not 0 < side < resolution:
        message = f"A crop of {side} pixels does not fit into {resolution}."
        raise JoinError("settings_invalid", message, f"Choose 1 to {resolution - 1}.")
    mask, first = torch.zeros(1, 1, resolution, resolution), (resolution - side) // 2
    mask[:, :, first : first + side, first : first + side] = 1.0
    return mask
