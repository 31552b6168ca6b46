# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers without what a mask covers: nothing of it is looked at, the rest stays, what is filled goes on from around."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores.clean_up_scores import METHODS, Spoiled, measure, scores, spoil
from join_engine.images.files import read_image, write_npy
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.layers.clean_up import covered, mask_of, with_grain, without
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.fill import places
from join_engine.pipeline import clean_up, decompose
from join_engine.renders.samples import Sample

from .test_split import SMALL, wild

PRESET = Preset("quick", (EncoderStart(),), Detail())
SIZE = 48, 64


@pytest.fixture
def bank(seeing_bank: Bank) -> Bank:
    """A bank with a split network that has an opinion about everything, specular included."""
    return replace(seeing_bank, split=wild(SMALL))


@pytest.fixture
def photo() -> np.ndarray:
    rng = np.random.default_rng(0)
    patches = rng.uniform(0.1, 0.8, (6, 8, 3)).repeat(8, axis=0).repeat(8, axis=1)
    return (patches * np.linspace(0.4, 1.0, 64)[:, None]).astype(np.float32)


@pytest.fixture
def mask() -> np.ndarray:
    plane = np.zeros(SIZE, np.float32)
    plane[18:30, 20:36] = 1.0
    return plane


@pytest.mark.slow
def test_what_is_covered_changes_nothing(bank: Bank, photo: np.ndarray, mask: np.ndarray) -> None:
    one = clean_up(photo, mask, bank, PRESET).decomposition
    other = np.where(mask[..., None] > 0.0, np.random.default_rng(1).random((*SIZE, 3)), photo).astype(np.float32)
    again = clean_up(other, mask, bank, PRESET).decomposition
    assert all(np.array_equal(one.layers[name], again.layers[name]) for name in one.layers)
    assert all(np.array_equal(one.codes[name], again.codes[name]) for name in one.codes)


@pytest.mark.slow
def test_around_it_nothing_changes_and_the_layers_make_the_photo(
    bank: Bank, photo: np.ndarray, mask: np.ndarray
) -> None:
    hidden = covered(mask)
    found = clean_up(photo, mask, bank, PRESET).decomposition
    plain = decompose(without(photo, hidden), bank, PRESET).decomposition.layers
    for name, layer in found.layers.items():
        assert np.array_equal(layer[~hidden], plain[name][~hidden]), name
        assert np.isfinite(layer).all() and layer.min() >= 0.0, name
    whole = found.layers["albedo"] * found.layers["shading"] + found.layers["specular"]
    assert np.abs(whole - photo)[~hidden].max() < 1e-5
    assert found.settings["cleaned"] == pytest.approx(hidden.mean())


def test_previews_show_the_layers_without_it(bank: Bank, photo: np.ndarray, mask: np.ndarray) -> None:
    seen: list[tuple[int, dict[str, np.ndarray]]] = []
    search = replace(PRESET, stages=(*PRESET.stages, Joint(steps=2)))
    clean_up(photo, mask, bank, search, 0, Monitor(preview_every=2), lambda *shown: seen.append(shown), None, 20)
    assert [step for step, _ in seen] == [0, 2]
    assert all(max(layer.shape) == 20 for _, layers in seen for layer in layers.values())


def test_the_figure_compares_where_nothing_was_filled(seeing_bank: Bank, photo: np.ndarray, mask: np.ndarray) -> None:
    photo[mask > 0.0] = 1.0
    metrics = clean_up(photo, mask, seeing_bank, PRESET).decomposition.metrics
    assert metrics["psnr"] > 80.0 and "PSNR" not in metrics


@pytest.mark.slow
def test_what_is_cut_out_is_no_source(bank: Bank, photo: np.ndarray, mask: np.ndarray) -> None:
    alpha = np.ones((*SIZE, 1), np.float32)
    alpha[:, :12] = 0.0
    one, other = photo.copy(), photo.copy()
    other[:, :12] = 0.9
    made = [
        clean_up(np.concatenate([each, alpha], axis=2), mask, bank, PRESET).decomposition.layers["albedo"]
        for each in (one, other)
    ]
    assert np.array_equal(made[0][:, 14:], made[1][:, 14:])


