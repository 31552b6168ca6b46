# SPDX-License-Identifier: GPL-3.0-or-later
"""Transforms and forward models, on numpy and torch, and what importing them loads."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

import join_engine.single_gan  # noqa: F401 (registers the single GANs' models)
from join_engine.color import COMPONENT_TRANSFORMS, srgb_decode, srgb_encode
from join_engine.errors import JoinError
from join_engine.forward_models import FORWARD_MODELS, components_in, compose, get_forward_model

transforms = pytest.mark.parametrize("transform", COMPONENT_TRANSFORMS.values(), ids=lambda transform: transform.name)


@pytest.mark.slow
@transforms
def test_gradient_of_the_inverse_transform(transform) -> None:  # type: ignore[no-untyped-def]
    """Against finite differences, on both sides of every knee and where it goes on as its tangent."""
    places = [-3.0, -0.95, -0.9, -0.5, 0.0, 0.7, 0.91, 0.93, 1.5, 1.9, 2.1, 5.0]
    output = torch.tensor(places, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(transform.from_generator, (output,), eps=1e-7)


@transforms
def test_transforms_are_finite_with_finite_gradients(transform) -> None:  # type: ignore[no-untyped-def]
    output = torch.tensor([-1e4, -30.0, -1.0, -0.999, 0.0, 0.919, 0.92, 1.0, 1.001, 30.0, 1e4], requires_grad=True)
    linear = transform.from_generator(output)
    linear.sum().backward()
    assert linear.isfinite().all()
    assert output.grad is not None and output.grad.isfinite().all()
    assert (linear[1:].detach() >= linear[:-1].detach()).all()


@transforms
def test_transforms_invert_each_other(transform) -> None:  # type: ignore[no-untyped-def]
    linear = np.linspace(0, 2, 201, dtype=np.float64)
    encoded = transform.to_generator(linear)
    assert np.allclose(transform.from_generator(encoded), linear, atol=1e-6)
    assert np.allclose(transform.to_generator(torch.from_numpy(linear)).numpy(), encoded)


def test_srgb_is_the_standard_curve() -> None:
    assert np.isclose(srgb_encode(np.array(0.5)), 0.735357, atol=1e-5)
    assert np.isclose(srgb_decode(np.array(0.04045)), 0.0031308, atol=1e-7)


def test_forward_models() -> None:
    layers = {"albedo": np.full((2, 2, 3), 0.5), "shading": np.full((2, 2, 3), 2.0), "specular": np.ones((2, 2, 3))}
    assert np.all(FORWARD_MODELS["lambertian"].compose(layers) == 1.0)
    assert np.all(FORWARD_MODELS["lambertian_specular"].compose(layers) == 2.0)
    image = FORWARD_MODELS["lambertian"].render({k: torch.from_numpy(v) for k, v in layers.items()})
    assert torch.allclose(image, torch.ones_like(image))


def test_a_formula_is_a_sum_of_products() -> None:
    layers = {"a": np.full((1, 1, 3), 2.0), "s": np.full((1, 1, 3), 3.0), "e": np.full((1, 1, 3), 5.0)}
    formula = (("a", "s", 0.5), ("e",))
    assert components_in(formula) == ("a", "s", "e")
    assert np.all(compose(formula, layers) == 8.0)
    base, single = FORWARD_MODELS["lambertian_specular"], FORWARD_MODELS["lambertian_specular_single"]
    stacked = torch.rand(2, 9, 4, 4)
    parts = dict(zip(base.components, stacked.split(3, dim=1), strict=True))
    assert torch.equal(single.compose({"albedo+shading+specular": stacked}), base.compose(parts))


def test_forward_model_errors() -> None:
    with pytest.raises(JoinError) as missing:
        FORWARD_MODELS["lambertian"].compose({"albedo": 1.0})
    assert missing.value.code == "component_missing"
    with pytest.raises(JoinError) as unknown:
        get_forward_model("phong")
    assert unknown.value.code == "forward_model_unknown"


@pytest.mark.parametrize(
    "module", ["join_engine", "join_engine.color", "join_engine.errors", "join_engine.inversion.presets"]
)
def test_light_modules_load_neither_torch_nor_numpy(module: str) -> None:
    code = f"import {module}, sys; sys.exit(bool({{'torch', 'numpy'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
