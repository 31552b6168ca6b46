# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that tells how bright an albedo is: what it learns, what a bank makes of it, what layers become by it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank, load_bank
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.evaluation.choices.detail_choice import compare
from join_engine.evaluation.methods.by_name import preset_method
from join_engine.evaluation.paper.evaluate import Run as Evaluation
from join_engine.evaluation.paper.evaluate import evaluate
from join_engine.evaluation.sheets.photos import write_photo_sheet
from join_engine.forward_models import FORWARD_MODELS
from join_engine.images.files import write_png
from join_engine.images.frame import Frame
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.layers.albedo_level import DARKEST, albedo_levels, level_of
from join_engine.layers.caution import seen_mean
from join_engine.layers.detail import add_detail, detail_for
from join_engine.networks.brightness import Brightness, BrightnessConfig
from join_engine.networks.split import luminance
from join_engine.pipeline import decompose
from join_engine.renders.compose import ComponentSets, photograph, random_indices, read_component_sets
from join_engine.renders.draws import draws
from join_engine.renders.photo_augment import PhotoRanges
from join_engine.training import make_bank
from join_engine.training.brightness import BrightnessLearner, BrightnessSettings, relit_by
from join_engine.training.split import metering, visible

from .conftest import check_resumes
from .evaluation.test_evaluate import _own_samples
from .fake_packs import write_pack
from .invented_renders import write_renders

SMALL = BrightnessConfig((8, 12, 16), 16, 0.1)
OPTIONS = ["--widths", "8", "12", "16", "--hidden", "16", "--dropout", "0.1", "--device", "cpu", "--threads", "1"]
PRESET = Preset("x", (EncoderStart(),), Detail())


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("renders")
    return write_renders(folder / "train.tar", 300, seed=0), write_renders(folder / "val.tar", 128, seed=1)


def learner_of(**settings: float | bool) -> BrightnessLearner:
    return BrightnessLearner(SMALL, BrightnessSettings(**settings), PhotoRanges(share=0.2))  # type: ignore[arg-type]


def telling(bank: Bank, **settings: bool) -> Bank:
    """The bank, saying that its network saw such samples last."""
    assert bank.header.brightness is not None
    header = replace(bank.header.brightness, training={"stretches": [{"settings": settings}]})
    return replace(bank, header=replace(bank.header, brightness=header))


# The network and its training


def test_the_level_is_the_mean_logarithm_above_the_darkest() -> None:
    albedo = torch.tensor([0.5, 0.125])[:, None, None, None].expand(2, 3, 4, 4).clone()
    albedo[1, :, :2] = 0.0
    expected = [math.log(0.5), (math.log(0.125) + math.log(DARKEST)) / 2]
    assert level_of(albedo).tolist() == pytest.approx(expected)
    visible = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    visible[1, :, :2] = False
    assert level_of(albedo, visible).tolist() == pytest.approx([math.log(0.5), math.log(0.125)])
    assert level_of(albedo, torch.zeros_like(visible)).tolist() == pytest.approx(expected)


def test_it_takes_images_of_any_size_that_it_can_halve_so_often() -> None:
    network = Brightness(SMALL).eval()
    assert SMALL.smallest_image == 8
    for side in (8, 64):
        assert network(torch.rand(3, 3, side, side)).shape == (3,)
    assert BrightnessConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    for wrong in ({"widths": ()}, {"widths": (4, 0)}, {"hidden": 0}, {"dropout": 1.0}):
        with pytest.raises(ValueError):
            replace(SMALL, **wrong)  # type: ignore[arg-type]


@pytest.mark.slow
def test_it_learns_what_holds_for_images_that_it_has_not_seen(packs: tuple[Path, Path], data: ComponentSets) -> None:
    unseen = read_component_sets([packs[1]], "lambertian")
    learner = learner_of(batch=32, lr=3e-3, ema_kimg=0.5, relight=0.5)
    for _ in range(120):
        learner.step(data)
    scores = learner.validate(unseen)
    assert scores["samples"] == 128
    assert scores["error"] < 0.85 * scores["spread"] and abs(scores["bias"]) < 0.5 * scores["spread"]


def test_relit_samples_keep_their_albedo(data: ComponentSets) -> None:
    first, second = data.batch(torch.arange(4)), data.batch(torch.arange(4, 8))
    found = relit_by(first, second, torch.tensor([True, False, True, False]))
    assert torch.equal(found["albedo"], first["albedo"])
    assert torch.equal(found["shading"][::2], second["shading"][::2])
    assert torch.equal(found["shading"][1::2], first["shading"][1::2])


