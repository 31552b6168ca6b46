# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2 by its properties: what the paper promises, not what the code happens to give."""

from __future__ import annotations

import json
import math

import pytest
import torch
import torch.nn.functional as F

from join_engine.networks.convolutions import EqualizedConv, EqualizedLinear, modulated_conv2d
from join_engine.networks.resample import blur, downsample, filter_kernel, upsample
from join_engine.networks.stylegan2 import Discriminator, Generator, GeneratorConfig, MinibatchStandardDeviation

TINY = GeneratorConfig(resolution=16, z_dim=8, w_dim=12, channel_base=128, channel_max=8, mapping_layers=2)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def fused_modulated_conv(
    inputs: torch.Tensor, weight: torch.Tensor, styles: torch.Tensor, up: bool = False, demodulate: bool = True
) -> torch.Tensor:
    """StyleGAN2's Eq. 1 and 3 as printed: one kernel per sample."""
    results = []
    for sample, style in zip(inputs, styles, strict=True):
        kernel = weight * style[None, :, None, None]
        if demodulate:
            kernel = kernel / (kernel.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8).sqrt()
        if up:
            grown = F.conv_transpose2d(sample[None], kernel.transpose(0, 1), stride=2)
            results.append(blur(grown, filter_kernel(4.0).to(grown), padding=(1, 1)))
        else:
            results.append(F.conv2d(sample[None], kernel, padding=weight.shape[-1] // 2))
    return torch.cat(results)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_shared_weight_equals_per_sample_weights(up: bool, demodulate: bool) -> None:
    inputs = torch.randn(3, 5, 8, 8, dtype=torch.float64)
    weight = torch.randn(7, 5, 3, 3, dtype=torch.float64)
    styles = torch.randn(3, 5, dtype=torch.float64)
    kernel = filter_kernel().double() if up else None
    result = modulated_conv2d(inputs, weight, styles, demodulate, kernel)
    assert result.shape == ((3, 7, 16, 16) if up else (3, 7, 8, 8))
    torch.testing.assert_close(result, fused_modulated_conv(inputs, weight, styles, up, demodulate))


def broadcast(w: torch.Tensor, num_ws: int = TINY.num_ws) -> torch.Tensor:
    """One code for all layers."""
    return w[:, None].expand(-1, num_ws, -1)


def test_gain_and_bias_of_the_modulated_convolution() -> None:
    inputs, weight, styles = torch.randn(2, 3, 4, 4), torch.randn(5, 3, 1, 1), torch.randn(2, 3)
    bias = torch.randn(5)
    for demodulate in (True, False):
        plain = modulated_conv2d(inputs, weight, styles, demodulate)
        both = modulated_conv2d(inputs, weight, styles, demodulate, output_gain=1.5, bias=bias)
        torch.testing.assert_close(both, (plain + bias[None, :, None, None]) * 1.5)


def test_demodulated_weights_give_unit_variance() -> None:
    inputs = torch.randn(4, 16, 64, 64)
    weight, styles = torch.randn(6, 16, 3, 3) * 7, torch.rand(4, 16) * 3 + 0.1
    inner = modulated_conv2d(inputs, weight, styles)[:, :, 1:-1, 1:-1]  # the border sees padding
    assert inner.std(dim=(2, 3)).sub(1).abs().max() < 0.08


@pytest.mark.slow
@pytest.mark.parametrize("up", [False, True])
def test_gradient_of_the_modulated_convolution(up: bool) -> None:
    inputs = torch.randn(2, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    styles = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    kernel = filter_kernel().double() if up else None

    def function(*values: torch.Tensor) -> torch.Tensor:
        inputs, weight, styles, bias = values
        return modulated_conv2d(inputs, weight, styles, True, kernel, math.sqrt(2), bias)

    assert torch.autograd.gradcheck(function, (inputs, weight, styles, bias))


def test_resampling_keeps_a_constant() -> None:
    ones = torch.ones(1, 2, 16, 16)
    kernel = filter_kernel()
    assert kernel.sum() == 1
    assert upsample(ones, kernel).shape == (1, 2, 32, 32)
    assert downsample(ones, kernel).shape == (1, 2, 8, 8)
    torch.testing.assert_close(upsample(ones, kernel)[..., 3:-3, 3:-3], torch.ones(1, 2, 26, 26))
    torch.testing.assert_close(downsample(ones, kernel)[..., 1:-1, 1:-1], torch.ones(1, 2, 6, 6))


def test_resampling_against_its_definition() -> None:
    image = torch.randn(1, 1, 6, 6, dtype=torch.float64)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64) / 8
    kernel = filter_kernel().double()
    padded = F.pad(image, (1, 1, 1, 1))
    expected = torch.tensor(
        [
            [
                sum(taps[a] * taps[b] * padded[0, 0, 2 * y + a, 2 * x + b] for a in range(4) for b in range(4))
                for x in range(3)
            ]
            for y in range(3)
        ]
    )
    torch.testing.assert_close(downsample(image, kernel)[0, 0], expected.double())
    # Upsampling is four times the transpose of downsampling.
    other = torch.randn(1, 1, 3, 3, dtype=torch.float64)
    left = (downsample(image, kernel) * other).sum()
    right = (image * upsample(other, kernel)).sum() / 4
    torch.testing.assert_close(left, right)


def test_equalised_layers_keep_the_variance() -> None:
    inputs = torch.randn(4000, 64)
    for multiplier in (1.0, 0.01):
        outputs = EqualizedLinear(64, 64, lr_multiplier=multiplier)(inputs).detach()
        assert outputs.std() == pytest.approx(1.0, abs=0.05)
    images = torch.randn(8, 32, 16, 16)
    conv = EqualizedConv(32, 32, 3, activate=False)
    assert conv(images)[..., 1:-1, 1:-1].detach().std() == pytest.approx(1.0, abs=0.05)
    torch.testing.assert_close(conv(images, gain=0.5), conv(images) * 0.5)


def test_convolution_gain_with_activation_and_bias() -> None:
    conv = EqualizedConv(3, 4, 3)
    torch.nn.init.normal_(conv.bias)
    images = torch.randn(2, 3, 8, 8)
    weight = conv.weight / math.sqrt(27)
    expected = F.leaky_relu(F.conv2d(images, weight, conv.bias, padding=1), 0.2) * math.sqrt(2)
    torch.testing.assert_close(conv(images), expected)


@pytest.mark.parametrize(("resolution", "expected"), [(8, 4), (64, 10), (256, 14), (512, 16), (1024, 18)])
def test_number_of_codes(resolution: int, expected: int) -> None:
    assert GeneratorConfig(resolution=resolution, channel_base=32768, channel_max=512).num_ws == expected


def test_widths() -> None:
    config = GeneratorConfig(resolution=1024, channel_base=32768, channel_max=512)
    assert [config.width(resolution) for resolution in (4, 64, 128, 1024)] == [512, 512, 256, 32]


@pytest.mark.parametrize("resolution", [8, 32])
def test_shapes_and_layers(resolution: int) -> None:
    config = GeneratorConfig(resolution, 8, 12, 128, 8, 2)
    generator, discriminator = Generator(config), Discriminator(config)
    w = generator.mapping(torch.randn(3, 8))
    assert w.shape == (3, 12)
    ws = broadcast(w, generator.num_ws)
    assert ws.shape == (3, config.num_ws, 12)
    for noise in ("const", "random", "none"):
        images = generator.synthesis(ws, noise)
        assert images.shape == (3, 3, resolution, resolution)
        assert images.dtype == torch.float32
    assert discriminator(images).shape == (3, 1)
    torch.testing.assert_close(generator.synthesis(w, "none"), generator.synthesis(ws, "none"))


def test_every_code_matters_and_none_is_left_over() -> None:
    generator = Generator(TINY)
    ws = broadcast(generator.mapping(torch.randn(2, 8))).detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(generator.synthesis(ws, "none").square().sum(), ws)
    assert gradient.abs().amax(dim=(0, 2)).min() > 0


def test_early_codes_act_everywhere_late_ones_only_on_the_last_rgb() -> None:
    generator = Generator(TINY)
    ws = broadcast(generator.mapping(torch.randn(1, 8))).clone()
    before = generator.synthesis(ws, "none")
    ws[:, -1] += 1.0  # the last code belongs to ToRGB of the last block: a linear map of unchanged features
    features: list[torch.Tensor] = []
    hook = generator.synthesis.get_submodule("b16.conv1").register_forward_hook(
        lambda _module, _inputs, output: features.append(output)
    )
    after = generator.synthesis(ws, "none")
    generator.synthesis(broadcast(ws[:, 0]), "none")
    hook.remove()
    assert not torch.equal(before, after)
    torch.testing.assert_close(features[0], features[1])


def test_noise() -> None:
    generator = Generator(TINY)
    ws = broadcast(generator.mapping(torch.randn(1, 8)))
    torch.testing.assert_close(generator.synthesis(ws, "const"), generator.synthesis(ws, "none"))  # strength 0
    for name, parameter in generator.named_parameters():
        if name.endswith("noise_strength"):
            torch.nn.init.constant_(parameter, 0.3)
    assert torch.equal(generator.synthesis(ws, "const"), generator.synthesis(ws, "const"))
    assert not torch.equal(generator.synthesis(ws, "random"), generator.synthesis(ws, "random"))
    assert not torch.equal(generator.synthesis(ws, "const"), generator.synthesis(ws, "none"))


def test_bfloat16_is_close_to_float32() -> None:
    generator, discriminator = Generator(TINY), Discriminator(TINY)
    ws = broadcast(generator.mapping(torch.randn(4, 8)))
    full, half = (generator.synthesis(ws, "none", dtype) for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    assert (full - half).abs().max() < 0.05 * full.abs().max()
    logits = discriminator(full, torch.bfloat16)
    assert logits.dtype == torch.float32
    assert (logits - discriminator(full)).abs().max() < 0.1


@pytest.mark.slow
def test_gradients_of_the_networks_against_finite_differences() -> None:
    config = GeneratorConfig(8, 4, 4, 32, 4, 1)
    generator, discriminator = Generator(config).double(), Discriminator(config).double()
    ws = torch.randn(1, config.num_ws, 4, dtype=torch.float64, requires_grad=True)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64, requires_grad=True)

    def synthesis(codes: torch.Tensor) -> torch.Tensor:
        return generator.synthesis(codes, "none", torch.float64)

    def critic(pictures: torch.Tensor) -> torch.Tensor:
        return discriminator(pictures, torch.float64)

    assert torch.autograd.gradcheck(synthesis, (ws,))
    assert torch.autograd.gradcheck(critic, (images,))
    assert torch.autograd.gradgradcheck(critic, (images,), atol=1e-4)


def test_minibatch_standard_deviation() -> None:
    layer = MinibatchStandardDeviation()
    features = torch.randn(8, 3, 4, 4)
    result = layer(features)
    assert torch.equal(result[:, :3], features)
    group = features[[0, 2, 4, 6]]  # every second image of eight is in the first of two groups of four
    expected = group.var(dim=0, unbiased=False).add(1e-8).sqrt().mean()
    torch.testing.assert_close(result[[0, 2, 4, 6], 3], expected.expand(4, 4, 4))
    same = layer(features[:1].expand(4, -1, -1, -1))
    assert same[:, 3].abs().max() < 1e-3
    assert layer(features[:3]).shape == (3, 4, 4, 4)  # three is not a multiple of four


def test_truncation() -> None:
    generator = Generator(TINY)
    generator.w_avg.normal_()
    w = torch.randn(5, 12)
    torch.testing.assert_close(generator.truncate(w, 1.0), w)
    torch.testing.assert_close(generator.truncate(w, 0.0), generator.w_avg.expand(5, -1))


def test_mapping_ignores_the_scale_of_z() -> None:
    generator = Generator(TINY)
    z = torch.randn(3, 8)
    torch.testing.assert_close(generator.mapping(z), generator.mapping(z * 5), rtol=1e-4, atol=1e-5)


def test_config_round_trip_and_refusals() -> None:
    assert GeneratorConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY
    for change in ({"resolution": 48}, {"resolution": 4}, {"w_dim": 0}, {"w_dim": 1.5}, {"extra": 1}, {"z_dim": "8"}):
        with pytest.raises(ValueError):
            GeneratorConfig.from_dict(TINY.to_dict() | change)
    with pytest.raises(ValueError, match="missing"):
        GeneratorConfig.from_dict({"resolution": 64})


def test_wrong_inputs_are_named() -> None:
    generator, discriminator = Generator(TINY), Discriminator(TINY)
    with pytest.raises(ValueError, match="noise"):
        generator.synthesis(torch.zeros(1, TINY.num_ws, 12), "loud")
    with pytest.raises(ValueError, match="codes"):
        generator.synthesis(torch.zeros(1, TINY.num_ws + 1, 12))
    with pytest.raises(ValueError, match="images"):
        discriminator(torch.zeros(1, 3, 32, 32))


def test_parameters_carry_the_published_names() -> None:
    names = {name for name, _ in Generator(TINY).named_parameters()}
    assert {
        "mapping.fc0.weight",
        "synthesis.b4.const",
        "synthesis.b4.conv1.affine.bias",
        "synthesis.b8.conv0.noise_strength",
        "synthesis.b16.torgb.weight",
    } <= names
    names = {name for name, _ in Discriminator(TINY).named_parameters()}
    assert {"b16.fromrgb.weight", "b8.skip.weight", "b4.conv.bias", "b4.fc.weight", "b4.out.bias"} <= names
