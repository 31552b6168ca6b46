# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames of a sequence, one after the other: an albedo that stays the same where the scene does.

This is not in the paper. Each frame comes with layers of its own, and their albedo flickers with the noise, the light
and the compression of the frames. Paint does not: pixel by pixel the albedo is the mean of what the frames so far tell,
each weighed as in :mod:`join_engine.layers.together`, at most :data:`MEMORY` frames of it. Where a frame tells
something else than was known by more than is expected of it, something has moved there, and what was known is forgotten
as far as that goes; so it is everywhere after a cut. The light takes what the albedo leaves, and the layers make every
frame exactly. The camera is thought to stand still: where it moves, the frames' own albedos come out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..images.frame import picture_of
from ..networks.split import luminance
from .split import into_bounds
from .together import AGREES, ERROR, Layers, Photo, View, around

MEMORY = 24
"""Frames."""
_DARK = 5e-5
_FORGETS = 4  # power of the agreement: what is known halves in a frame where that is 0.84
_SEEN = 0.08  # logarithms: a change of a frame's own colours that is surely more than noise
_CUT = 0.6  # share of the pixels that have changed
_LEVELS = 3  # rounds in which the light's colour and the paint that agrees are told apart


class Steady:
    """The albedo of a sequence as far as it has been followed.

    :attr:`state` holds all that is known, so that a run that was ended goes on where it was.
    """

    def __init__(self, state: Mapping[str, np.ndarray] | None = None) -> None:
        self._state = {name: torch.from_numpy(np.array(value)) for name, value in (state or {}).items()}

    @property
    def state(self) -> dict[str, np.ndarray]:
        """By name: "paint" [1, 3, H, W], the logarithm of the albedo; "known" [1, 1, H, W], the weight behind it;
        "colours" [1, 2, H, W], the frames' chromaticity. Empty before the first frame."""
        return {name: value.numpy() for name, value in self._state.items()}

    @torch.no_grad()
    def follow(self, frame: Photo) -> Layers:
        """The layers of the next frame: its own with the albedo that is known, linear float32 [H, W, 3] ≥ 0.

        A frame of another size begins anew.
        """
        view = View(frame)
        colours = _chromaticity(view.image)
        paint, offset, agreement = view.paint, torch.zeros(1, 3, 1, 1), torch.ones_like(view.weight)
        known = view.weight
        if self._state and self._state["paint"].shape == paint.shape:
            before, weight = self._state["paint"], self._state["known"]
            still = _still(colours, self._state["colours"])
            if float((still < 0.5).to(still).mean()) < _CUT:
                offset, agreement = _compared(paint, before, view, weight * still)
                agreement = agreement * still
                weight = weight * agreement**_FORGETS
                known = weight + view.weight
                paint = (weight * before + view.weight * (paint - offset)) / known
                colours = self._state["colours"] + (colours - self._state["colours"]) * (view.weight / known)
        most = MEMORY * view.weight.mean()
        self._state = {"paint": paint, "known": known.clamp_max(float(most)), "colours": colours}
        albedo = paint.exp()
        albedo = albedo * into_bounds(albedo)
        layers = view.lit(albedo, albedo.clamp_min(_DARK).log(), agreement, offset)
        return {"albedo": picture_of(albedo), **layers}


def _compared(paint: Tensor, before: Tensor, view: View, weight: Tensor) -> tuple[Tensor, Tensor]:
    """By which constant a frame's paint [1, 3, H, W] differs from what is known, [1, 3, 1, 1], and how far they agree
    otherwise, [1, 1, H, W] in (0, 1]."""
    both = view.weight * weight
    agreement = torch.ones_like(both)
    offset = torch.zeros(1, 3, 1, 1)
    for _ in range(_LEVELS):
        trusted = both * agreement
        offset = (trusted * (paint - before)).sum(dim=(2, 3), keepdim=True) / trusted.sum().clamp_min(1e-9)
        apart = luminance(paint - offset - before) / (AGREES * (view.error + ERROR))
        agreement = 1.0 / (1.0 + around(apart).square())
    return offset, agreement


def _chromaticity(image: Tensor) -> Tensor:
    """The colour of linear light without its brightness, which is what light changes least: [1, 3, H, W] →
    [1, 2, H, W] logarithms."""
    light = (image + 0.004).log()
    return light[:, ::2] - light[:, 1:2]


def _still(colours: Tensor, before: Tensor) -> Tensor:
    """Where a frame shows the same colours as before, [1, 1, H, W] in (0, 1]: what comes into the picture has others.

    A change of the light's colour, which is everywhere, is none.
    """
    change = colours - before
    change = change - change.flatten(2).median(dim=2).values[..., None, None]
    return 1.0 / (1.0 + (around(change).square().sum(dim=1, keepdim=True) / _SEEN**2).square())
