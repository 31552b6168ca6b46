# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks in the synthesis, and residual features behind masks, by their properties."""

from __future__ import annotations

import pytest
import torch

from join_engine.networks.residuals import Residual, Residuals, moved
from join_engine.networks.stylegan2 import Generator, GeneratorConfig, generate

TINY = GeneratorConfig(resolution=16, z_dim=8, w_dim=12, channel_base=128, channel_max=8, mapping_layers=2)


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    made = Generator(TINY).eval().requires_grad_(False)
    for block in (made.synthesis.get_submodule(f"b{side}") for side in TINY.block_resolutions):
        block.conv1.noise_strength.fill_(0.1)  # type: ignore[union-attr,operator]
    return made


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randn(3, TINY.num_ws, TINY.w_dim, generator=torch.Generator().manual_seed(1))


def residuals(mask: float | None = None, size: float = 1.0) -> Residuals:
    """Of three pictures, at 8 and 16 pixels; with that mask everywhere, or with one of all values."""
    rng, found = torch.Generator().manual_seed(2), {}
    for side in (8, 16):
        soft = torch.rand(3, 1, side, side, generator=rng)
        soft = soft if mask is None else torch.full_like(soft, mask)
        found[side] = Residual(size * torch.randn(3, TINY.width(side), side, side, generator=rng), soft)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_hooks_that_do_nothing_change_no_bit(generator: Generator, codes: torch.Tensor, dtype: torch.dtype) -> None:
    idle = {side: lambda features: features for side in TINY.block_resolutions}
    assert torch.equal(generate(generator, codes, dtype, idle), generate(generator, codes, dtype))


def test_a_hook_gets_the_features_before_the_rgb_output_of_its_block(generator: Generator, codes: torch.Tensor) -> None:
    shapes = {}

    def seen(features: torch.Tensor) -> torch.Tensor:
        shapes[features.shape[-1]] = tuple(features.shape)
        return features

    generate(generator, codes, hooks=dict.fromkeys(TINY.block_resolutions, seen))
    assert shapes == {side: (3, TINY.width(side), side, side) for side in TINY.block_resolutions}
    # At the last block nothing but its RGB output follows: features that are nothing leave its bias and what was there.
    without = generate(generator, codes, hooks={16: torch.zeros_like})
    block = generator.synthesis.get_submodule("b16")
    assert not torch.allclose(without, generate(generator, codes), atol=1e-3)
    moved_bias = generate(generator, codes, hooks={16: torch.zeros_like})
    assert torch.equal(without, moved_bias) and block.torgb.bias.shape == (3,)  # type: ignore[union-attr]


@pytest.mark.parametrize("side", [32, 2, 5])
def test_features_behind_the_last_rgb_output_are_refused(generator: Generator, codes: torch.Tensor, side: int) -> None:
    with pytest.raises(ValueError, match="no RGB output follows"):
        generate(generator, codes, hooks={side: lambda features: features})


def test_a_mask_of_zero_is_w_plus_exactly(generator: Generator, codes: torch.Tensor) -> None:
    plain = generate(generator, codes)
    assert torch.equal(generate(generator, codes, hooks=residuals(mask=0.0)), plain)
    assert torch.equal(generate(generator, codes, hooks=residuals(size=0.0)), plain)
    assert not torch.allclose(generate(generator, codes, hooks=residuals()), plain, atol=0.01)


def test_only_where_the_mask_is_features_change(generator: Generator, codes: torch.Tensor) -> None:
    one = residuals()[16]
    mask = torch.zeros_like(one.mask)
    mask[:, :, 3:6, 8:12] = 0.7
    changed = (generate(generator, codes, hooks={16: Residual(one.delta, mask)}) - generate(generator, codes)).abs()
    assert torch.equal(changed.amax(dim=1, keepdim=True) > 0.0, mask > 0.0)


def test_items_are_independent(generator: Generator, codes: torch.Tensor) -> None:
    found = residuals()
    every = generate(generator, codes, hooks=found)
    alone = generate(generator, codes[1:2], hooks={side: one[1:2] for side, one in found.items()})
    torch.testing.assert_close(every[1:2], alone)


def test_moved_codes_leave_what_the_masks_keep(generator: Generator, codes: torch.Tensor) -> None:
    found, after = residuals(), codes + 0.5
    unmoved = generate(generator, codes, hooks=found)
    torch.testing.assert_close(moved(generator, codes, codes, found), unmoved, rtol=0, atol=1e-5)
    free = residuals(mask=0.0)
    torch.testing.assert_close(moved(generator, codes, after, free), generate(generator, after), rtol=0, atol=1e-5)
    # Kept whole at every resolution above the first, only what the first says and the RGB outputs are left to move.
    kept = moved(generator, codes, after, residuals(mask=1.0)) - generate(generator, codes, hooks=residuals(mask=1.0))
    follows = generate(generator, after, hooks=residuals(mask=1.0)) - generate(
        generator, codes, hooks=residuals(mask=1.0)
    )
    assert 0.0 < kept.square().mean() < follows.square().mean()
