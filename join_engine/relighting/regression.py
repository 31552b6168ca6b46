# SPDX-License-Identifier: GPL-3.0-or-later
"""What an attribute of the light does to codes in W, what codes tell about it, and where it divides them.

The two linear regressions answer different questions. :func:`mean_effects` regresses codes on attributes: how far does
a code move, on average, when the light does? A renderer draws its light independently of what it shines on, so this is
the effect of the light itself, and it gives the directions of an edit. :func:`read_attributes` regresses attributes on
codes: what light does a code speak of? Its weights make a measuring instrument, and no edit: they point to wherever the
attribute is told apart from everything else best, where a generator may never have been. :func:`boundary_normals` are
those of the planes that divide codes with much of an attribute from codes with little of it, which in-domain inversion
moves codes along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Of the logistic regression; the ridge in units of the codes' variance per dimension.
_NEWTON_STEPS, _RIDGE = 20, 1e-2
# Of the codes' variance per dimension: from hardly any ridge to hardly any slope.
PENALTIES = tuple(10.0 ** (exponent / 2) for exponent in range(-10, 7))


def mean_effects(codes: Tensor, attributes: Tensor, held: Tensor) -> Tensor:
    """How codes move on average with each attribute while all others, and all that is held, stay: by least squares.

    Args:
        codes: [N, D].
        attributes: [N, K].
        held: [N, H], what else the codes depend on and what may go along with the attributes; columns that are
            constant do no harm.

    Returns:
        [K, D] for a unit of each attribute. Of attributes that cannot be told from one another the shortest solution.
    """
    centred = _centred(torch.cat([attributes, held], dim=1).double())
    scale = centred.std(dim=0)
    # A column without variance, such as the place of a camera that never moves, has no effect to be found.
    scale = torch.where(scale > 1e-9, scale, torch.inf)
    solution = torch.linalg.lstsq(centred / scale, _centred(codes.double()), driver="gelsd").solution
    return (solution / scale[:, None])[: attributes.shape[1]].to(codes.dtype)


@dataclass(frozen=True)
class Reading:
    """Reads attributes off codes.

    Attributes:
        weights: [D, K].
        offsets: [K].
        penalty: the ridge that was chosen, as a share of the codes' variance per dimension.
        r2: [K], the share of each attribute's variance over the validation codes that is read rightly; it may be below
            0. The ridge was chosen by their mean.
    """

    weights: Tensor
    offsets: Tensor
    penalty: float
    r2: Tensor

    def __call__(self, codes: Tensor) -> Tensor:
        """Codes [N, D] → attributes [N, K]."""
        return codes @ self.weights + self.offsets

    def of(self, columns: Sequence[int]) -> Reading:
        """The reading of some of the attributes alone."""
        chosen = list(columns)
        return Reading(self.weights[:, chosen], self.offsets[chosen], self.penalty, self.r2[chosen])


def read_attributes(codes: Tensor, attributes: Tensor, validation: tuple[Tensor, Tensor]) -> Reading:
    """Ridge regression of attributes on codes, the ridge chosen by its mean R² over other codes.

    Args:
        codes: [N, D].
        attributes: [N, K].
        validation: codes [M, D] and attributes [M, K] to choose by.
    """
    x, y = _centred(codes.double()), _centred(attributes.double())
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ y / len(x))  # [D, K]
    found = []
    for penalty in PENALTIES:
        weights = vectors @ (projected / (values + penalty * values.mean())[:, None])
        offsets = attributes.double().mean(dim=0) - codes.double().mean(dim=0) @ weights
        r2 = explained(validation[0].double() @ weights + offsets, validation[1].double())
        found.append(Reading(weights.to(codes.dtype), offsets.to(codes.dtype), penalty, r2.to(codes.dtype)))
    return max(found, key=lambda reading: float(reading.r2.mean()))


def boundary_normals(codes: Tensor, attributes: Tensor) -> Tensor:
    """Normals of the planes in W that part the samples above each attribute's median from those below it, as
    InterFaceGAN has them (Shen et al. 2020; in-domain inversion's supplement, section 4), by logistic regression in the
    place of its linear SVM.

    Args:
        codes: [N, D].
        attributes: [N, K].

    Returns:
        [K, D], each as long as the codes' standard deviation along it.
    """
    x = _centred(codes.double())
    x = torch.cat([x / x.square().mean().sqrt(), torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    ridge = _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    ridge[-1, -1] = 0.0  # the offset's
    found = []
    for values in attributes.double().T:
        above = (values > values.median()).to(x)
        weights = torch.zeros(x.shape[1], dtype=x.dtype)
        for _ in range(_NEWTON_STEPS):
            told = (x @ weights).sigmoid()
            slope = x.T @ (told - above) / len(x) + ridge @ weights
            curvature = (x.T * (told * (1.0 - told))) @ x / len(x) + ridge
            weights = weights - torch.linalg.solve(curvature + 1e-9 * torch.eye(len(ridge), dtype=x.dtype), slope)
        normal = weights[:-1] / weights[:-1].norm().clamp_min(1e-12)
        found.append(normal * (_centred(codes.double()) @ normal).std())
    return torch.stack(found).to(codes.dtype)


def explained(predicted: Tensor, true: Tensor) -> Tensor:
    """R² of each column: [N, K] and [N, K] → [K]."""
    return 1.0 - (predicted - true).square().sum(dim=0) / _centred(true).square().sum(dim=0).clamp_min(1e-12)


def _centred(values: Tensor) -> Tensor:
    return values - values.mean(dim=0)