def test_a_metered_image_has_the_brightness_of_a_photo_whatever_its_light() -> None:
    rng = torch.Generator().manual_seed(0)
    light = torch.rand(64, 3, 8, 8, generator=rng) * torch.linspace(0.01, 0.9, 64)[:, None, None, None]
    seen = torch.ones(64, 1, 8, 8)
    seen[::4, :, 4:] = 0.0
    light = light * seen
    exposure = metering(light, seen, 0.1, 0.4, rng)
    means = seen_mean(luminance(light * exposure), seen).flatten()
    assert means.min() > 0.1 - 1e-4 and means.max() < 0.4 + 1e-4
    assert means.log().std() > 0.2  # not all alike
    before = seen_mean(luminance(light), seen).flatten()
    assert abs(torch.corrcoef(torch.stack([means, before]))[0, 1]) < 0.4
    torch.testing.assert_close(exposure.flatten(), means / before, rtol=1e-3, atol=0)


def test_a_share_of_the_samples_is_metered_and_the_others_stay_as_they_are(
    data: ComponentSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    for share in (0.0, 0.5, 1.0):
        learner = learner_of(batch=32, metered=share, flip=False)
        learner.ranges = PhotoRanges(share=0.0)
        monkeypatch.setattr(learner, "network", lambda images: seen.append(images) or images.mean(dim=(1, 2, 3)))
        learner.loss(data)
    alike = [[torch.equal(*pair) for pair in zip(seen[0], other, strict=True)] for other in seen[1:]]
    assert 4 < sum(alike[0]) < 28 and not any(alike[1])


def test_what_is_cut_out_is_seen_as_a_bank_sees_it_and_keeps_its_light(
    data: ComponentSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = {name: replace(own, images=own.images.clone()) for name, own in data.sets.items()}
    for own in sets.values():
        own.images[:, :, :5] = 0
    cut_out = replace(data, sets=sets)
    learner, seen = learner_of(batch=16, relight=1.0, flip=False), []
    learner.ranges = PhotoRanges(share=0.0)
    monkeypatch.setattr(learner, "network", lambda images: seen.append(images) or images.mean(dim=(1, 2, 3)))
    learner.loss(cut_out)
    learner.loss(data)
    (alone, whole), drawn = seen, draws(learner.settings.seed, 0)
    indices = random_indices(len(data), 16, drawn)
    own = cut_out.linear(cut_out.batch(indices))
    shown = visible(own)
    assert not shown[:, :, :5].any() and shown[:, :, 5:].all()
    torch.testing.assert_close(alone[:, :, 5:], photograph(cut_out.model.compose(own))[:, :, 5:])
    mean = seen_mean(cut_out.model.compose(own), shown)
    torch.testing.assert_close(alone[:, :, :5], photograph(mean).expand(-1, -1, 5, alone.shape[3]))
    assert not torch.allclose(whole[:, :, 5:], alone[:, :, 5:])  # of whole images all have another's light


def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets) -> None:
    check_resumes(lambda: learner_of(batch=4, relight=0.5, metered=0.5, turns=True), data, tmp_path)


@pytest.mark.slow
def test_the_command_trains_and_the_network_gets_into_a_bank(
    tmp_path: Path, packs: tuple[Path, Path], seeing_bank: Bank, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "with.safetensors"
    command = ["--data", str(packs[0]), "--validation", str(packs[1]), "--out", str(run), *OPTIONS, "--batch", "8"]
    assert main(["train-brightness", *command, "--kimg", "0.032", "--turns"]) == 0
    assert "validation: samples 128" in capsys.readouterr().out
    assert main(["make-bank", "--bank", str(seeing_bank.path), "--brightness", str(run), "--out", str(out)]) == 0
    bank = load_bank(out)
    assert bank.header.brightness is not None and bank.header.brightness.architecture == SMALL
    assert bank.header.brightness.training["images_shown"] == 32
    assert "| brightness network | 300 | 32 | 4 |" in out.with_suffix(".md").read_text("utf-8")
    header, network = make_bank.load_bank_wide("brightness", run)
    assert header == bank.header.brightness
    stored = load_bank(out).brightness
    assert stored is not None
    image = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network.eval()(image), stored(image), atol=0.01, rtol=0.01)  # half precision
    # A training goes on from a bank's network, and the bank tells of both.
    further, on = tmp_path / "further", tmp_path / "on.safetensors"
    begun = ["--data", str(packs[0]), "--start-from", str(out), "--out", str(further), "--device", "cpu"]
    short = ["--batch", "8", "--kimg", "0.016", "--threads", "1", "--metered", "0.5"]
    assert main(["train-brightness", *begun, *short, "--widths", "8"]) == 2
    assert "Leave out --widths" in capsys.readouterr().err
    assert main(["train-brightness", *begun, *short, "--lr", "1e-9"]) == 0
    assert main(["make-bank", "--bank", str(out), "--brightness", str(further), "--out", str(on)]) == 0
    continued = load_bank(on)
    assert continued.header.brightness is not None and continued.brightness is not None
    assert continued.header.brightness.architecture == SMALL
    assert continued.header.brightness.training["images_shown"] == 48
    for now, then in zip(continued.brightness.parameters(), stored.parameters(), strict=True):
        torch.testing.assert_close(now, then, atol=1e-3, rtol=1e-3)
    assert main(["train-brightness", *begun, *short[:2], "--kimg", "0.032", *short[4:], "--lr", "0.01"]) == 0
    trained, mixed = (tmp_path / f"{name}.safetensors" for name in ("trained", "mixed"))
    put_in = ["make-bank", "--bank", str(out), "--brightness", str(further), "--out"]
    assert main([*put_in, str(trained)]) == 0
    assert main([*put_in, str(mixed), "--brightness-share", "0.25"]) == 0
    there, both = load_bank(trained).brightness, load_bank(mixed)
    assert there is not None and both.brightness is not None and both.header.brightness is not None
    moved = 0.0
    for key, value in both.brightness.state_dict().items():
        if value.is_floating_point():
            one, other = stored.state_dict()[key], there.state_dict()[key]
            torch.testing.assert_close(value, 0.75 * one + 0.25 * other, atol=1e-3, rtol=1e-3)
            moved = max(moved, float((one - other).abs().max()))
    assert moved > 0.01
    assert both.header.brightness.training["stretches"][-1]["share"] == 0.25
    assert both.header.brightness.training["images_shown"] == 64
    assert "has 0.25 of these weights" in mixed.with_suffix(".md").read_text("utf-8")
    # Whatever is put in later, it stays.
    again = tmp_path / "again.safetensors"
    assert main(["make-bank", "--bank", str(out), "--name", "with", "--out", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
    without = tmp_path / "without.safetensors"
    assert main(["make-bank", "--bank", str(out), "--no-brightness", "--out", str(without)]) == 0
    assert load_bank(without).brightness is None and load_bank(without).header.trunk == bank.header.trunk
    assert main(["train-brightness", *begun[:2], "--start-from", str(without), *begun[4:], *short]) == 2
    assert "There is no brightness network in 'without.safetensors'" in capsys.readouterr().err
    # It needs no generator, and goes into a bank of others, unlike their encoders.
    others = make_bank.Parts({}, {})
    others.take_over(make_bank.Parts.of_bank(bank))
    assert "brightness" in others.bank_wide and not others.encoders


@pytest.mark.slow
def test_what_cannot_be_trained_is_said(
    tmp_path: Path, packs: tuple[Path, Path], quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    good = ["--data", str(packs[0]), "--out", str(tmp_path / "run")]
    stacked = write_pack(tmp_path / "image.tar", count=3, components=("image",))
    for arguments in (
        [*good, *OPTIONS, "--dropout", "1.5"],
        [*good, *OPTIONS, "--widths", "4", "4", "4", "4", "4", "4"],
        ["--data", str(stacked), "--forward-model", "image", "--out", str(tmp_path / "run"), *OPTIONS],
    ):
        assert main(["train-brightness", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and len(error.splitlines()) == 1
    trained = tmp_path / "encoder"
    assert main(["make-bank", "--bank", "materials", "--brightness", str(trained), "--out", str(tmp_path / "x")]) == 2
    assert not (tmp_path / "x").exists()


# What a bank makes of it


def test_it_looks_in_all_the_ways_that_it_was_trained_for(seeing_bank: Bank) -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    plain = albedo_levels(seeing_bank, images)
    network = seeing_bank.brightness
    assert network is not None
    with torch.no_grad():
        assert plain == pytest.approx(network(images).clamp(math.log(DARKEST), 0.0).tolist())
        both = (network(images) + network(images.flip(3))) / 2
    assert albedo_levels(telling(seeing_bank, flip=True), images) == pytest.approx(both.tolist(), abs=1e-6)
    turning = telling(seeing_bank, flip=True, turns=True)
    turned = albedo_levels(turning, torch.rot90(images, 1, (2, 3)))
    assert turned == pytest.approx(albedo_levels(turning, images), abs=1e-5)
    # Beyond white it sees white, and no answer is impossible.
    assert albedo_levels(seeing_bank, images * 5) == albedo_levels(seeing_bank, (images * 5).clamp(0, 1))


def test_without_a_network_nothing_is_told(tiny_bank: Bank) -> None:
    assert albedo_levels(tiny_bank, torch.rand(2, 3, 16, 16)) == [None, None]
    found = detail_for(PRESET, tiny_bank.header)
    assert found is not None and not found.brightness


@pytest.mark.parametrize("model", ["lambertian", "lambertian_specular"])
@pytest.mark.parametrize("level", [math.log(0.05), math.log(0.4)])
def test_layers_get_the_level_and_make_the_image(model: str, level: float) -> None:
    rng = np.random.default_rng(0)
    albedo, shading, specular = (rng.uniform(0.3, 0.6, (40, 56, 3)).astype(np.float32) for _ in range(3))
    layers = {"albedo": albedo, "shading": shading}
    layers |= {"specular": 0.1 * specular} if model == "lambertian_specular" else {}
    image = np.asarray(FORWARD_MODELS[model].compose(layers))
    frame = Frame(40, 56, 16)
    found = add_detail(Detail(2.0, 0.5), image, layers, frame, level)
    assert float(level_of(frame.fit(found["albedo"]))) == pytest.approx(level, abs=0.02)
    assert np.allclose(FORWARD_MODELS[model].compose(found), image, atol=1e-5)
    same = add_detail(Detail(2.0, 0.5, brightness=False), image, layers, frame, level)
    plain = add_detail(Detail(2.0, 0.5), image, layers, frame)
    assert all(np.array_equal(same[name], plain[name]) for name in layers)
    assert np.allclose(plain["albedo"], albedo, atol=1e-4)


def test_a_level_that_is_out_of_reach_keeps_within_the_bounds() -> None:
    albedo = np.full((16, 16, 3), 0.5, np.float32)
    albedo[:, :8] = 0.05
    layers = {"albedo": albedo, "shading": np.ones_like(albedo)}
    found = add_detail(Detail(2.0, 0.5), albedo, layers, Frame(16, 16, 16), 0.0)
    assert found["albedo"].max() == pytest.approx(1.0)
    assert np.allclose(found["albedo"] * found["shading"], albedo, atol=1e-6)


def test_a_decomposition_has_the_level_that_was_told(seeing_bank: Bank, picture: np.ndarray) -> None:
    bank, frame = load_bank(seeing_bank.path), Frame(40, 56, 16)
    bank.brightness.head[3].bias.fill_(-1.5)  # type: ignore[union-attr,operator]
    (level,) = albedo_levels(bank, srgb_encode(frame.fit(picture)))
    outcome = decompose(picture, bank, PRESET).decomposition
    assert outcome.settings["detail"]["brightness"] is True
    assert float(level_of(frame.fit(outcome.layers["albedo"]))) == pytest.approx(level, abs=0.05)
    assert outcome.metrics["psnr"] > 60
    own = decompose(picture, bank, replace(PRESET, detail=Detail(brightness=False))).decomposition
    assert not np.allclose(own.layers["albedo"], outcome.layers["albedo"], atol=0.01)


@pytest.mark.slow
def test_evaluation_and_choice_see_what_users_get(seeing_bank: Bank, tmp_path: Path) -> None:
    samples = _own_samples(seeing_bank, 2)
    told = evaluate(seeing_bank, samples, [preset_method(PRESET, seeing_bank)], Evaluation(batch=2))["methods"]
    with_it, without = compare(seeing_bank, samples, PRESET, [Detail(2.0, 0.7), Detail(2.0, 0.7, brightness=False)])
    assert with_it["albedo"] == pytest.approx(told["x + detail"]["albedo"]["psnr"]["mean"], abs=1e-3)
    assert with_it["albedo"] != pytest.approx(without["albedo"], abs=1e-3)


def test_a_sheet_of_photos_has_layers_of_the_level_that_was_told(
    seeing_bank: Bank, picture: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float | None] = []

    def watched(*arguments: object) -> object:
        given.append(arguments[4])  # type: ignore[arg-type]
        return add_detail(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("join_engine.pipeline.add_detail", watched)
    write_png(tmp_path / "photo.png", srgb_encode(picture))
    write_photo_sheet(tmp_path / "sheet.png", [tmp_path / "photo.png"], seeing_bank, PRESET)
    assert len(given) == 1 and isinstance(given[0], float)
