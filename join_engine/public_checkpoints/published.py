# SPDX-License-Identifier: GPL-3.0-or-later
"""From tensors under the published names (``synthesis.b8.conv0.weight`` …) to our networks, whose names they are."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..networks.limits import Unfilled
from ..networks.resample import filter_kernel
from ..networks.stylegan2 import Discriminator, Generator, GeneratorConfig

Tensors = Mapping[str, Tensor]


def find_architecture(generator: Tensors) -> GeneratorConfig:
    """The settings that follow from the shapes of a generator's weights.

    Raises:
        ValueError: the weights are not those of a StyleGAN2 generator, or its widths follow another rule than
            min(maximum, base / resolution).
    """
    names = [re.fullmatch(r"synthesis\.b(\d+)\.conv1\.weight", name) for name in generator]
    widths = {int(name[1]): generator[name[0]].shape[0] for name in names if name}
    layers = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in generator)
    if not widths or not layers or "mapping.fc0.weight" not in generator:
        raise ValueError("it holds no generator of StyleGAN2")
    resolution = max(widths)
    w_dim, z_dim = generator["mapping.fc0.weight"].shape
    config = GeneratorConfig(
        resolution=resolution,
        z_dim=z_dim,
        w_dim=w_dim,
        channel_base=max(at * width for at, width in widths.items()),
        channel_max=max(widths.values()),
        mapping_layers=layers,
        image_channels=_shape(generator, f"synthesis.b{resolution}.torgb.weight")[0],
    )
    expected = {at: config.width(at) for at in config.block_resolutions}
    if widths != expected:
        raise ValueError(f"its widths {widths} are not those of a StyleGAN2")
    return config


def build_networks(generator: Tensors, discriminator: Tensors | None) -> tuple[Generator, Discriminator | None]:
    """Networks with these weights, float32, in evaluation mode.

    Args:
        generator: with ``w_avg`` and every ``noise_const``.
        discriminator: None where the file has none.

    Raises:
        ValueError: the weights do not make these networks.
    """
    config = find_architecture(generator)
    with Unfilled():  # the tensors may not be what their names announce
        _check(Generator(config), generator, "generator")
        if discriminator is not None:
            _check(Discriminator(config), discriminator, "discriminator")
    built = Generator(config)
    built.load_state_dict(dict(generator))
    if discriminator is None:
        return built.eval(), None
    judge = Discriminator(config)
    judge.load_state_dict(dict(discriminator))
    return built.eval(), judge.eval()


def check_filter(name: str, kernel: Tensor, gain: float) -> None:
    """Raise ValueError unless a stored resampling filter is [1, 3, 3, 1] with this sum."""
    expected = filter_kernel(gain)
    if kernel.shape != expected.shape or not torch.allclose(kernel.float(), expected, rtol=1e-4):
        raise ValueError(f"'{name}' is another filter than [1, 3, 3, 1]")


def _check(network: nn.Module, tensors: Tensors, what: str) -> None:
    wanted = network.state_dict()
    missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    if missing or extra:
        raise ValueError(f"its {what} lacks {missing[:3] or 'nothing'} and has {extra[:3] or 'nothing'} too many")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise ValueError(f"'{name}' has the shape {list(tensor.shape)}, not {list(wanted[name].shape)}")
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise ValueError(f"'{name}' holds values that are not finite numbers")


def _shape(tensors: Tensors, name: str) -> torch.Size:
    if name not in tensors:
        raise ValueError(f"it lacks '{name}'")
    return tensors[name].shape
