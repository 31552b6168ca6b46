# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture does not tell: grain under highlights, as much as lies around, and none where nobody would miss it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from join_engine.layers.fill import grain_under_highlights

SIZE = 96


def grainy() -> Tensor:
    """Logarithm of an albedo with stripes of 6 pixels and grain in them, [1, 3, h, w]."""
    noise = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    stripes = torch.sin(torch.arange(SIZE) * (2.0 * torch.pi / 6.0)) * torch.ones(SIZE, 1)
    return (0.1 * stripes + 0.05 * noise - 1.5).repeat(1, 3, 1, 1)


def spot(radius: float) -> Tensor:
    """Readability [1, 1, h, w] with a highlight in the middle."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return ((y - 48.0).square() + (x - 48.0).square() >= radius**2).float()[None, None]


def contrast(log: Tensor, where: Tensor) -> float:
    return float(log.diff(dim=3).abs().mean(dim=1)[0][where[0, 0, :, 1:] > 0.5].mean())


def test_a_highlight_gets_the_grain_that_lies_around_and_nothing_else_changes() -> None:
    truth, readable = grainy(), spot(14)
    smooth = torch.where(readable > 0.5, truth, truth.mean())
    grain = grain_under_highlights(smooth, readable, torch.ones_like(readable))
    assert not grain[:, :, readable[0, 0] > 0.5].any()
    inside = 1.0 - readable
    assert contrast(smooth, inside) < 0.2 * contrast(truth, inside), "the test could not fail"
    assert 0.6 < contrast(smooth + grain, inside) / contrast(truth, inside) < 1.2
    # The stripes go on through it.
    both = [(layer - layer.mean())[:, :, readable[0, 0] < 0.5].flatten() for layer in (smooth + grain, truth)]
    assert float(torch.corrcoef(torch.stack(both))[0, 1]) > 0.5


def test_what_has_its_own_grain_gets_no_more() -> None:
    truth, readable = grainy(), spot(14)
    inside = 1.0 - readable
    added = grain_under_highlights(truth, readable, torch.ones_like(readable))
    assert contrast(added, inside) < 0.3 * contrast(truth, inside)
    flat = torch.where(readable > 0.5, torch.full_like(truth, -1.5), truth.mean())
    flat[..., :8] = truth[..., :8]  # grain far away, none around
    added = grain_under_highlights(flat, readable, torch.ones_like(readable))
    assert contrast(added, inside) < 0.1 * contrast(truth, readable)


@pytest.mark.parametrize("case", ["small", "cut out", "hardly anything is known"])
def test_where_nothing_is_missed_or_nothing_known_there_is_none(case: str) -> None:
    truth, visible = grainy(), torch.ones(1, 1, SIZE, SIZE)
    readable = spot(0.9 if case == "small" else 14.0)
    if case == "cut out":
        visible = readable
    if case == "hardly anything is known":
        readable = torch.zeros_like(readable)
        readable[..., :4] = 1.0
    assert not grain_under_highlights(truth, readable, visible).any()


def test_nothing_is_taken_from_what_is_cut_out() -> None:
    truth, readable = grainy(), spot(14)
    visible = torch.ones_like(readable)
    visible[..., :30] = 0.0
    smooth = torch.where(readable > 0.5, truth, truth.mean())
    other = torch.where(visible > 0.5, smooth, 7.0)
    one, again = (grain_under_highlights(log, readable, visible) for log in (smooth, other))
    assert one.any() and torch.equal(one, again)
