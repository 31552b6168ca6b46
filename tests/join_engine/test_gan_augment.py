# SPDX-License-Identifier: GPL-3.0-or-later
"""Adaptive augmentation: what each transformation does, its gradients, and the controller."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from join_engine.training.gan.ada import AdaController
from join_engine.training.gan.augment import Augmentation, augment, draw_augmentation, sample_bilinear


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def plain(count: int, groups: int = 1) -> Augmentation:
    """Leaves everything as it is."""
    unit = torch.eye(4, dtype=torch.float64)
    threes = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    return Augmentation(threes, threes.clone(), unit.repeat(count, groups, 1, 1))


def smooth(count: int, channels: int, side: int) -> torch.Tensor:
    """Random images without fine detail."""
    noise = torch.randn(count, channels, 6, 6, dtype=torch.float64)
    return F.interpolate(noise, size=side, mode="bicubic", align_corners=True)


def test_without_strength_nothing_changes() -> None:
    images = torch.randn(5, 3, 8, 8)
    assert torch.equal(augment(images, draw_augmentation(5, 3, 8, 0.0)), images)


def test_each_transformation_is_drawn_with_its_probability() -> None:
    unit = torch.eye(4, dtype=torch.float64)
    for p in (0.2, 0.7):
        drawn = draw_augmentation(4000, 3, 64, p)
        # Identities remain when none of several was drawn, or when one drew the identity itself.
        moved = (drawn.moves != torch.eye(3)).flatten(1).any(dim=1).double().mean()
        changed = 1 - (1 - p / 2) * (1 - p * 3 / 4) * (1 - p * (1 - 1 / 17**2))
        assert moved == pytest.approx(changed, abs=0.03)
        warped = (drawn.warps != torch.eye(3)).flatten(1).any(dim=1).double().mean()
        assert warped == pytest.approx(1 - (1 - p) ** 4, abs=0.03)
        recolored = (drawn.colors[:, 0] != unit).flatten(1).any(dim=1).double().mean()
        assert recolored == pytest.approx(1 - (1 - p) ** 4 * (1 - p / 2), abs=0.03)


def test_the_fractional_shift_is_of_the_image_as_it_is_shown() -> None:
    drawn = draw_augmentation(6000, 3, 64, 1.0)
    shown = drawn.warps.inverse()  # from source to output
    shifts, scales = shown[:, :2, 2], torch.linalg.det(shown[:, :2, :2])
    order = scales.argsort()
    for part in (order[:2000], order[2000:4000], order[4000:]):  # however large the image became
        assert shifts[part].std(dim=0).tolist() == pytest.approx([0.25, 0.25], rel=0.06)


def test_moves_of_pixels_are_exact() -> None:
    images = torch.randn(8, 6, 8, 8)
    moves = plain(8, 2)
    moves.moves[0] = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    moves.moves[1, :2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    moves.moves[2, 0, 2], moves.moves[2, 1, 2] = 2, -1
    result = augment(images, moves)
    assert torch.equal(result[0], images[0].flip(2))
    assert any(torch.equal(result[1], images[1].rot90(turns, (1, 2))) for turns in (1, 3))
    assert torch.equal(result[2, :, 1:, :6], images[2, :, :7, 2:])
    assert torch.equal(result[2, :, 1:, 6], images[2, :, :7, 7])  # mirrored beyond the border
    assert torch.equal(result[3:], images[3:])


def test_warps_move_what_they_say() -> None:
    images = smooth(4, 3, 32)
    warps = plain(4)
    warps.warps[0, 0, 2] = 2 * 5 / 32  # five pixels
    warps.warps[1] = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
    warps.warps[2, :2, :2] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    warps.warps[3] = torch.diag(torch.tensor([0.5, 0.5, 1.0]))
    result = augment(images, warps)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    torch.testing.assert_close(result[0][inner], images[0].roll(-5, 2)[inner], atol=1e-9, rtol=0)
    torch.testing.assert_close(result[1][inner], images[1].flip(2)[inner], atol=0.05, rtol=0)
    turned = [images[2].rot90(turns, (1, 2)) for turns in (1, 3)]
    assert min((result[2] - picture)[inner].abs().max() for picture in turned) < 0.05
    enlarged = F.interpolate(images[3:, :, 8:24, 8:24], scale_factor=2, mode="bicubic")[0]
    torch.testing.assert_close(result[3][inner], enlarged[inner], atol=0.1, rtol=0)


def test_warps_keep_fine_detail_and_constants() -> None:
    noise = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    warps = plain(1)
    warps.warps[0, 0, 2] = 2 / 32
    shifted = augment(noise, warps)  # by a whole pixel: all detail must survive up and down
    torch.testing.assert_close(shifted[..., 8:-8, 8:-8], noise.roll(-1, 3)[..., 8:-8, 8:-8], atol=1e-9, rtol=0)
    constant = torch.full((16, 3, 16, 16), 0.3, dtype=torch.float64)
    drawn = draw_augmentation(16, 3, 16, 1.0)
    still = Augmentation(drawn.moves, drawn.warps, plain(16).colors)
    torch.testing.assert_close(augment(constant, still), constant)


def test_colors() -> None:
    drawn = draw_augmentation(500, 6, 8, 1.0)
    assert drawn.colors.shape == (500, 2, 4, 4)
    assert not torch.equal(drawn.colors[:, 0], drawn.colors[:, 1])  # each component its own
    grey = torch.full((500, 3, 1, 1), 0.4, dtype=torch.float64)
    still = Augmentation(plain(500).moves, plain(500).warps, drawn.colors[:, :1])
    result = augment(grey, still)
    # Hue and saturation leave grey alone, the others shift or scale it: grey stays grey.
    torch.testing.assert_close(result, result[:, :1].expand_as(result))
    contrast = torch.log2(torch.linalg.det(drawn.colors[:, 0, :3, :3]).abs() ** (1 / 3))
    assert contrast.std() == pytest.approx(math.hypot(0.5, 2 / 3), rel=0.15)  # of contrast, and of saturation in 2 of 3


@pytest.mark.slow
def test_augmentation_is_differentiable_twice() -> None:
    drawn = draw_augmentation(1, 6, 5, 1.0)
    images = torch.randn(1, 6, 5, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda values: augment(values, drawn), (images,))
    assert torch.autograd.gradgradcheck(lambda values: augment(values, drawn).square(), (images,))


def test_bilinear_samples_are_those_of_torch() -> None:
    images, grid = torch.randn(2, 3, 6, 5), torch.rand(2, 4, 7, 2) * 3 - 1.5
    expected = F.grid_sample(images, grid, "bilinear", "reflection", align_corners=False)
    torch.testing.assert_close(sample_bilinear(images, grid), expected)


def test_an_augmentation_of_other_images_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        augment(torch.zeros(4, 3, 8, 8), draw_augmentation(3, 3, 8, 0.5))


def test_the_controller_goes_up_and_down_and_stays_in_range() -> None:
    controller = AdaController(target=0.6, travel_kimg=1.0)
    for step in range(1, 13):
        controller.observe(torch.tensor(0.9), 10)
        controller.adjust(step)
    # Three adjustments of 4 · 10 images out of 1000.
    assert controller.p.item() == pytest.approx(0.12)
    for step in range(1, 41):
        controller.observe(torch.tensor(0.1), 10)
        controller.adjust(step)
    assert controller.p.item() == 0.0
    copy = AdaController(target=0.6, travel_kimg=1.0)
    controller.observe(torch.tensor(0.7), 10)
    copy.load_tensors(controller.tensors())
    for each in (controller, copy):
        each.observe(torch.tensor(0.7), 10)
        each.adjust(4)
    assert controller.p == copy.p == pytest.approx(0.02)
