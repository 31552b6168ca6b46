# SPDX-License-Identifier: GPL-3.0-or-later
"""The kNN loss against Eq. 8–10 written out, and its gradient against finite differences."""

from __future__ import annotations

import math

import torch

from join_engine.inversion.losses.knn import KnnLoss, in_domain_loss


def _brute_force(w: torch.Tensor, codes: torch.Tensor, k: int) -> float:
    distances = sorted(math.dist(w.tolist(), code) for code in codes.tolist())[:k]
    mean = sum(distances) / k
    weights = [math.exp(-0.5 * distance / mean) for distance in distances]
    return sum(d * weight for d, weight in zip(distances, weights, strict=True)) / sum(weights)


def test_equals_the_equations() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    w = torch.randn(4, 1, 6, generator=generator, dtype=torch.float64)
    loss = KnnLoss(codes, 10)(w)
    assert loss.shape == (4,)
    for index in range(4):
        assert math.isclose(loss[index].item(), _brute_force(w[index, 0], codes, 10), rel_tol=1e-9)


def test_neighbours_are_exact() -> None:
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(500, 8, generator=generator)
    w = torch.randn(5, 8, generator=generator)
    found = KnnLoss(codes, 7).nearest(w).sort(dim=1).values
    expected = torch.cdist(w.double(), codes.double()).topk(7, largest=False).indices.sort(dim=1).values
    assert torch.equal(found, expected)


def test_neighbours_are_exact_far_from_the_origin_and_in_chunks() -> None:
    """Codes whose mean is large beside their spread: a plain matrix product in float32 would confuse them."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randn(2000, 8, generator=generator) * 0.01 + 30.0
    w = codes[:9] + 0.003
    expected = torch.cdist(w.double(), codes.double()).topk(7, largest=False).indices.sort(dim=1).values
    for chunk in (2**26, 2000 * 4 * 2, 1):
        found = KnnLoss(codes, 7, chunk_bytes=chunk).nearest(w).sort(dim=1).values
        assert torch.equal(found, expected)


def test_gradient_against_finite_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    codes = torch.randn(50, 4, generator=generator, dtype=torch.float64)
    w = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(KnnLoss(codes, 5), (w,))


def test_a_code_that_is_hit_exactly_has_a_finite_gradient() -> None:
    codes = torch.randn(30, 4, generator=torch.Generator().manual_seed(3))
    for crowd in (codes, codes[:1].repeat(30, 1)):  # one neighbour hit; all of them hit
        w = crowd[:1, None].clone().requires_grad_()
        loss = KnnLoss(crowd, 5)(w)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert w.grad is not None and w.grad.isfinite().all()


def test_several_codes_per_item_are_averaged() -> None:
    generator = torch.Generator().manual_seed(4)
    loss = KnnLoss(torch.randn(100, 4, generator=generator), 5)
    w = torch.randn(2, 3, 4, generator=generator)
    assert torch.allclose(loss(w), loss(w.reshape(6, 1, 4)).reshape(2, 3).mean(dim=1))


def test_fewer_codes_than_neighbours() -> None:
    assert KnnLoss(torch.zeros(3, 2), 50)(torch.ones(1, 1, 2)).item() == torch.tensor(2.0).sqrt()


def test_following_a_code_finds_what_a_search_among_all_finds() -> None:
    """Steps of all sizes, from none to far beyond the shell, of several codes that move by themselves."""
    generator = torch.Generator().manual_seed(5)
    codes = torch.randn(5000, 16, generator=generator)
    loss = KnnLoss(codes, 10)
    follower, w = loss.follow(), torch.randn(6, 1, 16, generator=generator)
    for step in range(60):
        exact, followed = loss.nearest(w[:, 0]), follower.nearest(w[:, 0])
        assert torch.equal(exact.sort(dim=1).values, followed.sort(dim=1).values)
        length = 10.0 ** (torch.rand(6, 1, 1, generator=generator) * 3 - (3.5 if step % 10 else 2.0))
        w = w + length * torch.randn(6, 1, 16, generator=generator)
    assert 1 < follower.searches < 60
    variable, other = w.clone().requires_grad_(), w.clone().requires_grad_()
    followed, exact = follower(variable), loss(other)
    (followed.sum() + exact.sum()).backward()
    assert variable.grad is not None and other.grad is not None
    assert torch.allclose(followed, exact) and torch.allclose(variable.grad, other.grad, atol=1e-7)


def test_a_code_that_rests_is_searched_for_once() -> None:
    generator = torch.Generator().manual_seed(6)
    loss = KnnLoss(torch.randn(5000, 16, generator=generator), 10)
    follower, w = loss.follow(), torch.randn(3, 2, 16, generator=generator)
    values = [follower(w + 1e-4 * step) for step in range(5)]
    assert follower.searches == 1 and torch.allclose(values[4], loss(w + 4e-4))


def test_of_each_code_four_times_its_neighbours_are_kept_in_sight_and_no_more() -> None:
    loss = KnnLoss(torch.randn(3000, 4, generator=torch.Generator().manual_seed(8)), 200)
    follower = loss.follow()
    follower(torch.zeros(2, 1, 4))
    assert follower._shell.shape == (2, 800)


def test_few_codes_can_be_followed_anywhere() -> None:
    loss = KnnLoss(torch.randn(30, 4, generator=torch.Generator().manual_seed(7)), 5)
    follower = loss.follow()
    for distance in (0.0, 100.0):
        w = torch.full((1, 1, 4), distance)
        assert torch.equal(follower(w), loss(w))
    assert follower.searches == 1


def test_in_domain_loss_is_the_distance_to_the_mean() -> None:
    w = torch.tensor([[[3.0, 4.0]], [[0.0, 0.0]]], requires_grad=True)
    loss = in_domain_loss(w, torch.zeros(2))
    assert loss.tolist() == [5.0, 0.0]
    loss.sum().backward()
    assert w.grad is not None and w.grad.isfinite().all()
