# SPDX-License-Identifier: GPL-3.0-or-later
"""Joint inversion: a bank's own images are recovered, a seed repeats itself, a cancellation is quick."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from join_engine import forward_models
from join_engine.bank import Bank, find_bank, load_bank
from join_engine.errors import JoinError
from join_engine.inversion import progress as progress_module
from join_engine.inversion.adam import Adam
from join_engine.inversion.codebook import Whitening
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import PRESETS, Preset, get_preset
from join_engine.inversion.progress import Clock, Monitor, Progress
from join_engine.inversion.stage import Stage
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint, ramped
from join_engine.inversion.stages.masking import Masking
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import FORMS, Tuning
from join_engine.inversion.state import InversionState
from join_engine.networks.stylegan2 import generate

SHORT = Preset("short", (MeanStart(), Joint(steps=20)))


def _psnr(state: InversionState) -> torch.Tensor:
    with torch.no_grad():
        image = state.render(state.synthesize())
    return -10 * (image - state.target).square().mean(dim=(1, 2, 3)).log10()


@pytest.mark.slow
@pytest.mark.parametrize("space", ["w", "w+", "whitened"])
def test_own_samples_are_recovered(tiny_bank: Bank, own_targets: torch.Tensor, space: str) -> None:
    first = invert(tiny_bank, own_targets, Preset("start", (MeanStart(), Joint(steps=1))))
    state = invert(tiny_bank, own_targets, Preset("long", (MeanStart(), Joint(steps=300, space=space))))
    assert (state.loss < first.loss / 10).all()
    assert (_psnr(state) > 30).all()
    layers = {"w": 1, "w+": tiny_bank.components["albedo"].generator.num_ws, "whitened": 1}
    assert {w.shape[1] for w in state.latents.values()} == {layers[space]}


def test_whitening_has_unit_covariance_and_goes_there_and_back(tiny_bank: Bank) -> None:
    codes = tiny_bank.components["albedo"].sample_codes()
    whitening = Whitening(codes)
    whitened = whitening.whiten(codes)
    assert torch.allclose(torch.cov(whitened.T), torch.eye(16), atol=1e-3)
    assert torch.allclose(whitening.color(whitened), codes, atol=1e-4)


@pytest.mark.slow
def test_a_heavy_prior_holds_the_codes_back(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    def distance(**weights: float) -> float:
        state = invert(tiny_bank, own_targets, Preset("prior", (MeanStart(), Joint(steps=15, **weights))))
        return sum((w - tiny_bank.components[name].w_avg).norm().item() for name, w in state.latents.items())

    free = distance(knn_weight=0.0)
    assert distance(knn_weight=0.0, normal_weight=10.0) < free / 2
    assert distance(knn_weight=10.0) < free


def test_starts_at_the_mean_code(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    state = invert(tiny_bank, own_targets, Preset("start", (MeanStart(),)))
    for name, w in state.latents.items():
        assert torch.equal(w, tiny_bank.components[name].w_avg.expand_as(w))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_codes(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    first, second = (invert(tiny_bank, own_targets, SHORT, seed=3) for _ in range(2))
    for name in first.latents:
        assert torch.equal(first.latents[name], second.latents[name])


def _in_doubles(bank: Bank) -> Bank:
    components = {}
    for name, part in bank.components.items():
        codes = {(100_000, 0): part.sample_codes().double()}
        generator = copy.deepcopy(part.generator).double()
        discriminator = copy.deepcopy(part.discriminator).double()  # type: ignore[union-attr]
        components[name] = replace(
            part, generator=generator, discriminator=discriminator, w_avg=part.w_avg.double(), _codes=codes
        )
    return replace(bank, components=components)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stages",
    [
        (
            MeanStart(),
            Joint(steps=15, space="whitened", features="pixels", normal_weight=0.01),
            Joint(steps=10, in_domain_weight=1e-3, features="discriminator"),
        ),
        (
            MeanStart(),
            Joint(steps=20, ensemble=True, space="w+", features="discriminator"),
            Tuning(steps=3, ensemble=True, features="discriminator", discriminator_every=2),
        ),
    ],
    ids=["search", "ensemble"],
)
def test_images_of_a_batch_get_what_they_would_get_alone(
    tiny_bank: Bank, own_targets: torch.Tensor, stages: tuple[Stage, ...]
) -> None:
    """Every draw, choice and optimiser step. In doubles, where the rounding of a convolution, which depends on the
    size of the batch, is too small for Adam to make anything of: 25 steps carry 1e-16 to less than 1e-9."""
    bank = _in_doubles(tiny_bank)

    def run(targets: torch.Tensor) -> InversionState:
        state = InversionState.begin(bank, targets.double(), seed=3)
        for stage in stages:
            stage.run(state, Monitor())
        return state

    together = run(own_targets)
    for item in range(3):
        alone = run(own_targets[item : item + 1])
        assert torch.allclose(together.loss[item], alone.loss[0], rtol=1e-8, atol=0)
        for name, w in alone.latents.items():
            assert torch.allclose(together.latents[name][item], w[0], rtol=0, atol=1e-9)
        for name, output in alone.synthesize().items():
            assert torch.allclose(together.synthesize()[name][item], output[0], rtol=0, atol=1e-8)


@pytest.mark.slow
def test_images_of_a_batch_do_not_know_of_each_other(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    """In single precision: Adam's first steps, which have the same size for all gradients, make 1e-7 to about 1e-4."""
    together = invert(tiny_bank, own_targets, SHORT)
    alone = invert(tiny_bank, own_targets[1:2], SHORT)
    assert torch.allclose(together.loss[1], alone.loss[0], rtol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage", [Joint(4, features="pixels"), Masking(4, features="pixels", reach=0.05)], ids=["codes", "masks"]
)
def test_threads_that_share_the_images_find_what_one_finds(
    tiny_bank: Bank, own_targets: torch.Tensor, stage: Stage
) -> None:
    """Three images for two threads, in doubles; previews are of all images, in their order."""
    bank, threads, found = _in_doubles(tiny_bank), torch.get_num_threads(), []
    for count in (1, 2):
        torch.set_num_threads(count)
        previews: list[torch.Tensor] = []
        monitor = Monitor(preview_every=4, on_preview=lambda step, outputs, to=previews: to.append(outputs["albedo"]))
        state = InversionState.begin(bank, own_targets.double(), seed=3)
        try:
            stage.run(state, monitor)
            assert torch.get_num_threads() == count
        finally:
            torch.set_num_threads(threads)
        found.append((state, previews[0]))
    (one, shown_by_one), (two, shown_by_two) = found
    torch.testing.assert_close(two.loss, one.loss, rtol=1e-9, atol=0)
    torch.testing.assert_close(shown_by_two, shown_by_one, rtol=0, atol=1e-9)
    for mine, theirs in ((two.latents, one.latents), (two.masks, one.masks), (two.flows, one.flows)):
        assert list(mine) == list(theirs)
        for key in mine:
            torch.testing.assert_close(mine[key], theirs[key], rtol=0, atol=1e-9)


