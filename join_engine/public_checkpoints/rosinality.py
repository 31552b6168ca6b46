# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of ``.pt`` files of rosinality's stylegan2-pytorch, and of what is trained with it.

A file holds the state dicts ``g_ema`` (or ``g``) and ``d``, and sometimes ``latent_avg``. Conventions that differ from
the published names: layers are numbered through; modulated weights carry a leading 1; the mapping begins at style.1;
filters that go up are stored times 4. What is the same: kernels are not flipped, biases and weights are stored before
their gains, ToRGB shares its code with the next block. (Weights are scaled before they are demodulated there, which
only moves the ε of 1e-8.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .published import check_filter

_MEAN_CODES = 10_000


def networks_from(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Generator and discriminator under the published names. Raises ValueError for another layout."""
    found = values.get("g_ema", values.get("g"))
    if not isinstance(found, Mapping):
        raise ValueError("it has no 'g_ema'")
    generator = _generator(found)
    average = values.get("latent_avg")
    generator["w_avg"] = average.reshape(-1) if isinstance(average, Tensor) else _mean_code(generator)
    judge = values.get("d")
    return generator, _discriminator(judge) if isinstance(judge, Mapping) else None


def _generator(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in _only_tensors(stored).items():
        if name.endswith(".kernel"):
            check_filter(name, tensor, gain=4.0)
        elif match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):
            tensors[f"mapping.fc{int(match[1]) - 1}.{match[2]}"] = tensor
        elif name == "input.input":
            tensors["synthesis.b4.const"] = tensor[0]
        elif match := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
            tensors[f"synthesis.{_layer(int(match[1]))}.noise_const"] = tensor.reshape(tensor.shape[-2:])
        elif match := re.fullmatch(r"conv1\.(.+)", name):
            _convolution(tensors, f"synthesis.{_layer(0)}", match[1], tensor)
        elif match := re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name):
            _convolution(tensors, f"synthesis.{_layer(int(match[1]) + 1)}", match[2], tensor)
        elif match := re.fullmatch(r"to_rgb1\.(.+)", name):
            _convolution(tensors, "synthesis.b4.torgb", match[1], tensor)
        elif match := re.fullmatch(r"to_rgbs\.(\d{1,2})\.(.+)", name):
            _convolution(tensors, f"synthesis.b{8 << int(match[1])}.torgb", match[2], tensor)
        else:
            raise ValueError(f"its generator has an unknown '{name}'")
    return tensors


def _layer(number: int) -> str:
    """Convolution 0 is the one at 4×4; then there are two for each resolution."""
    if number == 0:
        return "b4.conv1"
    return f"b{4 << ((number + 1) // 2)}.conv{(number + 1) % 2}"


_CONVOLUTION = {
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
}


def _convolution(tensors: dict[str, Tensor], layer: str, name: str, tensor: Tensor) -> None:
    if name == "conv.weight":
        tensors[f"{layer}.weight"] = tensor[0]
    elif name == "bias":  # of ToRGB, [1, C, 1, 1]
        tensors[f"{layer}.bias"] = tensor.reshape(-1)
    elif name in _CONVOLUTION:
        tensors[f"{layer}.{_CONVOLUTION[name]}"] = tensor.reshape(()) if name == "noise.weight" else tensor
    else:
        raise ValueError(f"its generator has an unknown '{name}'")


_BLOCK = {
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.1.weight": "skip.weight",
}
_END = {
    "final_conv.0.weight": "b4.conv.weight",
    "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight",
    "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight",
    "final_linear.1.bias": "b4.out.bias",
}


def _discriminator(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    found = _only_tensors(stored)
    numbers = (re.match(r"convs\.(\d{1,2})\.", name) for name in found)
    blocks = max((int(match[1]) for match in numbers if match), default=0)
    if not blocks:
        raise ValueError("its discriminator has no blocks")
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if name.endswith(".kernel"):
            check_filter(name, tensor, gain=1.0)
        elif name in _END:
            tensors[_END[name]] = tensor
        elif name in ("convs.0.0.weight", "convs.0.1.bias"):
            tensors[f"b{4 << blocks}.fromrgb.{name.rsplit('.', 1)[1]}"] = tensor
        elif (match := re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name)) and match[2] in _BLOCK:
            tensors[f"b{4 << (blocks + 1 - int(match[1]))}.{_BLOCK[match[2]]}"] = tensor
        else:
            raise ValueError(f"its discriminator has an unknown '{name}'")
    return tensors


def _only_tensors(stored: Mapping[str, Any]) -> dict[str, Tensor]:
    wrong = [name for name, value in stored.items() if not isinstance(name, str) or not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(f"'{wrong[0]}' is no tensor")
    return dict(stored)


@torch.no_grad()
def _mean_code(generator: Mapping[str, Tensor]) -> Tensor:
    """[w_dim] mean over Gaussian z, for files that do not store it."""
    if "mapping.fc0.weight" not in generator:
        raise ValueError("it has no mapping network")
    size = generator["mapping.fc0.weight"].shape[1]
    codes = torch.randn(_MEAN_CODES, size, generator=torch.Generator().manual_seed(0))
    codes = codes * (codes.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
    index = 0
    while f"mapping.fc{index}.weight" in generator:
        weight, bias = generator[f"mapping.fc{index}.weight"].float(), generator[f"mapping.fc{index}.bias"].float()
        codes = F.linear(codes, weight * (0.01 / weight.shape[1] ** 0.5), bias * 0.01)
        codes = F.leaky_relu(codes, 0.2) * 2.0**0.5
        index += 1
    return codes.mean(dim=0)
