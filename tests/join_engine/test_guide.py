# SPDX-License-Identifier: GPL-3.0-or-later
"""What the encoders see as a guide: its distance, the views it is made of, and what it does to an inversion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank, load_bank
from join_engine.inversion.invert import invert
from join_engine.inversion.losses.guide import encoders_see, guide_loss
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.networks.stylegan2 import generate


def trained_with(bank: Bank, **settings: bool) -> Bank:
    """The bank, saying that its encoders saw such samples last."""
    stretches = [{"settings": {"flip": False}}, {"settings": settings}]
    components = {
        name: replace(part, encoder=replace(part.encoder, training={"stretches": stretches}))
        for name, part in bank.header.components.items()
        if part.encoder is not None
    }
    return replace(bank, header=replace(bank.header, components=components))


def seen(bank: Bank, target: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each encoder makes of the images as they are."""
    with torch.no_grad():
        return {name: generate(part.generator, part.encode(target)) for name, part in bank.components.items()}


def guide_of(
    weight: float, quarters_weight: float, seen: Mapping[str, torch.Tensor]
) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
    return lambda outputs: guide_loss(outputs, seen, weight, quarters_weight)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def test_the_distance_is_the_squared_error_of_every_component(seeing_bank: Bank, target: torch.Tensor) -> None:
    mine = seen(seeing_bank, target)
    guide = guide_of(1.0, 0.0, encoders_see(seeing_bank, target))
    assert torch.equal(guide(mine), torch.zeros(2))
    moved = {**mine, "albedo": mine["albedo"] + torch.tensor([0.5, 0.1])[:, None, None, None]}
    torch.testing.assert_close(guide(moved), torch.tensor([0.25, 0.01]))

    # Quarters do not care for what evens out within them.
    quarters = guide_of(0.0, 2.0, encoders_see(seeing_bank, target))
    torch.testing.assert_close(quarters(moved), torch.tensor([0.5, 0.02]))
    grain = torch.ones(16, 16)
    grain[::2] = -1.0
    grainy = {**mine, "albedo": mine["albedo"] + grain}
    torch.testing.assert_close(quarters(grainy), torch.zeros(2), atol=1e-10, rtol=0)
    torch.testing.assert_close(guide(grainy), torch.ones(2))
    torch.testing.assert_close(guide_of(1.0, 2.0, encoders_see(seeing_bank, target))(moved), torch.tensor([0.75, 0.03]))


def test_encoders_look_in_all_the_ways_that_they_were_trained_for(seeing_bank: Bank, target: torch.Tensor) -> None:
    flipped = {name: made.flip(3) for name, made in seen(seeing_bank, target.flip(3)).items()}
    both = {name: (made + flipped[name]) / 2 for name, made in seen(seeing_bank, target).items()}
    bank = trained_with(seeing_bank, flip=True)
    torch.testing.assert_close(guide_of(1.0, 0.0, encoders_see(bank, target))(both), torch.zeros(2), atol=1e-10, rtol=0)
    assert (guide_of(1.0, 0.0, encoders_see(seeing_bank, target))(both) > 1e-5).all()

    # Whichever way up the image comes, an encoder that looks at it all ways round sees the same, turned.
    all_ways = trained_with(seeing_bank, flip=True, turns=True)
    anything = {name: torch.rand(2, 3, 16, 16) for name in seeing_bank.components}
    turned = {name: torch.rot90(made, 1, (2, 3)) for name, made in anything.items()}
    sideways = torch.rot90(target, 1, (2, 3))
    upright = guide_of(1.0, 1.0, encoders_see(all_ways, target))(anything)
    aside = guide_of(1.0, 1.0, encoders_see(all_ways, sideways))(turned)
    torch.testing.assert_close(upright, aside)
    apart = guide_of(1.0, 1.0, encoders_see(bank, target))(anything) - guide_of(1.0, 1.0, encoders_see(bank, sideways))(
        turned
    )
    assert (apart.abs() > 1e-5).all()


@pytest.mark.slow
def test_it_holds_the_components(seeing_bank: Bank, target: torch.Tensor, tiny_bank_path: Path) -> None:
    def distance(weight: float) -> np.ndarray:
        stages = EncoderStart(), Joint(steps=12, knn_weight=0.0, learning_rate=0.05, guide_weight=weight)
        state = invert(seeing_bank, target, Preset("x", stages))
        with torch.no_grad():
            return guide_of(1.0, 0.0, encoders_see(seeing_bank, target))(state.synthesize()).numpy()

    free, light, heavy = distance(0.0), distance(1.0), distance(10.0)
    assert (heavy < light).all() and (light < free).all()

    blind = load_bank(tiny_bank_path)  # nothing to be guided by
    stages = [(Joint(steps=3, guide_weight=weight),) for weight in (0.0, 5.0)]
    plain, asked = (invert(blind, target, Preset("x", stage)).latents["albedo"] for stage in stages)
    assert torch.equal(plain, asked)


def test_the_loss_of_an_ensemble_counts_it(seeing_bank: Bank, target: torch.Tensor) -> None:
    losses = [
        invert(seeing_bank, target, Preset("x", (Joint(steps=1, ensemble=True, guide_weight=weight),))).loss
        for weight in (0.0, 1.0)
    ]
    assert (losses[1] > losses[0] + 1e-4).all()
