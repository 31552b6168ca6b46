# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain U-Net from a photo to its layers, to hold the banks against; not in the paper, and no part of a bank.

It has no generators and searches for nothing: what it has learned from renders it says at once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn
from torch.nn import functional

from ..color import srgb_decode
from ..components import COMPONENTS
from ..errors import JoinError
from ..images.files import write_atomically
from ..json_data import Described
from ..untrusted import read_json
from .limits import WIDEST, check_size, check_sizes

_KEY = "join_unet"
_SMALLEST_LIGHT = 0.01  # the logarithm of darker pixels is mostly that of noise
_LARGEST_SIDE = 4096
_GROUPS = 8  # of channels that are normalised together
_NO_GLOSS = -4.0  # before the sigmoid: most pixels have hardly any specular


@dataclass(frozen=True)
class UNetConfig(Described):
    """Architecture of a U-Net.

    Attributes:
        components: what it tells, in this order.
        widths: channels at 1, 1/2, 1/4 … of the resolution, each a multiple of 8.
        resolution: side of the pictures that it knows, in pixels.
    """

    components: tuple[str, ...] = ("albedo", "shading", "specular")
    widths: tuple[int, ...] = (24, 48, 96, 160, 192)
    resolution: int = 64

    def __post_init__(self) -> None:
        if not self.components or not set(self.components) <= set(COMPONENTS):
            raise ValueError(f"components must be some of {', '.join(COMPONENTS)}, not {self.components}")
        check_backbone(self.widths, self.resolution, _LARGEST_SIDE)


def check_backbone(widths: tuple[int, ...], resolution: int, largest: int) -> None:
    """Raise ValueError for a :class:`Backbone` that cannot be, or whose pictures are larger than ``largest``."""
    check_size("resolution", resolution, largest)
    check_sizes("widths", widths, WIDEST)
    if any(width % _GROUPS for width in widths):
        raise ValueError(f"widths must be multiples of {_GROUPS}, not {widths}")
    if resolution % 2 ** (len(widths) - 1):
        raise ValueError(f"{resolution} pixels cannot be halved {len(widths) - 1} times")


class Backbone(nn.Module):
    """sRGB-encoded photos → features at every resolution, each of which has seen the whole picture. ``widths``:
    channels at 1, 1/2, 1/4 … of the resolution, each a multiple of 8. ``beside``: channels of what it is told of each
    pixel beside the photo."""

    def __init__(self, widths: Sequence[int], beside: int = 0) -> None:
        super().__init__()
        self.into = nn.Conv2d(6 + beside, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(
            _Block(before, width) for before, width in zip((widths[0], *widths), widths, strict=False)
        )
        self.ups = nn.ModuleList(_Block(width + below, width) for width, below in pairwise(widths))

    def features(self, images: Tensor, *told: Tensor) -> list[Tensor]:
        """sRGB-encoded [B, 3, H, W] in [0, 1], its sides multiples of 2 to the power of the halvings, and what is told
        of them → [B, width, h, w] for each of the widths, fine to coarse."""
        light = (srgb_decode(images) + _SMALLEST_LIGHT).log() / 3.0
        x = self.into(torch.cat([images * 2.0 - 1.0, light, *told], dim=1))
        seen: list[Tensor] = []
        for down in self.downs:
            x = down(functional.avg_pool2d(x, 2) if seen else x)
            seen.append(x)
        found = [x]
        for up, beside in zip(reversed(self.ups), reversed(seen[:-1]), strict=True):
            x = up(torch.cat([functional.interpolate(x, scale_factor=2.0), beside], dim=1))
            found.append(x)
        return found[::-1]


class UNet(Backbone):
    """sRGB-encoded photos → components in the generators' range."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config.widths)
        self.config = config
        self.out = nn.Conv2d(config.widths[0], 3 * len(config.components), 3, padding=1)
        with torch.no_grad():
            for name, bias in zip(self.config.components, self.out.bias.view(-1, 3), strict=True):  # type: ignore[union-attr]
                if name == "specular":
                    bias.fill_(_NO_GLOSS)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Photos as :meth:`features` takes them → by component [B, 3, H, W] in [-1, 1]."""
        x = self.features(images)[0]
        told = self.out(functional.silu(x)).float().sigmoid() * 2.0 - 1.0
        return dict(zip(self.config.components, told.split(3, dim=1), strict=True))


class _Block(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(_GROUPS, outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.GroupNorm(_GROUPS, outputs),
        )
        self.past = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.past(x) + self.body(x)  # type: ignore[no-any-return]


def write_unet(path: Path, network: UNet, training: Mapping[str, Any]) -> None:
    """Write weights, architecture and what is known of the training. Raises JoinError ``output_unwritable``."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    text = json.dumps({"architecture": network.config.to_dict(), "training": dict(training)}, ensure_ascii=False)
    data = safetensors_bytes(tensors, metadata={_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_unet(path: Path, device: str | torch.device = "cpu") -> UNet:
    """The network that :func:`write_unet` has written, in evaluation mode. Raises JoinError ``unet_broken``."""
    try:
        with safe_open(path, framework="pt") as file:
            values = read_json((file.metadata() or {})[_KEY])
            network = UNet(UNetConfig.from_dict(values["architecture"]))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (not a dict)
        return network.to(device).eval().requires_grad_(False)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        message = f"'{path}' is no U-Net: {error}."
        raise JoinError("unet_broken", message, "Train one with train-unet, and name its unet.safetensors.") from error
