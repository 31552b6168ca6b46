# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirror images inverted beside the images, and what is made of both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from join_engine.bank import Bank
from join_engine.evaluation.methods.by_name import preset_method
from join_engine.evaluation.paper.evaluate import Run, evaluate
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stage import Stage
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mirrored import Mirrored
from join_engine.inversion.stages.tuning import Tuning
from join_engine.inversion.state import InversionState
from join_engine.pipeline import decompose

from .evaluation.test_evaluate import _own_samples
from .test_guide import seen, trained_with

SEARCH = Joint(steps=4, guide_weight=0.1, knn_weight=0.0, learning_rate=0.05)


@pytest.fixture
def bank(seeing_bank: Bank) -> Bank:
    return trained_with(seeing_bank, flip=True)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def run(bank: Bank, target: torch.Tensor, *stages: Stage) -> InversionState:
    return invert(bank, target, Preset("x", stages), saturated=target > 0.9)


def layers(state: InversionState) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return state.settle(state.synthesize())


def test_it_is_the_mean_of_both_views(bank: Bank, target: torch.Tensor) -> None:
    found = layers(run(bank, target, Mirrored(), EncoderStart()))
    upright, other = seen(bank, target), seen(bank, target.flip(3))
    for name, made in found.items():
        assert made.shape == target.shape
        torch.testing.assert_close(made, (upright[name] + other[name].flip(3)) / 2)


SEARCHES = {
    "encoders": (EncoderStart(),),
    "search": (EncoderStart(), SEARCH),
    "tuned": (EncoderStart(), Tuning(steps=2, discriminator_weight=0.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("stages", SEARCHES.values(), ids=SEARCHES)
def test_a_mirrored_image_has_mirrored_layers(bank: Bank, target: torch.Tensor, stages: tuple[Stage, ...]) -> None:
    one = layers(run(bank, target, Mirrored(), *stages))
    mirrored = layers(run(bank, target.flip(3), Mirrored(), *stages))
    alone = layers(run(bank, target, *stages))
    for name, made in one.items():
        torch.testing.assert_close(mirrored[name].flip(3), made, atol=2e-4, rtol=0)
        assert (alone[name] - made).abs().max() > 1e-3


def test_the_images_own_codes_come_first(bank: Bank, target: torch.Tensor) -> None:
    both, alone = (run(bank, target, *first, EncoderStart()) for first in ((Mirrored(),), ()))
    for name, codes in alone.latents.items():
        torch.testing.assert_close(both.latents[name][:2], codes)
    assert len(both.latents["albedo"]) == 4


def test_a_bank_that_knows_no_mirrored_samples_is_left_alone(seeing_bank: Bank, target: torch.Tensor) -> None:
    both, alone = (run(seeing_bank, target, *first, EncoderStart(), SEARCH) for first in ((Mirrored(),), ()))
    assert not both.mirrored and all(torch.equal(both.latents[name], codes) for name, codes in alone.latents.items())


def test_an_image_is_decomposed_with_previews_of_its_own_size(bank: Bank, picture: np.ndarray) -> None:
    shown: list[dict[str, np.ndarray]] = []
    preset = Preset("x", (Mirrored(), EncoderStart(), SEARCH), Detail())
    bright = (picture * 1.3).clip(0.0, 1.0)
    outcome = decompose(bright, bank, preset, 0, Monitor(preview_every=2), lambda _, found: shown.append(found))
    assert len(shown) == 2 and all(layer.shape == picture.shape for found in shown for layer in found.values())
    assert outcome.decomposition.metrics["psnr"] > 40
    assert all(codes.shape == (1, 16) for codes in outcome.decomposition.codes.values())


@pytest.mark.slow
def test_methods_that_share_stages_get_the_same_layers(bank: Bank) -> None:
    samples = _own_samples(bank, 3)
    stages = (Mirrored(), EncoderStart(), SEARCH)
    first, second = (preset_method(Preset(name, stages), bank) for name in ("first", "second"))
    together = evaluate(bank, samples, [first, second], Run(batch=2))["methods"]
    alone = evaluate(bank, samples, [second], Run(batch=2))["methods"]
    assert together["first"] == together["second"] == alone["second"]
