# SPDX-License-Identifier: GPL-3.0-or-later
"""The reconstruction loss and its random trunk."""

from __future__ import annotations

import hashlib

import torch

from join_engine.inversion.losses.perceptual import FeatureDistance, PerceptualLoss, gram_matrices, style_loss
from join_engine.networks.features import DiscriminatorFeatures, RandomFeatures, SummedFeatures, takes_one_size
from join_engine.networks.stylegan2 import Discriminator, GeneratorConfig


def _images(count: int = 2, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_zero_for_the_target_and_positive_for_anything_else() -> None:
    target = _images()
    loss = PerceptualLoss(target, features=RandomFeatures())
    assert loss(target).tolist() == [0.0, 0.0]
    assert (loss(target.flip(0)) > 0).all()


def test_what_is_finer_than_two_pixels_is_seen_by_the_finest_level_alone() -> None:
    """Of three levels: 16, 8 and 4 pixels a side."""
    rows, columns = torch.meshgrid(torch.arange(16), torch.arange(16), indexing="ij")
    checks = 0.1 * (1.0 - 2.0 * ((rows + columns) % 2)).expand(1, 3, 16, 16)
    target = torch.full((1, 3, 16, 16), 0.5)
    loss = PerceptualLoss(target)
    assert torch.allclose(loss.pixel_term(target + checks), torch.tensor([0.01 / 3.0]))
    assert torch.allclose(loss.pixel_term(target + 0.1), torch.tensor([0.01]))


def test_images_of_a_batch_are_independent() -> None:
    target, image = _images(3), _images(3).roll(1, 0)
    trunk = RandomFeatures()
    together = PerceptualLoss(target, features=trunk)(image)
    apart = torch.cat([PerceptualLoss(target[i : i + 1], features=trunk)(image[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, apart, rtol=1e-5)


def test_gradient_is_finite_at_the_target_and_on_black() -> None:
    for image in (_images(), torch.zeros(2, 3, 32, 32)):
        variable = image.clone().requires_grad_()
        PerceptualLoss(_images(), features=RandomFeatures())(variable).sum().backward()
        assert variable.grad is not None and variable.grad.isfinite().all()


def test_trunk_is_the_same_on_every_machine() -> None:
    weights = b"".join(filters.numpy().tobytes() for filters in RandomFeatures(seed=0).filters)
    assert hashlib.sha256(weights).hexdigest() == "2400b347a020981e7684581ebd3655f2b3fa8a8eef1140866b66ebdeb1f7789c"
    assert not torch.equal(RandomFeatures(seed=1).filters[0], RandomFeatures(seed=0).filters[0])


def test_trunk_is_frozen_and_halves() -> None:
    trunk = RandomFeatures((4, 8, 8))
    assert [tuple(tap.shape) for tap in trunk(_images())] == [(2, 4, 32, 32), (2, 8, 16, 16), (2, 8, 8, 8)]
    assert not any(parameter.requires_grad for parameter in trunk.parameters())


def test_the_style_of_fine_features_counts_for_a_tenth() -> None:
    """Of four taps the two finest, SAMM's weights."""
    mine, theirs = ([_images(size=size) * scale for size in (16, 8, 4, 2)] for scale in (1.0, 0.5))
    apart = [(a - b).abs().mean(dim=(1, 2)) for a, b in zip(gram_matrices(mine), gram_matrices(theirs), strict=True)]
    assert torch.allclose(style_loss(mine, theirs), 0.1 * (apart[0] + apart[1]) + apart[2] + apart[3])


def test_a_distance_in_summed_features_is_the_sum_of_the_distances() -> None:
    parts = [RandomFeatures(seed=seed) for seed in (0, 1)]
    target, image = torch.rand(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    apart = [FeatureDistance(part, target)(image) for part in parts]
    assert torch.allclose(FeatureDistance(SummedFeatures(parts), target)(image), apart[0] + apart[1])
    assert not takes_one_size(SummedFeatures(parts))
    config = GeneratorConfig(32, 16, 16, 256, 16, 2)
    assert takes_one_size(SummedFeatures([parts[0], DiscriminatorFeatures([Discriminator(config)])]))
