# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen generators make what the generators themselves make, and codes get the same gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from join_engine.networks.frozen import Frozen
from join_engine.networks.residuals import Residual
from join_engine.networks.stylegan2 import Generator, GeneratorConfig, Hooks, generate

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=12, channel_base=96, channel_max=8, mapping_layers=2)
BOTH = GeneratorConfig(16, 8, 12, 64, 8, 2, image_channels=6)  # a generator of two components at once


@pytest.fixture(scope="module")
def generators() -> dict[str, Generator]:
    torch.manual_seed(0)
    made = {"one": Generator(CONFIG), "both": Generator(BOTH)}
    for generator in made.values():
        generator.double().requires_grad_(False)
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise_strength", "bias")):  # which begin at nothing
                parameter += 0.3 * torch.randn_like(parameter)
    return made


def codes_of(layers: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(3, layers, CONFIG.w_dim, generator=rng, dtype=dtype).requires_grad_()
        for name in ("both", "one")  # in another order than the generators
    }


def gradients(made: dict[str, Tensor], of: list[Tensor]) -> tuple[Tensor, ...]:
    """Of something that asks every pixel for something else."""
    rng = torch.Generator().manual_seed(2)
    asked = [(one * torch.randn(one.shape, generator=rng, dtype=one.dtype)).sum() for one in made.values()]
    return torch.autograd.grad(sum(asked[1:], asked[0]), of)


@pytest.mark.parametrize("layers", [1, CONFIG.num_ws], ids=["w", "w+"])
def test_outputs_and_gradients_are_those_of_the_generators(generators: dict[str, Generator], layers: int) -> None:
    codes = codes_of(layers)
    deltas = {side: torch.randn(3, CONFIG.width(side), side, side).double().requires_grad_() for side in (8, 16)}
    mask = torch.rand(3, 1, 1, 1).double()
    hooks: dict[str, Hooks] = {"one": {side: Residual(delta, mask) for side, delta in deltas.items()}}
    wanted = {name: generate(generators[name], w, hooks=hooks.get(name)) for name, w in codes.items()}
    found = Frozen(generators)(codes, hooks)
    assert list(found) == list(codes) and found["both"].shape == (3, 6, 16, 16)
    moved = [*codes.values(), *deltas.values()]
    for name in codes:
        torch.testing.assert_close(found[name], wanted[name], rtol=0, atol=1e-12)
    for mine, theirs in zip(gradients(found, moved), gradients(wanted, moved), strict=True):
        assert theirs.abs().max() > 0.1
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


def test_in_bfloat16_they_are_near_and_the_images_exact_numbers(generators: dict[str, Generator]) -> None:
    single = {name: Generator(generator.config) for name, generator in generators.items()}
    for name, generator in single.items():
        generator.load_state_dict(generators[name].state_dict())
        generator.requires_grad_(False)
    codes = codes_of(1, torch.float32)
    exact, rough = (Frozen(single, dtype)(codes, {}) for dtype in (None, torch.bfloat16))
    for name in codes:
        missed = (rough[name] - exact[name]).abs().mean()
        assert rough[name].dtype == torch.float32
        assert 0.0 < missed < 0.02 * exact[name].abs().mean()
    for mine, theirs in zip(*(gradients(one, list(codes.values())) for one in (rough, exact)), strict=True):
        assert (mine - theirs).norm() < 0.1 * theirs.norm()
