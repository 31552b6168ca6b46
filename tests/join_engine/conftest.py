# SPDX-License-Identifier: GPL-3.0-or-later
"""A tiny bank of random weights, enough for everything that does not ask for beauty."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from join_engine.bank import Bank, BankHeader, ComponentHeader, EncoderHeader, fingerprint, load_bank, save_bank
from join_engine.bank.bank_wide import BrightnessHeader, TrunkHeader
from join_engine.color import srgb_encode
from join_engine.networks.brightness import Brightness, BrightnessConfig
from join_engine.networks.encoder import Encoder, EncoderConfig
from join_engine.networks.stylegan2 import Discriminator, GeneratorConfig
from join_engine.networks.trunk import Trunk, TrunkConfig
from join_engine.renders.compose import ComponentSets, read_component_sets
from join_engine.training.learner import Learner
from join_engine.training.run import Run
from tests.join_blender.make_bank import random_generator
from tests.join_engine.invented_renders import write_renders

torch.set_num_threads(1)

Parts = Sequence[tuple[str, str]]
MakeBank = Callable[..., Path]


def make_bank(path: Path, forward_model: str, parts: Parts, resolution: int = 16) -> Path:
    """Write a bank of random generators, each (component, transform) with a mild output in the range of a real one."""
    torch.manual_seed(1)
    config = GeneratorConfig(resolution, 16, 16, 256, 16, 2, image_channels=3 * len(parts[0][0].split("+")))
    modules = {}
    for name, _ in parts:
        modules[name] = (random_generator(config), Discriminator(config))
    components = {name: ComponentHeader(transform, config) for name, transform in parts}
    save_bank(path, BankHeader(path.stem, resolution, forward_model, components), modules)
    return path


@pytest.fixture(scope="session")
def bank_maker() -> MakeBank:
    return make_bank


@pytest.fixture(scope="session")
def tiny_bank_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("banks") / "tiny.safetensors"
    return make_bank(path, "lambertian", (("albedo", "srgb"), ("shading", "reinhard")))


@pytest.fixture(scope="session")
def tiny_bank(tiny_bank_path: Path) -> Bank:
    return load_bank(tiny_bank_path, with_discriminators=True)


@pytest.fixture(scope="session")
def own_targets(tiny_bank: Bank) -> torch.Tensor:
    """sRGB-encoded images [3, 3, 16, 16] that the bank can make exactly."""
    layers = {}
    for name, component in tiny_bank.components.items():
        w = component.sample_codes()[:3]
        layers[name] = component.transform.from_generator(component.generator.synthesis(w, noise="const"))
    return srgb_encode(tiny_bank.forward_model.compose(layers).clip(0.0, None))


@pytest.fixture
def picture() -> np.ndarray:
    """A linear image [40, 56, 3]."""
    return np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)


def stored(bank: Bank, path: Path, header: BankHeader, **networks: torch.nn.Module) -> Bank:
    """A bank like the seeing one with more networks that belong to no component, from its file."""
    parts = bank.components
    save_bank(
        path,
        header,
        {name: (part.generator, part.discriminator) for name, part in parts.items()},
        {name: part.encoder for name, part in parts.items() if part.encoder is not None},
        trunk=bank.trunk,
        brightness=bank.brightness,
        **networks,  # type: ignore[arg-type]
    )
    return load_bank(path, with_discriminators=True)


@pytest.fixture(scope="session")
def seeing_bank(tiny_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """The tiny bank with encoders, a trunk and a brightness network, of random weights like all the rest of it."""
    path = tmp_path_factory.mktemp("banks") / "seeing.safetensors"
    torch.manual_seed(2)
    trunk = Trunk(TrunkConfig((4, 8, 8), (1, 1, 1)))
    encoders, components, networks = {}, {}, {}
    for name, part in tiny_bank.components.items():
        config = part.generator.config
        shape = EncoderConfig(16, config.w_dim, config.num_ws, "w", (4, 6, 8, 8), (1, 1, 1, 1), 8)
        encoders[name] = Encoder(shape)
        for style in encoders[name].styles:
            torch.nn.init.normal_(style.linear.weight)
        encoder = EncoderHeader(shape, fingerprint(part.generator))
        components[name] = replace(tiny_bank.header.components[name], encoder=encoder)
        networks[name] = (part.generator, part.discriminator)
    brightness = Brightness(BrightnessConfig((4, 8), 8))
    header = replace(
        tiny_bank.header,
        name="seeing",
        components=components,
        trunk=TrunkHeader(trunk.config),
        brightness=BrightnessHeader(brightness.config),
    )
    save_bank(path, header, networks, encoders, trunk=trunk, brightness=brightness)
    return load_bank(path, with_discriminators=True)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Invented renders to train on and to validate with."""
    folder = tmp_path_factory.mktemp("renders")
    return write_renders(folder / "train.tar", 200, seed=0), write_renders(folder / "val.tar", 48, seed=1)


@pytest.fixture(scope="module")
def data(packs: tuple[Path, Path]) -> ComponentSets:
    """Those to train on, read."""
    return read_component_sets([packs[0]], "lambertian")


def check_resumes(
    make: Callable[[], Learner[Any, Any]], data: ComponentSets, out: Path, halt: int = 4, steps: int = 9
) -> None:
    """A training that ends after ``halt`` of so many steps and goes on later equals one without interruption."""

    def begun() -> Run:
        made = Run(make(), {"kind": "resumed"}, data, None, out)
        made.resume()
        return made

    straight = make()
    for _ in range(steps):
        straight.step(data)
    batch = straight.settings.batch
    begun().train(batch * halt / 1000, minutes=9, save_every=0, validate_every=0)
    resumed = begun()
    assert resumed.learner.steps == halt
    resumed.train(batch * steps / 1000, minutes=9, save_every=0, validate_every=0)
    left, right = straight.tensors(), resumed.learner.tensors()
    assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training in a test leaves the process's signals alone."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
