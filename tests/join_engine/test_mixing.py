# SPDX-License-Identifier: GPL-3.0-or-later
"""Style mixing by groups of layers, and interpolation between two decompositions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.layers.decomposition import Decomposition, Features, load_decomposition, save_decomposition
from join_engine.networks.stylegan2 import generate
from join_engine.pipeline import decompose
from join_engine.relighting.mixing import Amounts, interpolate, mix
from join_engine.relighting.relighter import Relighter


def decomposed(bank: Bank, seed: int, detail: Detail | None = None) -> Decomposition:
    image = np.random.default_rng(seed).random((40, 56, 3), dtype=np.float32)
    return decompose(image, bank, Preset("x", (EncoderStart(),), detail)).decomposition


@pytest.fixture(scope="module")
def pair(seeing_bank: Bank) -> tuple[Decomposition, Decomposition]:
    first = decomposed(seeing_bank, 0, Detail(share=0.5, radius=2.0))
    other = decomposed(seeing_bank, 1)
    return first, replace(other, codes={name: code + 0.5 for name, code in other.codes.items()})


def test_every_layer_belongs_to_one_group() -> None:
    assert Amounts(1.0, 2 / 3, 1 / 3).of_layers(10) == pytest.approx([1.0] * 3 + [2 / 3] * 3 + [1 / 3] * 4)
    for num_ws in range(4, 19):
        assert np.array_equal(Amounts(1.0, 1.0, 1.0).of_layers(num_ws), np.ones(num_ws, np.float32))
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(JoinError):
            Amounts(colour=wrong)


def test_mixing_at_0_is_the_identity(seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]) -> None:
    mixed = mix(Relighter(pair[0], seeing_bank), pair[1], Amounts(), ("albedo", "shading"))
    for name, layer in pair[0].layers.items():
        np.testing.assert_array_equal(mixed.layers[name], layer)
        np.testing.assert_array_equal(mixed.codes[name], pair[0].codes[name])


def test_mixing_changes_the_albedo_by_what_its_layers_say_and_leaves_the_light(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]
) -> None:
    first, other = pair
    relighter = Relighter(first, seeing_bank)
    num_ws = relighter.num_ws("albedo")
    colour = mix(relighter, other, Amounts(colour=1.0))
    np.testing.assert_array_equal(colour.layers["shading"], first.layers["shading"])
    np.testing.assert_array_equal(colour.codes["shading"], first.codes["shading"])
    assert np.abs(colour.layers["albedo"] - first.layers["albedo"]).max() > 1e-3
    taken = Amounts(colour=1.0).of_layers(num_ws) == 1.0
    expected = np.where(taken[:, None], other.codes["albedo"], first.codes["albedo"])
    np.testing.assert_array_equal(colour.codes["albedo"], expected)
    half = mix(relighter, other, Amounts(colour=0.5)).codes["albedo"]
    np.testing.assert_allclose(half, (expected + first.codes["albedo"]) / 2, atol=1e-6)
    assert colour.settings["mixed"]["colour"] == 1.0 and not colour.metrics


def test_all_of_another_is_the_other_and_detail_stays(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]
) -> None:
    first, other = replace(pair[0], settings={}), pair[1]
    whole = Amounts(1.0, 1.0, 1.0)
    mixed = mix(Relighter(first, seeing_bank), other, whole)
    swapped = replace(first, codes={**first.codes, "albedo": other.codes["albedo"]})
    again = mix(Relighter(swapped, seeing_bank), first, Amounts(1e-9))  # made anew of the other's codes
    np.testing.assert_allclose(mixed.layers["albedo"], again.layers["albedo"], atol=1e-4)
    detailed = mix(Relighter(pair[0], seeing_bank), other, whole).layers["albedo"]
    before = Relighter(first, seeing_bank).moved(first.codes, ["albedo"], {}).layers["albedo"]
    ratio = (mixed.layers["albedo"] + 0.002) / (before + 0.002)
    np.testing.assert_allclose(detailed, pair[0].layers["albedo"] * ratio, rtol=1e-3, atol=1e-5)


def test_what_does_not_belong_together_is_refused(seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]) -> None:
    first, other = pair
    stranger = replace(other, bank_sha256="0" * 64)
    with pytest.raises(JoinError, match="other banks"):
        mix(Relighter(first, seeing_bank), stranger, Amounts())
    with pytest.raises(JoinError, match="other banks"):
        interpolate(first, stranger, seeing_bank)
    with pytest.raises(JoinError, match="no component 'gloss'"):
        mix(Relighter(first, seeing_bank), other, Amounts(), ("gloss",))
    with pytest.raises(JoinError, match="no 1 steps"):
        interpolate(first, other, seeing_bank, 1)


def test_the_ends_of_an_interpolation_are_the_ends(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]
) -> None:
    first, last = pair
    part = seeing_bank.components["shading"]
    config = part.generator.config
    deltas = {8: np.full((config.width(8), 8, 8), 0.3, np.float32)}
    features = Features(first.codes["shading"], deltas, {8: np.full((1, 8, 8), 0.5, np.float32)})
    first = replace(first, features={"shading": features})
    frames = interpolate(first, last, seeing_bank, 3)
    assert len(frames) == 3
    for name, frame in frames[2].items():
        one = seeing_bank.components[name]
        with torch.no_grad():
            made = one.transform.from_generator(generate(one.generator, torch.from_numpy(last.codes[name])[None]))
        np.testing.assert_allclose(frame, made.clamp_min(0.0)[0].permute(1, 2, 0), atol=1e-6)
    with_features = Relighter(replace(first, settings={}), seeing_bank)._synthesize("shading", first.codes["shading"])
    begun = part.transform.from_generator(with_features).clamp_min(0.0)[0].permute(1, 2, 0)
    np.testing.assert_allclose(frames[0]["shading"], begun, rtol=1e-4, atol=1e-5)
    backwards = interpolate(last, first, seeing_bank, 3)
    for name in frames[1]:
        np.testing.assert_allclose(frames[1][name], backwards[1][name], rtol=1e-3, atol=1e-4)
        assert not np.allclose(frames[0][name], frames[2][name], atol=1e-3)


def test_the_commands(
    seeing_bank: Bank,
    pair: tuple[Decomposition, Decomposition],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = [str(tmp_path / f"{name}.join") for name in ("first", "other")]
    for path, decomposition in zip(paths, pair, strict=True):
        save_decomposition(path, decomposition)
    bank = ["--bank", str(seeing_bank.path), "--device", "cpu", "--threads", "1"]
    assert main(["mix", *paths, "--colour", "1", "--out", str(tmp_path / "mixed"), *bank]) == 0
    found = load_decomposition(tmp_path / "mixed" / "decomposition.join")
    np.testing.assert_array_equal(found.layers["shading"], pair[0].layers["shading"])
    assert (tmp_path / "mixed" / "albedo.png").is_file()
    assert main(["mix", *paths, "--colour", "2", "--out", str(tmp_path / "more"), *bank]) == 2
    assert "Choose 0 to 1" in capsys.readouterr().err
    assert main(["interpolate", *paths, "--steps", "3", "--out", str(tmp_path / "sheet.png"), *bank]) == 0
    assert (tmp_path / "sheet.png").is_file()
