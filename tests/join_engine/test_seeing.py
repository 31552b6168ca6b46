# SPDX-License-Identifier: GPL-3.0-or-later
"""The seeing encoder: what it tells, its training, its place in a bank, and the inversions that begin with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from join_engine.bank import Bank, fingerprint, load_bank, save_bank, verify_bank
from join_engine.bank.bank_wide import SeeingHeader
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.inversion.invert import invert
from join_engine.inversion.presets import Detail, Preset, get_preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.seeing_start import SeeingStart, seen_all_ways
from join_engine.inversion.stages.spatial import Spatial
from join_engine.inversion.stages.tuning import Tuning
from join_engine.layers.decomposition import Decomposition, Features, load_decomposition, save_decomposition
from join_engine.layers.split import encoders_say
from join_engine.networks.seeing import Seeing, SeeingConfig
from join_engine.networks.stylegan2 import Generator, GeneratorConfig, generate
from join_engine.pipeline import decompose
from join_engine.relighting.relighter import Edit, Relighter
from join_engine.renders.compose import ComponentSets, read_component_sets
from join_engine.renders.photo_augment import PhotoRanges
from join_engine.training.seeing import SeeingLearner, SeeingSettings

from .conftest import check_resumes, stored

PLAIN = PhotoRanges(share=0.2, vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0)


def config_for(bank: Bank, **changes: object) -> SeeingConfig:
    generators = {name: part.generator.config for name, part in bank.components.items()}
    return SeeingConfig.of(generators, **{"widths": (8, 16, 16), **changes})


def wild(config: SeeingConfig) -> Seeing:
    """One with an opinion about everything."""
    torch.manual_seed(0)
    network = Seeing(config).eval().requires_grad_(False)
    for head in (network.codes, *network.deltas.values()):
        torch.nn.init.normal_(head.weight, std=0.05)  # type: ignore[arg-type]
    return network


@pytest.fixture(scope="module")
def sharp_bank(seeing_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A bank with a seeing encoder, from its file."""
    network = wild(config_for(seeing_bank))
    generators = {name: fingerprint(part.generator) for name, part in seeing_bank.components.items()}
    header = replace(seeing_bank.header, name="sharp", seeing=SeeingHeader(network.config, {}, generators))
    path = tmp_path_factory.mktemp("banks") / "sharp.safetensors"
    return stored(seeing_bank, path, header, seeing=network)


@pytest.fixture
def target() -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def test_the_architecture_goes_to_json_and_impossible_ones_are_refused(tiny_bank: Bank) -> None:
    small = config_for(tiny_bank)
    assert small.spaces == (8, 16) and SeeingConfig.from_dict(json.loads(json.dumps(small.to_dict()))) == small
    impossible: dict[str, list[object]] = {
        "widths": [(9,), (), (2**20,)],
        "spaces": [(8, 8), (2,), (32,), (8,)],
        "resolution": [18, 2**20],
        "components": [(), ("albedo", "albedo"), ("albedo",)],
        "channels": [((1,), (1,)), ((0, 1), (1, 1))],
        "num_ws": [0, 1000],
        "w_dim": [0],
    }
    for wrong in ({name: value} for name, values in impossible.items() for value in values):
        with pytest.raises(ValueError):
            replace(small, **wrong)  # type: ignore[arg-type]
    other = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, channel_base=128, channel_max=8, mapping_layers=2)
    for wrong_ones in ({"albedo": other}, {"albedo": other, "shading": other}):
        with pytest.raises(ValueError):
            small.check_fits(wrong_ones)


def test_before_its_training_it_sees_mean_codes_and_nothing_beside_them(tiny_bank: Bank) -> None:
    told = Seeing(config_for(tiny_bank))(torch.rand(2, 3, 16, 16))
    for name, (offsets, residuals) in told.items():
        part = tiny_bank.components[name]
        assert offsets.shape == (2, part.generator.num_ws, part.generator.config.w_dim) and not offsets.any()
        for side, one in residuals.items():
            assert one.delta.shape == (2, part.generator.config.width(side), side, side) and not one.delta.any()
            assert one.mask.shape == (2, 1, side, side) and ((one.mask > 0.0) & (one.mask < 1.0)).all()


def test_without_masks_features_count_everywhere_and_without_spaces_there_are_none(tiny_bank: Bank) -> None:
    unmasked = wild(config_for(tiny_bank, masks=False))(torch.rand(1, 3, 16, 16))
    assert all(torch.equal(one.mask, torch.ones_like(one.mask)) for one in unmasked["shading"].residuals.values())
    alone = wild(config_for(tiny_bank, spaces=()))(torch.rand(1, 3, 16, 16))
    assert all(not sight.residuals and sight.offsets.any() for sight in alone.values())


