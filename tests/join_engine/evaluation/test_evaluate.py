# SPDX-License-Identifier: GPL-3.0-or-later
"""Methods, tables, resuming, and what a bank's own samples are recovered to."""

from __future__ import annotations

import io
import json
import math
import re
import tarfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from join_engine.bank import Bank, BankHeader, ComponentHeader, load_bank, save_bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import GROUPS, Method, Rows, make_methods
from join_engine.evaluation.paper import evaluate as evaluation
from join_engine.evaluation.paper.evaluate import Run, evaluate
from join_engine.evaluation.paper.paper_tables import compare, format_table_2, format_table_3
from join_engine.evaluation.paper.scorecard import BEGIN, END, write_scores
from join_engine.evaluation.tables import format_table
from join_engine.images.files import display_encode
from join_engine.inversion.losses import elpips_weights
from join_engine.inversion.losses.perceptual import FeatureDistance
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.mirrored import Mirrored
from join_engine.inversion.stages.tuning import Tuning
from join_engine.networks.stylegan2 import Discriminator, GeneratorConfig
from join_engine.renders.samples import Sample, read_samples
from join_engine.single_gan import split_parts
from tests.join_blender.make_bank import random_generator
from tests.join_engine.fake_packs import add_member, write_pack
from tests.join_engine.test_elpips import head_file, published_state

QUICK = Rows(steps=6, tuning_steps=6)