def test_something_flat_stays_flat(mask: np.ndarray) -> None:
    hidden = covered(mask)
    ramp = np.broadcast_to(np.linspace(0.3, 0.6, SIZE[1], dtype=np.float32)[:, None], (*SIZE, 3))
    for smooth, allowed in ((np.full((*SIZE, 3), 0.4, np.float32), 1e-3), (np.array(ramp), 0.03)):
        spoiled = np.where(hidden[..., None], np.float32(0.01), smooth)
        made = without(spoiled, hidden)
        assert np.abs(made - smooth).max() < allowed
        grained = with_grain({"albedo": made, "shading": made}, hidden)["albedo"]
        assert np.abs(grained - smooth).max() < 2.0 * allowed


def stripes(period: int) -> np.ndarray:
    rng = np.random.default_rng(2)
    columns = np.where(np.arange(SIZE[1]) % period < period // 2, 0.2, 0.6)[:, None]
    return (np.broadcast_to(columns, (*SIZE, 3)) * rng.uniform(0.9, 1.0, (*SIZE, 1))).astype(np.float32)


def test_a_pattern_goes_on_and_its_grain_is_matched(mask: np.ndarray) -> None:
    hidden, albedo = covered(mask), stripes(8)
    smooth = without(np.where(hidden[..., None], np.float32(0.9), albedo), hidden)
    made = with_grain({"albedo": smooth, "shading": np.ones((*SIZE, 3), np.float32)}, hidden)["albedo"]
    inside, truth = np.log(made[hidden]), np.log(albedo[hidden])
    assert np.corrcoef(inside.ravel(), truth.ravel())[0, 1] > 0.9
    assert np.log(smooth[hidden]).std() < 0.5 * truth.std(), "the test could not fail"
    assert 0.7 < inside.std() / truth.std() < 1.3


def test_grain_without_a_pattern_is_matched_and_nothing_coarser_is_made_up(mask: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    grain = rng.uniform(0.3, 0.5, (*SIZE, 1)).repeat(3, axis=2).astype(np.float32)
    hidden = covered(mask)
    layers = {"albedo": without(grain, hidden), "shading": np.ones((*SIZE, 3), np.float32)}
    made = with_grain(layers, hidden)["albedo"]
    assert 0.6 < np.log(made[hidden]).std() / np.log(grain[~hidden]).std() < 1.2
    assert np.log(layers["albedo"][hidden]).std() < 0.3 * np.log(grain[~hidden]).std(), "the test could not fail"
    _, _, goes_on = _places(torch.from_numpy(np.log(grain).transpose(2, 0, 1))[None], _shown(hidden))
    assert goes_on.min() >= 0.0 and goes_on.max() < 0.6


def _shown(hidden: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((~hidden).astype(np.float32))[None, None]


def _places(features: torch.Tensor, known: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return places(features, known, 1.0 - known)


def test_places_are_known_ones_and_all_are_found(mask: np.ndarray) -> None:
    known = _shown(covered(mask))
    features = torch.from_numpy(stripes(8).transpose(2, 0, 1)[None])
    rows, columns, goes_on = _places(features, known)
    assert (known[0, 0, rows, columns] == 1.0).all()
    there = known[0, 0] == 1.0
    y, x = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    assert (rows[there] == y[there]).all() and (columns[there] == x[there]).all()
    shift = (columns - x)[~there]
    assert (shift % 8 == 0).float().mean() > 0.9, "another place than one where the stripes go on"
    assert goes_on[~there].mean() > 0.8


def test_a_mask_is_what_somebody_painted() -> None:
    pixels = np.zeros((2, 3, 4), np.float32)
    pixels[0, 0] = (0.0, 1.0, 0.0, 1.0)
    pixels[0, 1] = (1.0, 1.0, 1.0, 0.25)
    assert mask_of(pixels).tolist() == [[1.0, 0.25, 0.0], [0.0, 0.0, 0.0]]


def test_masks_that_cannot_be_are_refused(bank: Bank, photo: np.ndarray, mask: np.ndarray) -> None:
    for wrong, code in ((0.0 * mask, "mask_empty"), (mask + 1.0, "mask_full"), (mask[:20], "mask_size")):
        with pytest.raises(JoinError) as refused:
            clean_up(photo, wrong, bank, PRESET)
        assert refused.value.code == code


def test_the_command(
    tmp_path: Path, seeing_bank: Bank, photo: np.ndarray, mask: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(tmp_path / "photo.npy"), str(tmp_path / "mask.npy")]
    write_npy(paths[0], photo)
    write_npy(paths[1], mask[..., None].repeat(3, axis=2))
    out = tmp_path / "out"
    command = ["clean-up", paths[0], "--mask", paths[1], "--bank", str(seeing_bank.path), "--preset", "draft"]
    assert main([*command, "--device", "cpu", "--out", str(out)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert 0.05 < report["settings"]["cleaned"] < 0.2
    layers = load_decomposition(out / "decomposition.join").layers
    assert np.allclose(read_image(out / "albedo.exr")[..., :3], layers["albedo"], atol=1e-3)
    write_npy(paths[1], 0.0 * photo)
    assert main([*command, "--device", "cpu", "--out", str(out)]) == 2
    assert "covers nothing" in capsys.readouterr().err


# Measuring


def render(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    albedo = rng.uniform(0.2, 0.7, (8, 8, 3)).repeat(8, axis=0).repeat(8, axis=1).astype(np.float32)
    light = np.linspace(0.3, 0.9, 64, dtype=np.float32)[:, None] * np.ones((64, 64, 3), np.float32)
    return Sample(str(seed), {"albedo": albedo, "shading": light})


@pytest.mark.parametrize("kind", ["sticker", "shadow"])
def test_only_the_mask_is_spoiled(seeing_bank: Bank, kind: str) -> None:
    spoiled = spoil(seeing_bank, render(0), render(1), kind, np.random.default_rng(0))
    assert spoiled is not None
    clean = spoiled.truth["albedo"] * spoiled.truth["shading"]
    changed = np.abs(spoiled.photo - clean).max(axis=2) > 1e-4
    assert not changed[~spoiled.mask].any() and changed[spoiled.mask].mean() > 0.9
    assert 0.01 < spoiled.mask.mean() < 0.2


def test_scores_know_the_truth_and_its_brightness() -> None:
    truth = render(0).components
    mask = np.zeros((64, 64), bool)
    mask[20:30, 20:40] = True
    spoiled = Spoiled("sticker", truth["albedo"] * truth["shading"], mask, truth)
    assert set(scores(truth, spoiled).values()) == {100.0}
    darker = scores({name: 0.5 * layer for name, layer in truth.items()}, spoiled)
    assert darker["albedo"] < 20.0 and darker["albedo, any brightness"] > 60.0
    wrong = {**truth, "albedo": np.where(mask[..., None], np.float32(0.0), truth["albedo"])}
    assert scores(wrong, spoiled)["albedo, any brightness"] < 15.0


@pytest.mark.slow
def test_all_methods_are_measured(seeing_bank: Bank) -> None:
    table = measure(seeing_bank, [render(0), render(1), render(2), render(3)], PRESET, 0)
    assert table["counts"] == {"sticker": 2, "shadow": 2}
    for found in table["scores"].values():
        assert set(found) == set(METHODS)


@pytest.mark.slow
def test_a_large_picture_is_filled_by_the_shifts_of_a_small_one() -> None:
    """Beyond 512 pixels: an odd size, and stripes whose period the small picture still shows."""
    height, width = 701, 1103
    columns = np.where(np.arange(width) % 48 < 24, 0.2, 0.6).astype(np.float32)[:, None]
    albedo = np.ascontiguousarray(np.broadcast_to(columns, (height, width, 3)))
    mask = np.zeros((height, width), np.float32)
    mask[300:420, 500:640] = 1.0
    hidden = covered(mask)
    smooth = without(np.where(hidden[..., None], np.float32(0.9), albedo), hidden)
    made = with_grain({"albedo": smooth, "shading": np.ones_like(albedo)}, hidden)
    assert np.abs(made["shading"] - 1.0).max() < 1e-3
    assert np.corrcoef(np.log(made["albedo"][hidden]).ravel(), np.log(albedo[hidden]).ravel())[0, 1] > 0.7