@pytest.mark.slow
def test_a_search_in_bfloat16_ends_near_and_its_results_are_exact(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    preset = Preset("long", (MeanStart(), Joint(steps=150)))
    exact, rough = (invert(tiny_bank, own_targets, preset, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    assert not torch.equal(exact.latents["albedo"], rough.latents["albedo"])
    assert (_psnr(rough) > _psnr(exact).clamp(max=33.0) - 1.0).all()
    generator = tiny_bank.components["albedo"].generator
    own = generator.synthesis(rough.latents["albedo"].expand(-1, generator.num_ws, -1), noise="const")
    assert torch.equal(rough.synthesize()["albedo"], own)


@pytest.mark.slow
def test_generators_stay_as_they_are(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    before = {k: v.clone() for k, v in tiny_bank.components["albedo"].generator.state_dict().items()}
    invert(tiny_bank, own_targets, SHORT)
    after = tiny_bank.components["albedo"].generator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_cancel_takes_effect_within_one_step(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    steps: list[Progress] = []
    monitor = Monitor(on_progress=steps.append, cancelled=lambda: len(steps) == 5)
    state = invert(tiny_bank, own_targets, Preset("two", (MeanStart(), Joint(steps=50), Joint(steps=50))), 0, monitor)
    assert state.cancelled
    assert len(steps) == 5
    assert [(step.step, step.of) for step in steps] == [(i, 50) for i in range(1, 6)]
    assert state.loss.isfinite().all()


@pytest.mark.slow
def test_previews_come_when_asked_for(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    seen: list[int] = []

    def show(step: int, outputs: object) -> None:
        seen.append(step)

    invert(tiny_bank, own_targets, SHORT, 0, Monitor(preview_every=8, on_preview=show))
    assert seen == [8, 16]


@pytest.mark.slow
def test_a_forward_model_registered_by_a_test(tmp_path: Path, bank_maker, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(forward_models, "FORWARD_MODELS", dict(forward_models.FORWARD_MODELS))
    forward_models.register(forward_models.ForwardModel("veiled", (("albedo", "shading", 0.5), ("veil", 0.5))))
    parts = (("albedo", "srgb"), ("shading", "reinhard"), ("veil", "reinhard"))
    bank = load_bank(bank_maker(tmp_path / "veiled.safetensors", "veiled", parts))
    target = torch.full((1, 3, 16, 16), 0.4)
    state = invert(bank, target, SHORT)
    assert set(state.latents) == {"albedo", "shading", "veil"}
    assert state.loss.isfinite().all()


@pytest.mark.slow
def test_two_and_three_components_go_the_same_way(tmp_path: Path, bank_maker) -> None:  # type: ignore[no-untyped-def]
    parts = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
    bank = load_bank(bank_maker(tmp_path / "three.safetensors", "lambertian_specular", parts))
    state = invert(bank, torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)), SHORT)
    assert tuple(state.latents) == ("albedo", "shading", "specular")


def test_a_target_of_the_wrong_size_is_refused(tiny_bank: Bank) -> None:
    with pytest.raises(JoinError) as caught:
        invert(tiny_bank, torch.zeros(1, 3, 32, 32), SHORT)
    assert caught.value.code == "target_mismatch"


def test_white_pixels_may_be_brighter(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    white = torch.ones_like(own_targets)
    state = InversionState.begin(tiny_bank, white, saturated=white.bool())
    bright = {name: torch.full_like(white, 0.9) for name in state.latents}
    assert torch.equal(state.render(bright), white)


@pytest.mark.slow
def test_tuning_brings_the_image_closer_and_leaves_the_bank_alone(tiny_bank: Bank) -> None:
    target = torch.full((2, 3, 16, 16), 0.4)
    target[1] = 0.55
    before = {k: v.clone() for k, v in tiny_bank.components["albedo"].generator.state_dict().items()}
    coarse = invert(tiny_bank, target, SHORT)
    state = invert(tiny_bank, target, Preset("pti", (*SHORT.stages, Tuning(steps=25, learning_rate=1e-2))))
    assert (_psnr(state) > _psnr(coarse) + 0.5).all()
    assert all(torch.equal(state.latents[name], coarse.latents[name]) for name in state.latents)
    after = tiny_bank.components["albedo"].generator.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_forms_of_the_local_discriminator_loss_are_named(tiny_bank: Bank) -> None:
    tuning = Tuning(steps=1, discriminator_form="printed backwards")
    with pytest.raises(JoinError) as caught:
        invert(tiny_bank, torch.rand(1, 3, 16, 16), Preset("pti", (MeanStart(), tuning)))
    assert caught.value.code == "settings_invalid" and all(form in caught.value.hint for form in FORMS)


@pytest.mark.slow
def test_local_discriminator_loss_keeps_what_the_discriminators_say(tiny_bank: Bank) -> None:
    target = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))

    def change(weight: float) -> float:
        tuning = Tuning(steps=15, discriminator_weight=weight, discriminator_every=1)
        state = invert(tiny_bank, target, Preset("pti", (MeanStart(), tuning)))
        total = 0.0
        with torch.no_grad():
            for name, output in state.synthesize().items():
                discriminator = tiny_bank.components[name].discriminator
                assert discriminator is not None
                before = generate(tiny_bank.components[name].generator, state.latents[name])
                total += (discriminator(output) - discriminator(before)).abs().item()
        return total

    assert change(1.0) < 0.9 * change(0.0)


@pytest.mark.slow
def test_local_discriminator_loss_leaves_neighbours_nearer_to_what_they_were() -> None:
    """With trained generators and critics: those of random weights know no image to keep."""
    bank = load_bank(find_bank("materials"), with_discriminators=True)
    patches = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target = patches.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)  # no material: the generators must bend

    def change(weight: float) -> float:
        """Mean squared change of the images of codes near the pivots, over all generators."""
        tuning = Tuning(steps=30, learning_rate=3e-3, discriminator_weight=weight, discriminator_every=1)
        state = invert(bank, target, Preset("pti", (EncoderStart(), tuning)))
        assert state.tuned is not None
        total = 0.0
        for name, part in bank.components.items():
            others = part.sample_codes()[5000:5032, None]  # hardly among the anchors
            codes = torch.lerp(state.latents[name], others, tuning.locality)
            with torch.no_grad():
                moved = generate(state.tuned[0][name], codes) - generate(part.generator, codes)
            total += moved.square().mean().item()
        return total

    assert change(1e-2) < 0.9 * change(0.0)


def test_tuning_without_discriminators_is_refused(tiny_bank_path: Path, own_targets: torch.Tensor) -> None:
    bank = load_bank(tiny_bank_path)
    with pytest.raises(JoinError) as caught:
        invert(bank, own_targets[:1], Preset("pti", (MeanStart(), Tuning(steps=1))))
    assert caught.value.code == "discriminator_missing"
    invert(bank, own_targets[:1], Preset("pti", (MeanStart(), Tuning(steps=1, discriminator_weight=0))))


def test_tuning_can_be_cancelled(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    steps: list[Progress] = []
    monitor = Monitor(on_progress=steps.append, cancelled=lambda: len(steps) == 7)
    state = invert(tiny_bank, own_targets, Preset("pti", (MeanStart(), Tuning(steps=5))), 0, monitor)
    assert state.cancelled and [step.step for step in steps] == list(range(1, 8)) and steps[0].of == 15
    assert all(output.isfinite().all() for output in state.synthesize().values())


def test_schedule() -> None:
    assert ramped(0.0) == 0.0
    assert math.isclose(ramped(0.025), 0.5)
    assert ramped(0.05) == ramped(0.75) == 1.0
    assert math.isclose(ramped(0.875), 0.5)
    assert ramped(1.0) == 0.0


@pytest.mark.parametrize("steps", [1, 2, 15])
def test_every_step_moves_the_codes(tiny_bank: Bank, own_targets: torch.Tensor, steps: int) -> None:
    rates: list[float] = []
    step = Adam.step

    def noted(self: Adam, rate: float) -> None:
        rates.append(rate)
        step(self, rate)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Adam, "step", noted)
        invert(tiny_bank, own_targets[:1], Preset("x", (MeanStart(), Joint(steps=steps, learning_rate=0.1))))
    assert len(rates) == steps and min(rates) > 0


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_to_json_and_back(name: str) -> None:
    preset = get_preset(name)
    assert preset.name == name and Preset.from_json(preset.to_json()) == preset


@pytest.mark.parametrize(
    "stage", [{"kind": "guess"}, {}, {"kind": "joint", "step": 3}, {"kind": "mean_start", "steps": 3}], ids=str
)
def test_settings_that_no_stage_has_are_refused(stage: dict[str, object]) -> None:
    with pytest.raises(JoinError) as caught:
        Preset.from_json({"preset": "x", "stages": [stage], "detail": None})
    assert caught.value.code == "settings_invalid"


def test_steps_can_be_overridden() -> None:
    assert [stage.steps for stage in SHORT.with_steps(7).stages if isinstance(stage, Joint)] == [7]
    with pytest.raises(JoinError, match=r"0 optimiser steps are too few. Ask for 1 or more."):
        SHORT.with_steps(0)
    assert [stage.steps for stage in SHORT.with_steps(1).stages if isinstance(stage, Joint)] == [1]
    with pytest.raises(JoinError, match="takes no optimiser steps"):
        get_preset("draft").with_steps(5)
    assert get_preset("draft").with_steps(None) == get_preset("draft")


def test_the_time_left_does_not_take_the_first_step_for_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: now[0])
    clock = Clock(11)
    now[0] = 10.0  # the first step draws codes and compiles
    assert clock.left(1) == pytest.approx(100.0)
    now[0] = 12.0
    assert clock.left(3) == pytest.approx(8.0)