def learner_of(bank: Bank, config: SeeingConfig | None = None, **settings: float) -> SeeingLearner:
    return SeeingLearner(bank, config or config_for(bank), SeeingSettings(**settings), PLAIN, kimg=1.0)  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_learns_through_generators_that_stay_as_they_are(
    packs: tuple[Path, Path], data: ComponentSets, tiny_bank: Bank
) -> None:
    unseen = read_component_sets([packs[1]], "lambertian")
    before = {name: fingerprint(part.generator) for name, part in tiny_bank.components.items()}
    learner = learner_of(tiny_bank, batch=8, ema_kimg=0.05, lr=3e-3)
    ignorant = learner.validate(unseen)
    for _ in range(80):
        learner.step(data)
    scores = learner.validate(unseen)
    assert scores["samples"] == 48
    assert scores["albedo"] > ignorant["albedo"] + 0.5 and scores["shading"] > ignorant["shading"] + 0.5
    assert scores["photo"] > ignorant["photo"] + 2.0 and scores["photo"] > scores["codes_photo"]
    assert -1.0 <= scores["mask_albedo"] <= 1.0 and 0.0 < scores["area_albedo"] < 1.0
    assert {name: fingerprint(part.generator) for name, part in tiny_bank.components.items()} == before


@pytest.mark.slow
def test_what_the_weights_hold_back(data: ComponentSets, tiny_bank: Bank) -> None:
    def after(**settings: float) -> dict[str, float]:
        learner = learner_of(tiny_bank, batch=8, lr=3e-3, **settings)
        reports = [learner.step(data) for _ in range(40)]
        return {name: float(value) for name, value in reports[-1].items()}

    free = after(residual=0.0, area=0.0, adversarial=0.0)
    assert "adversarial" not in free and "codes" in free
    assert after(residual=1.0, area=0.0, adversarial=0.0)["residual"] < free["residual"] / 2
    assert after(residual=0.0, area=5.0, adversarial=0.0)["area"] < free["area"] / 2
    assert after(residual=0.0, area=0.0, adversarial=1.0)["adversarial"] > 0.0


def test_a_bank_without_discriminators_says_so(tiny_bank: Bank, tiny_bank_path: Path) -> None:
    with pytest.raises(JoinError) as caught:
        learner_of(load_bank(tiny_bank_path))
    assert caught.value.code == "discriminator_missing"
    learner_of(load_bank(tiny_bank_path), adversarial=0.0)


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets, tiny_bank: Bank) -> None:
    check_resumes(lambda: learner_of(tiny_bank, batch=4), data, tmp_path)


def test_a_bank_holds_it(sharp_bank: Bank, seeing_bank: Bank) -> None:
    verify_bank(sharp_bank)
    assert sharp_bank.seeing is not None and seeing_bank.seeing is None
    generators = {name: (part.generator, part.discriminator) for name, part in sharp_bank.components.items()}
    encoders = {name: part.encoder for name, part in sharp_bank.components.items() if part.encoder is not None}
    torch.manual_seed(9)
    generators["albedo"] = (Generator(generators["albedo"][0].config), generators["albedo"][1])
    with pytest.raises(ValueError, match="trained for another generator"):
        save_bank(
            sharp_bank.path.with_name("other.safetensors"),
            sharp_bank.header,
            generators,
            encoders,
            trunk=sharp_bank.trunk,
            brightness=sharp_bank.brightness,
            seeing=sharp_bank.seeing,
        )


def test_a_search_begins_with_what_it_sees(sharp_bank: Bank, target: torch.Tensor) -> None:
    state = invert(sharp_bank, target, Preset("x", (SeeingStart(),)))
    assert sharp_bank.seeing is not None
    told = sharp_bank.seeing(target)
    for name, made in state.synthesize().items():
        part = sharp_bank.components[name]
        expected = generate(part.generator, part.w_avg + told[name].offsets, hooks=told[name].residuals)
        torch.testing.assert_close(made, expected)
        assert not torch.allclose(made, generate(part.generator, state.latents[name]), atol=1e-3)


@pytest.mark.slow
def test_codes_and_features_move_from_there_and_masks_do_not(sharp_bank: Bank, target: torch.Tensor) -> None:
    start = invert(sharp_bank, target, Preset("x", (SeeingStart(),)))
    stage = Spatial(steps=20, learning_rate=0.05, space="whitened", normal_weight=0.01, guide_weight=0.1)
    state = invert(sharp_bank, target, Preset("x", (SeeingStart(), stage)))
    with torch.no_grad():
        errors = [(each.render(each.synthesize()) - target).square().mean(dim=(1, 2, 3)) for each in (start, state)]
    assert (errors[1] < errors[0]).all() and state.loss.isfinite().all()
    for name, before in start.residuals.items():
        assert not torch.allclose(start.latents[name], state.latents[name], atol=1e-4)
        for side, one in before.items():
            assert torch.equal(one.mask, state.residuals[name][side].mask)
            assert not torch.allclose(one.delta, state.residuals[name][side].delta, atol=1e-4)

    def strayed(weight: float) -> torch.Tensor:
        found = invert(sharp_bank, target, Preset("x", (SeeingStart(), replace(stage, delta_weight=weight))))
        return sum(
            (found.residuals[name][side].added - one.added).square().mean()
            for name, each in start.residuals.items()
            for side, one in each.items()
        )  # type: ignore[return-value]

    assert strayed(50.0) < strayed(0.0) / 2