@pytest.fixture(autouse=True)
def no_published_lpips(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the person who runs the tests has."""
    monkeypatch.setenv(elpips_weights.FOLDER_VARIABLE, str(tmp_path / "none"))


def _own_samples(bank: Bank, count: int = 3, first: int = 0) -> list[Sample]:
    """What the bank can make exactly."""
    found = {}
    for name, component in bank.components.items():
        w = component.sample_codes()[first : first + count]
        linear = component.transform.from_generator(component.generator.synthesis(w, noise="const")).clip(0.0, None)
        found.update({name: linear.permute(0, 2, 3, 1).numpy()})
    return [Sample(f"own-{i}", {name: images[i] for name, images in found.items()}) for i in range(count)]


def _extra_bank(path: Path, component: str, model: str, transform: str, channels: int) -> Bank:
    torch.manual_seed(3)
    config = GeneratorConfig(16, 16, 16, 256, 16, 2, channels)
    networks = {component: (random_generator(config), Discriminator(config))}
    save_bank(path, BankHeader(path.stem, 16, model, {component: ComponentHeader(transform, config)}), networks)
    return load_bank(path, with_discriminators=True)


@pytest.fixture(scope="module")
def single_bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    path = tmp_path_factory.mktemp("single") / "tiny-single.safetensors"
    return _extra_bank(path, "albedo+shading", "lambertian_single", "srgb+reinhard", 6)


@pytest.mark.slow
def test_every_row_of_table_2(
    seeing_bank: Bank, single_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = make_methods(["table2", "baselines"], QUICK, seeing_bank, single_bank)
    assert not any(method.lacks for method in methods)
    table = evaluate(seeing_bank, _own_samples(seeing_bank), methods, Run(figures=1), tmp_path, single_bank)
    said = capsys.readouterr().err.splitlines()
    assert list(table["methods"]) == [title for method in methods for title in method.titles] and len(methods) == 14
    assert table["reference"] == "Inversion with a single GAN"
    for scores in table["methods"].values():
        for component in ("albedo", "shading", "image"):
            assert set(scores[component]) == {"mse", "psnr", "ssim", "elpips", "si_mse", "lmse"}
            for metric in scores[component].values():
                assert metric["interval"][0] <= metric["mean"] <= metric["interval"][1]
    assert "trunk" in table["elpips"] and len(said) >= len(methods) and "100 % of all, 0 s left" in said[-1]
    sheet = Image.open(tmp_path / "sheets" / "own-0.png")
    assert sheet.height > 14 * 200 and not (tmp_path / "sheets" / "own-1.png").exists()
    tuned, guarded = (table["methods"][m.title] for m in methods if m.key.startswith("encoder-opt-pti"))
    assert tuned["image"]["mse"] != guarded["image"]["mse"]


@pytest.mark.slow
def test_markdown_parses_back(tiny_bank: Bank) -> None:
    methods = make_methods(["baselines", "encoder"], QUICK, tiny_bank)
    table = evaluate(tiny_bank, _own_samples(tiny_bank), methods)
    column, parsed = "", {}
    for line in format_table(table).splitlines():
        if line.startswith("### "):
            column = line[4:]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] in table["methods"] and column != "Time":
            parsed[cells[0], column] = [tuple(map(float, cell.split(" ± "))) for cell in cells[1:7]]
    assert len(parsed) == 6 * 3
    for (title, column), cells in parsed.items():
        for metric, (mean, half), decimals in zip(
            ("psnr", "mse", "ssim", "elpips", "si_mse", "lmse"), cells, (2, 4, 3, 4, 4, 4), strict=True
        ):
            stored = table["methods"][title][column][metric]
            assert mean == pytest.approx(stored["mean"], abs=0.51 * 10**-decimals)
            low, high = stored["interval"]
            assert half == pytest.approx((high - low) / 2, abs=0.51 * 10**-decimals)
    assert "Not available: Encoder: the bank has no encoders." in format_table(table)
    # A difference is taken sample by sample.
    one, other = (table["methods"][title]["albedo"]["mse"]["mean"] for title in ("all albedo", "colour Retinex"))
    assert table["differences"]["all albedo"]["albedo"]["mse"]["mean"] == pytest.approx(one - other)


@pytest.mark.slow
def test_a_killed_run_goes_on_and_comes_to_the_same(
    tiny_bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = _own_samples(tiny_bank, 4)
    methods = make_methods(["opt", "opt-knn", "square-root"], QUICK, tiny_bank)
    whole = evaluate(tiny_bank, samples, methods, Run(batch=2), tmp_path / "whole")
    evaluate(tiny_bank, samples, methods[:1], Run(batch=2), tmp_path / "killed")  # further methods may follow
    file = tmp_path / "killed" / "results.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines()
    # Killed within the second batch, while a line was written.
    file.write_text("\n".join(lines[:4]) + "\n" + lines[4][:30], encoding="utf-8")
    inverted = []
    invert = evaluation.invert_images

    def counting(bank: Bank, images: list[np.ndarray], preset: Preset, *rest: object) -> object:
        inverted.append((preset.name, len(images)))
        return invert(bank, images, preset, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(evaluation, "invert_images", counting)
    again = evaluate(tiny_bank, samples, methods, Run(batch=2), tmp_path / "killed")
    assert inverted == [("opt", 2), ("opt-knn", 2), ("opt-knn", 2)]
    assert again["methods"] == whole["methods"] and again["differences"] == whole["differences"]
    # The same name for something else: measured anew, not taken over.
    longer = make_methods(["opt"], Rows(steps=7), tiny_bank)
    inverted.clear()
    evaluate(tiny_bank, samples, longer, Run(batch=2), tmp_path / "killed")
    assert inverted == [("opt", 2), ("opt", 2)]
    with pytest.raises(JoinError) as raised:
        evaluate(tiny_bank, samples[:3], methods, Run(batch=2), tmp_path / "killed")
    assert raised.value.code == "results_mismatch"


@pytest.mark.slow
def test_a_batch_comes_to_what_its_images_come_to_alone(seeing_bank: Bank) -> None:
    """But for rounding, which Adam may make 0.1 dB of: the proof in doubles is in test_inversion.py."""
    samples = _own_samples(seeing_bank, 3)
    methods = make_methods(["opt-knn", "encoder-opt-pti-d"], Rows(steps=15, tuning_steps=2), seeing_bank)
    together = evaluate(seeing_bank, samples, methods, Run(batch=3))["methods"]
    alone = [evaluate(seeing_bank, [sample], methods)["methods"] for sample in samples]
    for title, scores in together.items():
        for column, metrics in scores.items():
            mean = np.mean([table[title][column]["psnr"]["mean"] for table in alone])
            assert metrics["psnr"]["mean"] == pytest.approx(mean, abs=0.3), (title, column)


@pytest.mark.slow
def test_a_quick_look_says_so_and_every_row_tells_its_steps(tiny_bank: Bank, tmp_path: Path) -> None:
    rows = Rows(steps=8, tuning_steps=4, steps_scale=0.25)
    methods = make_methods(["opt-knn", "opt-pti", "square-root"], rows, tiny_bank)
    run = Run(settings=asdict(rows), bf16=True)
    text = format_table(evaluate(tiny_bank, _own_samples(tiny_bank, 2), methods, run, tmp_path))
    assert text.startswith("**A quick look: every row with only 0.25 times its optimiser steps.**")
    assert "steps scale 0.25" in text and "bf16 True" in text
    assert re.search(r"\| Opt. \+ kNN loss \| 2 \| 2 \| [\d.]+ \| [\d.]+ \|", text)
    assert re.search(r"\| Opt. \+ kNN loss \+ PTI w/o D loss \| 2 \| 2 \+ 1 of tuning \| ", text)
    assert re.search(r"\| square root \| 2 \| none \| ", text)
    whole = make_methods(["opt-knn"], Rows(steps=8), tiny_bank)
    assert "quick look" not in format_table(evaluate(tiny_bank, _own_samples(tiny_bank, 2), whole))
    for scale in (0.0, 1.5):
        with pytest.raises(JoinError):
            make_methods(["opt-knn"], Rows(steps_scale=scale), tiny_bank)
    stages = (EncoderStart(), Joint(steps=10), Tuning(steps=20))
    assert Method("x", "x", Preset("x", stages)).steps == "10 + 20 of tuning"


def test_the_published_lpips_is_in_every_table_where_it_is_at_hand(
    tiny_bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(elpips_weights.FOLDER_VARIABLE, str(tmp_path))
    methods, samples = make_methods(["square-root", "encoder"], QUICK, tiny_bank), _own_samples(tiny_bank, 2)
    run = Run(settings=asdict(Rows()))
    without = evaluate(tiny_bank, samples, methods, run, tmp_path / "out")
    assert "lpips-alexnet" not in without["methods"]["square root"]["albedo"]
    for text in (format_table(without), format_table_3(without, methods)):
        assert "No published LPIPS" in text and "LPIPS, " not in text
    torch.save(published_state("alexnet"), tmp_path / elpips_weights.KNOWN["alexnet"].file)
    heads = head_file(tmp_path / "alex.pth", "alexnet")
    monkeypatch.setattr(elpips_weights, "installed_heads", lambda kind: heads if kind == "alexnet" else None)
    table = evaluate(tiny_bank, samples, methods, run)
    second = format_table_2(table, compare(table, {}, methods), methods)
    for text in (format_table(table), format_table_3(table, methods), second):
        assert "LPIPS, alexnet ↓ |" in text and "| E-LPIPS ↓ |" in text and "LPIPS as published" in text
        for part in text.split("\n\n"):  # as many cells everywhere
            assert len({line.count("|") for line in part.splitlines() if line.startswith("|")}) < 2, part
    truths = [np.asarray(sample.components["albedo"]) for sample in samples]
    images = [tiny_bank.forward_model.compose(sample.components) for sample in samples]
    one, other = (
        torch.from_numpy(np.stack([display_encode("albedo", pixels) for pixels in linear])).permute(0, 3, 1, 2).float()
        for linear in (np.sqrt(images), truths)
    )
    expected = FeatureDistance(elpips_weights.load_lpips()["alexnet"], other)(one)
    found = table["methods"]["square root"]
    assert found["albedo"]["lpips-alexnet"]["mean"] == pytest.approx(float(expected.mean()), rel=1e-4)
    assert found["image"]["lpips-alexnet"]["mean"] == pytest.approx(0.0, abs=1e-5)
    # Figures without it are not taken for figures with it.
    with pytest.raises(JoinError) as raised:
        evaluate(tiny_bank, samples, methods, run, tmp_path / "out")
    assert raised.value.code == "results_mismatch"


def test_a_run_of_another_precision_is_not_taken_over(tiny_bank: Bank, tmp_path: Path) -> None:
    methods = make_methods(["square-root"], QUICK, tiny_bank)
    evaluate(tiny_bank, _own_samples(tiny_bank, 2), methods, Run(), tmp_path)
    with pytest.raises(JoinError) as raised:
        evaluate(tiny_bank, _own_samples(tiny_bank, 2), methods, Run(bf16=True), tmp_path)
    assert raised.value.code == "results_mismatch"


@pytest.mark.slow
def test_a_sheet_of_photos(tmp_path: Path, tiny_bank_path: Path, picture: np.ndarray) -> None:
    encoded = (picture * 255).astype(np.uint8)
    (tmp_path / "photos").mkdir()
    for name in ("one", "two"):
        Image.fromarray(encoded).save(tmp_path / "photos" / f"{name}.png")
    options = ["--bank", str(tiny_bank_path), "--preset", "standard", "--out", str(tmp_path / "sheet.png")]
    assert main(["sheet", str(tmp_path / "photos"), *options]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        # Photo, albedo, shading, what the generators make, error; each 56 × 40 enlarged five times.
        assert sheet.size == (12 + 5 * (280 + 12), 12 + 2 * (44 + 200 + 12))
        pixels = np.asarray(sheet)
    photo, error = pixels[56:256, 12:292], pixels[56:256, 12 + 4 * 292 : 292 + 4 * 292]
    assert np.array_equal(photo[::5, ::5], encoded) and error.std() > 5
    assert main(["sheet", str(tmp_path / "none"), *options]) == 2


@pytest.mark.slow
def test_what_methods_have_in_common_is_done_once_and_changes_nothing(tiny_bank: Bank) -> None:
    samples = _own_samples(tiny_bank, 2)
    knn, tuned = make_methods(["opt-knn", "opt-pti-d"], QUICK, tiny_bank)
    together, alone = evaluate(tiny_bank, samples, [knn, tuned]), evaluate(tiny_bank, samples, [tuned])
    assert together["methods"][tuned.title] == alone["methods"][tuned.title]
    seconds = together["seconds_per_image"]
    assert seconds[tuned.title] > seconds[knn.title] * 0.5  # what was saved is counted all the same


def test_what_a_bank_lacks_is_told(tiny_bank: Bank, tiny_bank_path: Path, single_bank: Bank) -> None:
    bare = load_bank(tiny_bank_path)  # without discriminators
    lacks = {method.key: method.lacks for method in make_methods(["all", "opt-pti-d"], QUICK, bare)}
    assert set(lacks) == {*GROUPS["all"], "opt-pti-d"}
    assert lacks["single"] == "no bank of a single GAN was given"
    assert lacks["encoder"] == lacks["encoder-opt"] == lacks["draft"] == "the bank has no encoders"
    assert lacks["opt-pti-d"] == "the bank has no discriminator of albedo, shading"
    assert not any(lacks[key] for key in ("opt", "opt-in-domain", "opt-knn", "standard", "best", *GROUPS["baselines"]))
    with pytest.raises(JoinError) as raised:
        make_methods(["nonsense"], QUICK, bare)
    assert raised.value.code == "method_unknown"


@pytest.mark.slow
def test_table_4_on_a_gan_of_images(tmp_path: Path) -> None:
    bank = _extra_bank(tmp_path / "tiny-image.safetensors", "image", "image", "srgb", 3)
    table = evaluate(bank, _own_samples(bank), make_methods(["table4", "square-root"], QUICK, bank))
    assert len(table["methods"]) == 3 and all(set(scores) == {"image"} for scores in table["methods"].values())
    assert "square root" in table["not_available"]


@pytest.mark.slow
def test_a_single_gan_recovers_its_own_samples(single_bank: Bank) -> None:
    component = single_bank.components["albedo+shading"]
    with torch.no_grad():
        made = component.generator.synthesis(component.sample_codes()[:3], noise="const")
    layers = split_parts({"albedo+shading": component.transform.from_generator(made).clip(0.0, None)})
    images = {name: layer.permute(0, 2, 3, 1).numpy() for name, layer in layers.items()}
    samples = [Sample(str(i), {name: array[i] for name, array in images.items()}) for i in range(3)]
    joint = Joint(steps=250, features="pixels", space="whitened", learning_rate=0.05, knn_weight=0.0)
    method = Method("single", "single", Preset("single", (MeanStart(), joint)), single=True)
    start = Method("start", "start", Preset("start", (MeanStart(),)), single=True)
    table = evaluate(single_bank, samples, [method, start])["methods"]
    assert table["single"]["image"]["psnr"]["mean"] > 30
    assert table["single"]["albedo"]["psnr"]["mean"] > table["start"]["albedo"]["psnr"]["mean"] + 4


@pytest.mark.slow
def test_a_banks_own_samples_are_recovered(tiny_bank: Bank) -> None:
    joint = Joint(steps=100, features="pixels", space="whitened", learning_rate=0.05, normal_weight=1e-4)
    stages = (MeanStart(), joint, joint)
    method = Method("ours", "ours", Preset("ours", stages))
    start = Method("start", "start", Preset("start", (MeanStart(),)))
    # Codes that are not among those of the pool.
    table = evaluate(tiny_bank, _own_samples(tiny_bank, 4, 5000), [method, start])["methods"]
    assert table["ours"]["image"]["psnr"]["mean"] > 35
    for component in ("albedo", "shading"):
        gain = table["ours"][component]["psnr"]["mean"] - table["start"][component]["psnr"]["mean"]
        assert gain > 5, (component, gain)


def _float_pack(path: Path, split: str, count: int, size: int = 16) -> None:
    rng = np.random.default_rng(len(split))
    with tarfile.open(path, "w") as archive:
        add_member(archive, "pack.json", json.dumps({"split": split}).encode())
        for index in range(count):
            for name in ("albedo", "shading"):
                buffer = io.BytesIO()
                np.save(buffer, rng.random((size, size, 3), dtype=np.float32))
                add_member(archive, f"{index:08d}.{name}.npy", buffer.getvalue())


def test_folders_of_packs_by_split(tmp_path: Path) -> None:
    parts = ("albedo", "shading")
    for name, split, count in (("b", "test", 2), ("a", "test", 3), ("c", "train", 9)):
        _float_pack(tmp_path / f"{name}.tar", split, count)
    names = [sample.name for sample in read_samples(tmp_path, parts, 4, "test")]
    assert names == ["a-00000000", "a-00000001", "a-00000002", "b-00000000"]
    assert len(read_samples(tmp_path, parts, 100)) == 14
    with pytest.raises(JoinError) as raised:
        read_samples(tmp_path, parts, 4, "validation")
    assert raised.value.code == "data_missing" and "test, train" in raised.value.hint


def test_tone_mapped_packs_are_decoded(tmp_path: Path) -> None:
    (sample,) = read_samples(write_pack(tmp_path / "pack.tar", count=2), ("shading",), 1)
    with tarfile.open(tmp_path / "pack.tar") as archive:
        file = archive.extractfile("00000000.shading.png")
        assert file is not None
        encoded = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")) / 255.0
    linear = sample.components["shading"]
    kept = encoded < 0.95
    assert np.allclose((linear / (1 + linear))[kept], encoded[kept], atol=1e-5)


@pytest.mark.slow
def test_scorecard_writes_figures_into_the_card_and_again(
    tmp_path: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = tmp_path / "tiny.safetensors"
    bank.write_bytes(tiny_bank_path.read_bytes())
    compared = tmp_path / "compared"
    compared.mkdir()
    _extra_bank(compared / "tiny-image.safetensors", "image", "image", "srgb", 3)
    _extra_bank(compared / "tiny-single.safetensors", "albedo+shading", "lambertian_single", "srgb+reinhard", 6)
    card = tmp_path / "tiny.md"
    card.write_text("By hand.\n", encoding="utf-8")
    (tmp_path / "data").mkdir()
    _float_pack(tmp_path / "data" / "tiny.tar", "test", 3)
    options = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--banks", str(bank), "--count", "3"]
    options += ["--methods", "single", "opt-knn", "encoder", "baselines", "--steps", "4", "--figures", "1"]
    options += ["--compared", str(compared)]
    assert main(["scorecard", *options]) == 0
    first = card.read_text(encoding="utf-8")
    assert "GAN | not available" not in first
    assert "loss elpips, steps 4, tuning steps 350, steps scale 1.0, seed 0" in first
    assert first.startswith("By hand.") and first.count(BEGIN) == first.count(END) == 1
    for words in (
        "| Inversion with a single GAN | ",
        "| Opt. + kNN loss | ",
        "| Encoder | not available |",
        "Table 4",
        "| Opt. + in-domain loss |",
    ):
        assert words in first
    card.write_text(first + "Below.\n", encoding="utf-8")
    capsys.readouterr()
    assert main(["scorecard", *options]) == 0
    second = card.read_text(encoding="utf-8")
    assert second.count(BEGIN) == 1 and second.endswith("Below.\n") and second.startswith("By hand.")
    assert main(["scorecard", *options[:4], "--banks", "no such bank"]) == 2
    assert main(["scorecard", "--data", str(tmp_path / "none"), "--out", str(tmp_path), "--banks", str(bank)]) == 2


@pytest.mark.slow
def test_a_card_without_table_4_says_why(tmp_path: Path, tiny_bank: Bank) -> None:
    table = evaluate(tiny_bank, _own_samples(tiny_bank, 2), make_methods(["baselines"], QUICK, tiny_bank))
    write_scores(tmp_path / "new.md", table, "there is no such bank")
    text = (tmp_path / "new.md").read_text(encoding="utf-8")
    assert "Not available: there is no such bank." in text and text.startswith(BEGIN)


@pytest.mark.slow
def test_landscape_and_weights_commands(
    tmp_path: Path, tiny_bank_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JOIN_ENGINE_WEIGHTS", str(tmp_path))
    bank = tmp_path / "banks" / "tiny.safetensors"
    bank.parent.mkdir()
    bank.write_bytes(tiny_bank_path.read_bytes())
    assert main(["landscape", "--bank", str(bank), "--out", str(tmp_path / "fig.png"), "--card"]) == 0
    assert (tmp_path / "fig.png").is_file()
    assert "](../fig.png)" in bank.with_suffix(".md").read_text(encoding="utf-8")
    assert main(["landscape", "--bank", str(tiny_bank_path), "--count", "3", "--out", str(tmp_path / "x.png")]) == 2
    capsys.readouterr()
    assert main(["weights", "list"]) == 0
    listed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in listed] == ["vgg16", "alexnet", "squeezenet", "efficientnet-lite0"]
    assert "missing. Run 'python -m join_engine weights fetch vgg16'" in listed[0][1] and "heads: " in listed[0][2]
    assert main(["weights", "add", "vgg16"]) == 2
    assert main(["weights", "fetch", "resnet"]) == 2 and "Known are: vgg16" in capsys.readouterr().err
    (tmp_path / "mine.pth").write_bytes(b"something else")
    assert main(["weights", "add", "vgg16", "--file", str(tmp_path / "mine.pth")]) == 2
    assert main(["weights", "fetch", "vgg16", "--url", (tmp_path / "mine.pth").as_uri()]) == 2


def test_cost_knows_stages_and_views() -> None:
    assert Method("x", "x").cost == 1
    preset = Preset("x", (Mirrored(), Joint(steps=10), Tuning(steps=20)))
    assert Method("x", "x", preset).cost == 1 + 2 * (10 + 2 * 20)
    assert Method("x", "x", Preset("x", (EncoderStart(), Joint(steps=10, ensemble=True)))).cost == 21
    assert math.isfinite(Method("x", "x", preset).cost)


@pytest.mark.slow
def test_features_are_compared_in_the_default_preset(tiny_bank: Bank, seeing_bank: Bank) -> None:
    rows = Rows(feature_weight=0.5, steps_scale=0.3)
    methods = {method.key: method for method in make_methods(["features"], rows, seeing_bank)}
    assert set(methods) == set(GROUPS["features"]) and not any(method.lacks for method in methods.values())
    stages = methods["features-trunk+discriminator"].preset.stages  # type: ignore[union-attr]
    (joint,) = [stage for stage in stages if isinstance(stage, Joint)]
    assert (joint.features, joint.feature_weight) == ("trunk+discriminator", 0.5)
    chosen = [methods["features-trunk"], methods["features-trunk+random"]]
    found = evaluate(seeing_bank, _own_samples(seeing_bank, 2), chosen)["methods"]
    assert found["features-trunk"] != found["features-trunk+random"]
    blind = {method.key: method.lacks for method in make_methods(["features"], rows, tiny_bank)}
    assert "trunk" in blind["features-trunk+random"] and not blind["features-random"]


@pytest.mark.slow
def test_rows_are_compared_with_what_the_default_preset_gives(tiny_bank: Bank) -> None:
    methods = make_methods(["square-root", "standard"], Rows(steps_scale=0.1), tiny_bank)
    table = evaluate(tiny_bank, _own_samples(tiny_bank, 2), methods)
    assert table["reference"] == "standard + detail" and set(table["differences"]) == {"square root", "standard"}
    ours, theirs = (table["methods"][title]["albedo"]["psnr"]["mean"] for title in ("standard + detail", "square root"))
    assert table["differences"]["square root"]["albedo"]["psnr"]["mean"] == pytest.approx(theirs - ours)
