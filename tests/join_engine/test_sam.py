# SPDX-License-Identifier: GPL-3.0-or-later
"""SAM: segments, the invertibility network, the choice of latent spaces, and the inversion in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from join_engine.bank import Bank, fingerprint, load_bank, save_bank, verify_bank
from join_engine.bank.bank_wide import InvertibilityHeader
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import Rows, make_methods
from join_engine.images.superpixels import lab, segment_means, superpixels
from join_engine.inversion.invert import invert
from join_engine.inversion.losses.perceptual import FeatureDistance, spatial_distance
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.spaces import Spaces, earliest
from join_engine.inversion.stages.spatial import Spatial
from join_engine.networks.features import RandomFeatures
from join_engine.networks.invertibility import Invertibility, InvertibilityConfig
from join_engine.renders.compose import ComponentSets, photograph
from join_engine.training.invertibility import Inversions, InvertibilityLearner, InvertibilitySettings, measure
from join_engine.training.unet import fitted

from .conftest import check_resumes, stored


def config_for(bank: Bank, **changes: object) -> InvertibilityConfig:
    generators = {name: part.generator.config for name, part in bank.components.items()}
    return InvertibilityConfig.of(generators, **{"widths": (8, 8, 8), **changes})


@pytest.fixture(scope="module")
def mapped_bank(seeing_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """The bank with encoders and an invertibility network, from its file."""
    torch.manual_seed(0)
    network = Invertibility(config_for(seeing_bank))
    generators = {name: fingerprint(part.generator) for name, part in seeing_bank.components.items()}
    header = replace(
        seeing_bank.header,
        name="mapped",
        invertibility=InvertibilityHeader(network.config, {"scores": {"threshold": 0.7}}, generators),
    )
    path = tmp_path_factory.mktemp("banks") / "mapped.safetensors"
    return stored(seeing_bank, path, header, invertibility=network)


@pytest.fixture
def target() -> Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3))


def test_lab_of_known_colours() -> None:
    colours = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).view(3, 3, 1, 1)
    expected = torch.tensor([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0], [53.24, 80.09, 67.20]])
    torch.testing.assert_close(lab(colours)[:, :, 0, 0], expected, rtol=0, atol=0.05)


def test_superpixels_follow_colour_and_like_neighbours_are_one() -> None:
    image = torch.full((1, 3, 32, 32), 0.2)
    image[:, 0, 8:24, 8:20] = 0.9
    whole = superpixels(image, 24)[0]
    assert len(whole.unique()) == 2 and len(whole[8:24, 8:20].unique()) == 1
    fine = superpixels(image, 24, alike=0.0)[0]
    assert len(fine.unique()) > 10
    for label in fine.unique():  # none of them lies on both sides of the edge
        assert len(image[0, 0][fine == label].unique()) == 1
    means = segment_means(image, whole[None])
    torch.testing.assert_close(means, image)


def test_the_first_space_that_is_good_enough_is_chosen_and_else_the_last() -> None:
    errors = torch.tensor([[0.5, 0.4, 0.1], [0.1, 0.0, 0.0], [0.9, 0.9, 0.9]]).T[None, :, None]  # [1, 3, 1, 3]
    assert earliest(errors, 0.4)[0, 0].tolist() == [1, 0, 2]
    assert earliest(errors, 1.0)[0, 0].tolist() == [0, 0, 0]
    assert earliest(errors, -1.0)[0, 0].tolist() == [2, 2, 2]


def test_the_map_of_errors_has_the_distance_as_its_mean(target: Tensor) -> None:
    other = target.flip(0)
    features = RandomFeatures()
    found = spatial_distance(features, target, other)
    assert found.shape == (2, 16, 16) and not spatial_distance(features, target, target).any()
    # Bilinear interpolation by whole factors keeps the mean but for the borders.
    torch.testing.assert_close(found.mean(dim=(1, 2)), FeatureDistance(features, other)(target), rtol=0.05, atol=0)
    changed = target.clone()
    changed[:, :, :4, :4] = 1.0 - changed[:, :, :4, :4]
    local = spatial_distance(features, changed, target)
    assert local[:, :4, :4].mean() > 3 * local[:, 10:, 10:].mean()


def test_impossible_architectures_are_refused(tiny_bank: Bank) -> None:
    small = config_for(tiny_bank)
    assert small.spaces == (8,) and InvertibilityConfig.from_dict(json.loads(json.dumps(small.to_dict()))) == small
    for wrong in ({"widths": (9,)}, {"spaces": (8, 8)}, {"spaces": ()}, {"components": ()}, {"resolution": 18}):
        with pytest.raises(ValueError):
            replace(small, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        config_for(tiny_bank, spaces=(6,))


@pytest.mark.slow
def test_errors_are_smaller_where_there_is_more_freedom(data: ComponentSets, tiny_bank: Bank) -> None:
    errors = measure(tiny_bank, config_for(tiny_bank), data, Inversions(8, 15))
    assert errors.shape == (8, 2, 2, 16, 16) and (errors >= 0.0).all()
    assert (errors[:, :, 1].mean(dim=(0, 2, 3)) < errors[:, :, 0].mean(dim=(0, 2, 3))).all()


@pytest.mark.slow
def test_the_network_learns_errors_that_the_photo_tells(data: ComponentSets, tiny_bank: Bank) -> None:
    linear = fitted(data.linear(data.batch(torch.arange(48))), 16)
    bright = photograph(data.model.compose(linear)).mean(dim=1)[:, None, None]
    errors = torch.cat([bright, 1.0 - bright], dim=2).repeat(1, 2, 1, 1, 1)
    settings = InvertibilitySettings(batch=8, lr=5e-3)
    learner = InvertibilityLearner(config_for(tiny_bank), settings, 1.0, errors[:40], errors)
    before = learner.validate(data)
    for _ in range(100):
        learner.step(data)
    after = learner.validate(data)
    for score in ("albedo_w+_correlation", "shading_f8_correlation"):
        assert after[score] > max(0.8, before[score])
    assert after["samples"] == 48 and after["albedo_w+_mean"] == pytest.approx(float(bright.mean()), rel=1e-5)
    # 60 % of all pixels stay in W+.
    assert after["threshold"] == pytest.approx(float(bright.quantile(0.6)), abs=0.1)
    assert InvertibilityLearner(config_for(tiny_bank), settings, 1.0, errors).validate(data) == {}


def test_by_classes_the_face_stays_in_w_plus(seeing_bank: Bank) -> None:
    crops = torch.rand(2, 3, 16, 16)
    masks = Spaces(only=8, face=True).masks(seeing_bank, crops)
    assert set(masks) == set(seeing_bank.components) and all(list(by_side) == [8] for by_side in masks.values())
    mask = masks["albedo"][8]
    assert mask.shape == (2, 1, 8, 8) and float(mask[:, :, 3:6, 3:5].max()) < 0.05  # eyes to mouth
    assert bool((mask[:, :, :, [0, -1]] == 1.0).all()) and bool((mask[:, :, 0] == 1.0).all())
    keys = ["sam-face-f8", "sam-f8"]
    lacks = [method.lacks for method in make_methods(keys, Rows(steps=2), seeing_bank)]
    assert lacks == ["the bank has no faces", ""]


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets, tiny_bank: Bank) -> None:
    config, errors = config_for(tiny_bank), torch.rand(20, 2, 2, 16, 16)
    settings = InvertibilitySettings(batch=4)
    check_resumes(lambda: InvertibilityLearner(config, settings, 1.0, errors), data, tmp_path)


def test_a_bank_holds_it(mapped_bank: Bank, seeing_bank: Bank, target: Tensor) -> None:
    verify_bank(mapped_bank)
    assert mapped_bank.invertibility is not None and seeing_bank.invertibility is None
    told = mapped_bank.invertibility(target)
    assert {name: maps.shape for name, maps in told.items()} == dict.fromkeys(told, (2, 2, 16, 16))
    other = dict.fromkeys(mapped_bank.components, "0" * 16)
    header = mapped_bank.header.invertibility
    assert header is not None
    generators = {name: (part.generator, part.discriminator) for name, part in mapped_bank.components.items()}
    encoders = {name: part.encoder for name, part in mapped_bank.components.items() if part.encoder is not None}
    with pytest.raises(ValueError, match="trained for another generator"):
        save_bank(
            mapped_bank.path.with_name("other.safetensors"),
            replace(mapped_bank.header, invertibility=InvertibilityHeader(header.architecture, {}, other)),
            generators,
            encoders,
            trunk=mapped_bank.trunk,
            brightness=mapped_bank.brightness,
            invertibility=mapped_bank.invertibility,
        )


def sam(spaces: Spaces, **changes: object) -> Preset:
    stage = Spatial(
        12, 0.05, knn_weight=0.0, space="w+", features="pixels", delta_rate=1.0, **{"delta_weight": 0.0, **changes}
    )  # type: ignore[arg-type]
    return Preset("x", (EncoderStart(space="w+"), spaces, stage))


def masks_of(bank: Bank, target: Tensor, spaces: Spaces) -> Mapping[str, Tensor]:
    state = invert(bank, target, Preset("x", (spaces,)))
    return {name: each[8].mask for name, each in state.residuals.items()}


def test_masks_are_of_whole_segments_and_grow_as_the_threshold_sinks(mapped_bank: Bank, target: Tensor) -> None:
    areas = []
    for threshold in (-1.0, 0.7, 10.0):
        masks = masks_of(mapped_bank, target, Spaces(threshold))
        areas.append(float(torch.stack(list(masks.values())).mean()))
        chosen = Spaces(threshold).chosen(mapped_bank, target)
        labels = superpixels(target, 24)
        for numbers in chosen.values():
            for one, label in zip(numbers, labels, strict=True):
                assert all(len(one[label == segment].unique()) == 1 for segment in label.unique())
    assert areas[0] == 1.0 and areas[2] == 0.0 and areas[0] >= areas[1] >= areas[2]
    assert torch.equal(
        masks_of(mapped_bank, target, Spaces())["albedo"], masks_of(mapped_bank, target, Spaces(0.7))["albedo"]
    )


@pytest.mark.slow
def test_only_what_a_mask_has_moves_and_more_freedom_comes_nearer(mapped_bank: Bank, target: Tensor) -> None:
    def error(spaces: Spaces, **changes: object) -> tuple[float, dict[str, Tensor]]:
        state = invert(mapped_bank, target, sam(spaces, **changes))
        with torch.no_grad():
            missed = (state.render(state.synthesize()) - target).square().mean()
        return float(missed), {name: each[8].delta for name, each in state.residuals.items()}

    in_codes, held = error(Spaces(10.0))
    in_features, free = error(Spaces(only=8))
    assert not any(delta.any() for delta in held.values()) and all(delta.any() for delta in free.values())
    assert in_features < in_codes
    _, regularised = error(Spaces(only=8), delta_weight=5.0)
    for name, delta in regularised.items():
        assert delta.square().mean() < free[name].square().mean()


@pytest.mark.slow
def test_rows_of_sam(mapped_bank: Bank, seeing_bank: Bank, target: Tensor) -> None:
    rows = Rows(loss="lpips", steps=2)
    methods = {one.key: one for one in make_methods(["sam-ablation", "sam-tau-0.25"], rows, mapped_bank)}
    assert {key for key, method in methods.items() if method.lacks} == {"sam-f32"}
    assert methods["sam-tau-0.25"].title == "SAM, τ 0.25"
    for key in ("sam", "sam-unrefined", "sam-f8"):
        preset = methods[key].preset
        assert preset is not None and invert(mapped_bank, target, preset).loss.isfinite().all()
    lacks = {one.key: one.lacks for one in make_methods(["sam", "sam-f8"], rows, seeing_bank)}
    assert lacks["sam"] == "the bank has no invertibility network" and not lacks["sam-f8"]
    with pytest.raises(JoinError) as caught:
        invert(seeing_bank, target, Preset("x", (Spaces(),)))
    assert caught.value.code == "invertibility_missing"
    for unknown in ("sam-tau-x", "sam-fog"):
        with pytest.raises(JoinError, match="There is no method"):
            make_methods([unknown], rows, mapped_bank)


@pytest.mark.slow
def test_from_the_command_to_a_bank(
    tmp_path: Path, packs: tuple[Path, Path], seeing_bank: Bank, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "bank.safetensors"
    command = ["train-invertibility", "--bank", str(seeing_bank.path), "--data", str(packs[0])]
    command += ["--validation", str(packs[1]), "--out", str(run), "--batch", "8", "--device", "cpu", "--threads", "1"]
    command += ["--images", "8", "--steps", "3", "--unseen", "8", "--widths", "8", "16"]
    assert main([*command, "--kimg", "0.016", "--spaces", "9"]) == 2
    assert "does not fit the generator" in capsys.readouterr().err
    assert main([*command, "--kimg", "0.016"]) == 0
    assert main([*command, "--kimg", "0.032"]) == 0  # goes on, with what was measured
    assert main([*command, "--kimg", "0.032", "--images", "9"]) == 2
    assert "holds the inversions of other renders" in capsys.readouterr().err
    assert main(["make-bank", "--bank", str(seeing_bank.path), "--invertibility", str(run), "--out", str(out)]) == 0
    bank = load_bank(out)
    assert bank.invertibility is not None and bank.header.invertibility is not None
    assert bank.header.invertibility.training["images_shown"] == 32
    assert bank.header.invertibility.training["scores"]["threshold"] > 0.0
    card = out.with_suffix(".md").read_text()
    assert "Invertibility network" in card and "train-invertibility --bank BANK" in card and "--spaces 8" in card