@pytest.mark.slow
def test_images_of_a_batch_do_not_know_of_each_other(sharp_bank: Bank, target: torch.Tensor) -> None:
    preset = Preset("x", (SeeingStart(), Spatial(steps=4, learning_rate=0.05, guide_weight=0.1)))
    both, alone = invert(sharp_bank, target, preset), invert(sharp_bank, target[1:], preset)
    for name, made in both.synthesize().items():
        torch.testing.assert_close(made[1:], alone.synthesize()[name], rtol=0, atol=1e-4)


def test_a_cancelled_search_keeps_the_start(sharp_bank: Bank, target: torch.Tensor) -> None:
    from join_engine.inversion.progress import Monitor

    preset = Preset("x", (SeeingStart(), Spatial(steps=4)))
    start = invert(sharp_bank, target, Preset("x", (SeeingStart(),)))
    asked: list[bool] = []
    state = invert(sharp_bank, target, preset, monitor=Monitor(cancelled=lambda: bool(asked.append(True) or True)))
    assert state.cancelled and asked
    for name, made in state.synthesize().items():
        torch.testing.assert_close(made, start.synthesize()[name], rtol=0, atol=1e-4)


def test_other_stages_leave_the_features(sharp_bank: Bank, target: torch.Tensor) -> None:
    start = invert(sharp_bank, target, Preset("x", (SeeingStart(),)))
    for stage in (Joint(steps=2, learning_rate=0.05), Tuning(steps=2)):
        state = invert(sharp_bank, target, Preset("x", (SeeingStart(), stage)))
        for name, each in start.residuals.items():
            assert all(torch.equal(one.delta, state.residuals[name][side].delta) for side, one in each.items())


def test_it_looks_all_ways(sharp_bank: Bank, target: torch.Tensor) -> None:
    upright, turned = seen_all_ways(sharp_bank, target), seen_all_ways(sharp_bank, torch.rot90(target, 1, (2, 3)))
    for name, made in upright.items():
        torch.testing.assert_close(torch.rot90(made, 1, (2, 3)), turned[name], rtol=0, atol=1e-4)


def test_the_split_network_is_told_what_it_sees(sharp_bank: Bank, seeing_bank: Bank) -> None:
    photo = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    assert sharp_bank.seeing is not None
    with torch.no_grad():
        offsets, residuals = sharp_bank.seeing(srgb_encode(photo))["shading"]
        part = sharp_bank.components["shading"]
        made = part.transform.from_generator(generate(part.generator, part.w_avg + offsets, hooks=residuals))
    told = encoders_say(sharp_bank, photo)
    torch.testing.assert_close(told["shading"], made.clamp_min(0.0), rtol=0, atol=1e-4)
    assert not torch.allclose(told["shading"], encoders_say(seeing_bank, photo)["shading"], atol=1e-2)


def test_methods_and_presets_know_it(sharp_bank: Bank, seeing_bank: Bank, target: torch.Tensor) -> None:
    keys = ["seeing", "seeing-search"]
    assert [method.lacks for method in make_methods(keys, Rows(), sharp_bank)] == ["", ""]
    assert [bool(method.lacks) for method in make_methods(keys, Rows(), seeing_bank)] == [True, True]
    with pytest.raises(JoinError) as caught:
        invert(seeing_bank, target, get_preset("seeing"))
    assert caught.value.code == "encoder_missing"
    plain = invert(sharp_bank, target, Preset("x", (EncoderStart(),)))
    assert not plain.residuals
    np.testing.assert_array_equal(
        plain.synthesize()["albedo"], invert(seeing_bank, target, Preset("x", (EncoderStart(),))).synthesize()["albedo"]
    )


