# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes a small bank of random weights; runs in the engine's Python: ``make_bank.py FILE [RESOLUTION]``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from join_engine.bank import BankHeader, ComponentHeader, save_bank
from join_engine.networks.stylegan2 import Generator, GeneratorConfig

PARTS = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))


def random_generator(config: GeneratorConfig) -> Generator:
    """Random weights with a mild output, in the range of a real component, and the mean code that belongs to them."""
    generator = Generator(config)
    with torch.no_grad():
        for key, parameter in generator.named_parameters():
            if key.endswith("torgb.weight"):
                parameter.mul_(0.1)
        generator.w_avg.copy_(generator.mapping(torch.randn(1000, config.z_dim)).mean(dim=0))
    return generator


def main(path: Path, resolution: int) -> None:
    """albedo × shading + specular, each from a generator that has learned nothing."""
    torch.manual_seed(1)
    config = GeneratorConfig(
        resolution=resolution, z_dim=16, w_dim=16, channel_base=512, channel_max=16, mapping_layers=2
    )
    modules = {}
    for name, _ in PARTS:
        modules[name] = (random_generator(config), None)
    components = {name: ComponentHeader(transform, config, {}, False) for name, transform in PARTS}
    save_bank(path, BankHeader(path.stem, resolution, "lambertian_specular", components), modules)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 16)
