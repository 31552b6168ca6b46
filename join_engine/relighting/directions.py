# SPDX-License-Identifier: GPL-3.0-or-later
"""The directions along which a component can be edited: named ones where the bank has learned any, SeFa's below.

A bank's component may carry ``directions``, a mapping of names to vectors in W ([w_dim], or [num_ws, w_dim] in W+):
what one standard deviation of that attribute of the light, over the bank's renders, changes in its code. Components
that the same light makes share its names and its unit, so that one amount for all of them is one light. SeFa's
directions have no names, are found in the generator's own weights and are called ``sefa.0``, ``sefa.1`` …, strongest
first; those of GANSpace are the principal components of the bank's codes, ``ganspace.0``, ``ganspace.1`` …, which no
list tells. The unit of both is one standard deviation of the bank's codes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import MATERIAL, BankComponent
from ..errors import JoinError
from ..inversion.codebook import Whitening
from ..networks.stylegan2 import Generator

SEFA, GANSPACE = "sefa.", "ganspace."
# Beyond so many standard deviations a generator leaves what it has learned.
_REACH = 3.0
_SPREAD_CODES = 10_000
PLACED = ("left_right", "up_down")
"""Attributes that codes tell well: of 80 renders of *materials* the correlation of what :meth:`Directions.speaks` tells
with the light's true place was 0.90 and 0.89, of distance and intensity −0.04 and 0.22."""

# What is known about the names that a bank may use, in the order in which a person looks for them.
_NAMED = {
    "left_right": ("Left / Right", "Moves the light to the left (below 0) or to the right (above 0)"),
    "up_down": ("Up / Down", "Moves the light down (below 0) or up (above 0)"),
    "distance": ("Distance", "Moves the light nearer (below 0) or farther away (above 0)"),
    "size": ("Size", "Makes the light small and its shadows hard (below 0), or large and its shadows soft (above 0)"),
    "intensity": ("Intensity", "Makes the light weaker (below 0) or stronger (above 0)"),
    "warmth": ("Warmth", "Makes the light cold and blue (below 0), or warm and yellow (above 0)"),
    "fill": ("Fill", "Leaves the shadows dark (below 0), or lets light from all around into them (above 0)"),
}

# The same of materials: what an amount of 1 does.
_MATERIALS = {
    "wet": ("Wet", "Lets the surface look wet"),
    "worn": ("Worn", "Lets the surface look worn"),
    "dusty": ("Dusty", "Lets dust lie on the surface"),
    "rusty": ("Rusty", "Lets the surface rust"),
    "roughness": ("Rougher", "Makes the surface rougher, its highlights duller"),
    "relief": ("Deeper Relief", "Makes the surface's relief deeper"),
    "hue": ("Hue", "Turns the colours"),
}


@dataclass(frozen=True)
class Direction:
    """What a person is told about a direction.

    Args:
        component: such as "shading".
        name: as an edit calls it: "left_right", "sefa.0".
        label, description: for a slider and its tooltip.
        minimum, maximum: between which it stays plausible, in standard deviations.
        unit, at: of :data:`PLACED` directions: one standard deviation, and where the light seems to stand in the image;
            sines of angles as one sees them in the picture.
    """

    component: str
    name: str
    label: str
    description: str
    minimum: float = -_REACH
    maximum: float = _REACH
    unit: float | None = None
    at: float | None = None