@pytest.mark.slow
def test_from_the_command_to_a_bank(
    tmp_path: Path, packs: tuple[Path, Path], tiny_bank_path: Path, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "bank.safetensors"
    command = ["train-seeing", "--bank", str(tiny_bank_path), "--data", str(packs[0]), "--validation", str(packs[1])]
    command += ["--out", str(run), "--batch", "8", "--device", "cpu", "--threads", "1", "--kimg", "0.032"]
    assert main([*command, "--widths", "8", "16", "--spaces", "4"]) == 2
    assert "features can be told at 16, 8" in capsys.readouterr().err
    assert main([*command, "--widths", "8", "16", "16"]) == 0
    assert main(["make-bank", "--bank", str(tiny_bank_path), "--seeing", str(run), "--out", str(out)]) == 0
    bank = load_bank(out)
    assert bank.seeing is not None and bank.header.seeing is not None
    assert bank.header.seeing.training["images_shown"] == 32
    card = out.with_suffix(".md").read_text()
    assert "Seeing encoder" in card and "train-seeing --bank BANK" in card and "--spaces 8 16 --masks" in card


@pytest.fixture(scope="module")
def decomposition(sharp_bank: Bank) -> Decomposition:
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    return decompose(image, sharp_bank, Preset("x", (SeeingStart(),), Detail())).decomposition


def test_a_file_holds_the_features_and_only_such_a_file_is_of_the_new_format(
    tmp_path: Path, decomposition: Decomposition
) -> None:
    def version(path: Path) -> int:
        with safe_open(path, "np") as file:
            return int(json.loads(file.metadata()["join"])["version"])

    with_features, without = tmp_path / "with.join", tmp_path / "without.join"
    save_decomposition(with_features, decomposition)
    save_decomposition(without, replace(decomposition, features={}))
    assert (version(with_features), version(without)) == (2, 1)
    loaded = load_decomposition(with_features)
    assert set(loaded.features) == {"albedo", "shading"} and not load_decomposition(without).features
    for name, features in decomposition.features.items():
        for key, array in features.named(name).items():
            np.testing.assert_array_equal(loaded.features[name].named(name)[key], array)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: replace(one, masks={**one.masks, 8: one.masks[8] + 1.0}),
        lambda one: replace(one, masks={8: one.masks[8]}),
        lambda one: replace(one, masks={**one.masks, 8: one.masks[8][:, :4]}),
        lambda one: replace(one, deltas={**one.deltas, 8: one.deltas[8] * np.nan}),
    ],
)
def test_spoiled_features_are_refused(
    tmp_path: Path, decomposition: Decomposition, spoil: Callable[[Features], Features]
) -> None:
    features = {**decomposition.features, "shading": spoil(decomposition.features["shading"])}
    save_decomposition(tmp_path / "spoiled.join", replace(decomposition, features=features))
    with pytest.raises(JoinError) as caught:
        load_decomposition(tmp_path / "spoiled.join")
    assert caught.value.code == "decomposition_broken"


def test_features_of_another_bank_are_refused(sharp_bank: Bank, decomposition: Decomposition) -> None:
    shading = decomposition.features["shading"]
    for wrong in (
        replace(shading, deltas={**shading.deltas, 8: shading.deltas[8][:3]}),
        replace(shading, anchor=shading.anchor[:3]),
        replace(shading, deltas={64: shading.deltas[8]}, masks={64: shading.masks[8]}),
    ):
        with pytest.raises(JoinError) as caught:
            Relighter(replace(decomposition, features={"shading": wrong}), sharp_bank)
        assert caught.value.code == "decomposition_broken"


def test_relighting_moves_codes_and_features_stay(sharp_bank: Bank, decomposition: Decomposition) -> None:
    edits = [Edit("shading", 0, 2.0)]
    still = Relighter(decomposition, sharp_bank).relight([Edit("shading", 0, 0.0)])
    np.testing.assert_allclose(still.layers["shading"], decomposition.layers["shading"], rtol=1e-3, atol=1e-5)
    relit = Relighter(decomposition, sharp_bank).relight(edits)
    assert np.abs(relit.layers["shading"] - decomposition.layers["shading"]).max() > 1e-3
    np.testing.assert_array_equal(relit.layers["albedo"], decomposition.layers["albedo"])
    np.testing.assert_array_equal(relit.features["shading"].anchor, decomposition.codes["shading"])
    # Back again from what was relit: the features still belong to the codes that they were found for.
    back = Relighter(relit, sharp_bank).relight([Edit("shading", 0, -2.0)])
    np.testing.assert_allclose(back.layers["shading"], decomposition.layers["shading"], rtol=1e-2, atol=1e-4)

    kept = {
        name: replace(one, masks={side: np.ones_like(mask) for side, mask in one.masks.items()})
        for name, one in decomposition.features.items()
    }
    relighter = Relighter(replace(decomposition, features=kept, settings={}), sharp_bank)
    held = relighter.relight(edits).layers["shading"] - relighter.relight([Edit("shading", 0, 0.0)]).layers["shading"]
    free = Relighter(replace(decomposition, features={}, settings={}), sharp_bank)
    loose = free.relight(edits).layers["shading"] - free.relight([Edit("shading", 0, 0.0)]).layers["shading"]
    assert np.square(held).mean() < np.square(loose).mean()