class Directions:
    """The directions of one component and one of its generators, found once and kept.

    Args:
        component: of the bank; its sampled codes say how long a standard deviation is.
        generator: the component's own, or one that was tuned to an image.
    """

    def __init__(self, component: BankComponent, generator: Generator) -> None:
        self._component = component
        self._named: Mapping[str, Tensor] = component.directions
        self._sefa = sefa_directions(style_weights(generator))
        self._vectors: dict[str, Tensor] = {}

    def list(self, sefa: int) -> Sequence[Direction]:
        """The light's named directions first, those that everybody knows before others; then the ``sefa`` strongest of
        SeFa's."""
        owner = self._component.name
        names = [name for name in _NAMED if name in self._named]
        names += [name for name in self._named if name not in _NAMED and not name.startswith(MATERIAL)]
        found = []
        for name in names:
            fallback = (name.replace("_", " ").capitalize(), f"Changes the {owner} along '{name}'")
            found.append(Direction(owner, name, *_NAMED.get(name, fallback)))
        for index in range(min(sefa, len(self._sefa))):
            words = (
                f"Changes the {owner} along direction {index + 1} of the strongest that its generator knows. "
                "What it does depends on the bank: try it"
            )
            found.append(Direction(owner, f"{SEFA}{index}", f"{owner.capitalize()} {index + 1}", words))
        return found

    def materials(self) -> Sequence[Direction]:
        """Named directions of materials, from 0 to 1, in the order of those that everybody knows."""
        owner, known = self._component.name, [f"{MATERIAL}{name}" for name in _MATERIALS]
        found: Any = []
        for name in [name for name in (*known, *self._named) if name in self._named and name.startswith(MATERIAL)]:
            plain = name.removeprefix(MATERIAL)
            words = _MATERIALS.get(plain, (plain.replace("_", " ").capitalize(), f"Changes the {owner}"))
            if name not in [one.name for one in found]:
                found.append(Direction(owner, name, *words, minimum=0.0, maximum=1.0))
        return found

    def has(self, name: str) -> bool:
        """Whether the bank has learned a direction of this name."""
        return name in self._named

    def speaks(self, name: str, codes: Tensor) -> tuple[float, float]:
        """How far codes [L, w_dim] are along a learned direction among all that the generator makes, and how sure that
        is: the sum of the first of several components over the sum of the second is the amount in standard deviations
        (generalised least squares with the covariance of sampled codes)."""
        vector = self._whitening.turn(self._named[name])
        told = self._whitening.whiten(codes.to(vector)).mean(dim=0)
        return float((told * vector).sum()), float(vector.square().sum())

    @cached_property
    def _whitening(self) -> Whitening:
        return Whitening(self._component.sample_codes(_SPREAD_CODES))

    def vector(self, name: str) -> Tensor:
        """One standard deviation along a direction: [w_dim], or [num_ws, w_dim] in W+. Raises JoinError
        ``edit_invalid`` for a name that is not there."""
        if name not in self._vectors:
            self._vectors[name] = self._named[name] if name in self._named else self._found_vector(name)
        return self._vectors[name]

    @torch.no_grad()
    def _found_vector(self, name: str) -> Tensor:
        method = GANSPACE if name.startswith(GANSPACE) else SEFA
        number = name.removeprefix(method)
        index = int(number) if name.startswith(method) and number.isascii() and number.isdigit() else None
        if index is None or index >= len(self._sefa):
            last = len(self._sefa) - 1
            known = [*self._named, *(f"{each}0 to {each}{last}" for each in (SEFA, GANSPACE))]
            message = f"'{self._component.name}' has no direction '{name}'."
            raise JoinError("edit_invalid", message, f"There are: {', '.join(known)}.")
        codes = self._component.sample_codes()
        direction = self._sefa[index] if method == SEFA else principal_directions(codes)[index]
        return direction * (codes @ direction).std()


def direction_name(value: Any) -> str:
    """The name of a direction that was given as one, or as SeFa's number. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise ValueError(value)
    return f"{SEFA}{value}" if isinstance(value, int) else value


def principal_directions(codes: Tensor) -> Tensor:
    """The directions of GANSpace (Härkönen et al. 2020), which SAM edits along: principal components of sampled codes
    [N, w_dim] → unit vectors [w_dim, w_dim], one a row, widest first, each with a positive largest entry."""
    _, vectors = torch.linalg.eigh(torch.cov(codes.T.double()))  # ascending; eigenvectors in columns
    return _signed(vectors.flip(1).T).to(codes.dtype)


def style_weights(generator: Generator) -> Tensor:
    """Weights of the affine layers w → styles that SeFa is about, one below the other: [ΣC, w_dim].

    They are those of all convolutions and of the last RGB output, as in the published method: the outputs of the blocks
    before are left behind by what follows.
    """
    last = generator.synthesis.block_resolutions[-1]
    weights = [
        weight
        for name, weight in generator.named_parameters()
        if name.endswith(".affine.weight") and (".torgb." not in name or f".b{last}." in name)
    ]
    return torch.cat([weight.detach() for weight in weights])


def sefa_directions(weights: Tensor) -> Tensor:
    """The directions in W that change the styles most: eigenvectors of AᵀA for the row-normalised A.

    SeFa (Shen and Zhou, "Closed-Form Factorization of Latent Semantics in GANs"), which JoIN uses on the shading
    generator for relighting (section 5.3).

    Args:
        weights: A, [ΣC, w_dim], see :func:`style_weights`; each row (one style channel) counts with unit length, as in
            the published method.

    Returns:
        [w_dim, w_dim], one unit vector per row, strongest first, each with a positive largest entry (an eigenvector has
        no sign of its own).
    """
    rows = functional.normalize(weights.double(), dim=1)
    _, vectors = torch.linalg.eigh(rows.T @ rows)  # ascending; eigenvectors in columns
    return _signed(vectors.flip(1).T).to(weights.dtype)


def _signed(directions: Tensor) -> Tensor:
    """Rows with a positive largest entry: an eigenvector has no sign of its own."""
    return directions * directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
