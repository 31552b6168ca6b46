# SPDX-License-Identifier: GPL-3.0-or-later
"""Style mixing by groups of layers, and interpolation between two decompositions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.images.frame import Frame
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.layers.decomposition import Decomposition, Features, load_decomposition, save_decomposition
from join_engine.networks.stylegan2 import generate
from join_engine.pipeline import decompose
from join_engine.relighting.layer_groups import GROUPS, share_of
from join_engine.relighting.mixing import interpolate, mix, with_other
from join_engine.relighting.relighter import Edit, Relighter, to_layer


def decomposed(bank: Bank, seed: int, detail: Detail | None = None) -> Decomposition:
    image = np.random.default_rng(seed).random((40, 56, 3), dtype=np.float32)
    return decompose(image, bank, Preset("x", (EncoderStart(),), detail)).decomposition


@pytest.fixture(scope="module")
def pair(seeing_bank: Bank) -> tuple[Decomposition, Decomposition]:
    first = decomposed(seeing_bank, 0, Detail(share=0.5, radius=2.0))
    other = decomposed(seeing_bank, 1)
    return first, replace(other, codes={name: code + 0.5 for name, code in other.codes.items()})


WHOLE = {"colour": 1.0, "pattern": 1.0, "layout": 1.0}


def test_every_layer_belongs_to_one_group() -> None:
    assert share_of("mix.layout", 10).tolist() == [1.0] * 3 + [0.0] * 7
    assert share_of("mix.colour", 10).tolist() == [0.0] * 6 + [1.0] * 4
    for num_ws in range(4, 19):
        groups = [share_of(f"mix.{name}", num_ws) for name in GROUPS]
        assert np.array_equal(sum(groups), np.ones(num_ws, np.float32))
    with pytest.raises(JoinError, match="no direction"):
        share_of("mix.smell", 10)


def test_mixing_at_0_is_the_identity(seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]) -> None:
    mixed = mix(*pair, seeing_bank, dict.fromkeys(WHOLE, 0.0))
    for name, layer in pair[0].layers.items():
        np.testing.assert_array_equal(mixed.layers[name], layer)
        np.testing.assert_array_equal(mixed.codes[name], pair[0].codes[name])


def test_mixing_changes_the_albedo_by_what_its_layers_say_and_leaves_the_light(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]
) -> None:
    first, other = pair
    colour = mix(first, other, seeing_bank, {"colour": 1.0})
    np.testing.assert_array_equal(colour.layers["shading"], first.layers["shading"])
    np.testing.assert_array_equal(colour.codes["shading"], first.codes["shading"])
    assert np.abs(colour.layers["albedo"] - first.layers["albedo"]).max() > 1e-3
    taken = share_of("mix.colour", len(colour.codes["albedo"])) == 1.0
    expected = np.where(taken[:, None], other.codes["albedo"], first.codes["albedo"])
    np.testing.assert_allclose(colour.codes["albedo"], expected, atol=1e-6)
    half = mix(first, other, seeing_bank, {"colour": 0.5}).codes["albedo"]
    np.testing.assert_allclose(half, (expected + first.codes["albedo"]) / 2, atol=1e-6)
    assert [edit["direction"] for edit in colour.settings["edits"]] == ["mix.colour"] and not colour.metrics


def test_all_of_another_is_the_other_and_detail_stays(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]
) -> None:
    first, other = pair
    part = seeing_bank.components["albedo"]
    mixed = mix(first, other, seeing_bank, WHOLE)
    made = []
    for codes in (first.codes["albedo"], other.codes["albedo"]):
        with torch.no_grad():
            output = generate(part.generator, torch.from_numpy(codes)[None])
        made.append(to_layer(part.transform.from_generator(Frame(*first.size, 16).restore(output))))
    ratio = (made[1] + 0.002) / (made[0] + 0.002)
    np.testing.assert_allclose(mixed.layers["albedo"], first.layers["albedo"] * ratio, rtol=1e-3, atol=1e-5)


def test_what_does_not_belong_together_is_refused(seeing_bank: Bank, pair: tuple[Decomposition, Decomposition]) -> None:
    first, other = pair
    stranger = replace(other, bank_sha256="0" * 64)
    with pytest.raises(JoinError, match="other banks"):
        mix(first, stranger, seeing_bank, WHOLE)
    with pytest.raises(JoinError, match="other banks"):
        interpolate(first, stranger, seeing_bank)
    with pytest.raises(JoinError, match="no component 'albedo'"):
        with_other(replace(first, codes={"shading": first.codes["shading"]}), other)
    with pytest.raises(JoinError, match="no 1 steps"):
        interpolate(first, other, seeing_bank, 1)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(JoinError, match="Choose 0 to 1"):
            mix(first, other, seeing_bank, {"colour": wrong})
    with pytest.raises(JoinError, match="no direction"):  # there is no other
        Relighter(first, seeing_bank).relight([Edit("albedo", "mix.colour", 1.0)])
    unfit = replace(with_other(first, other), other={"albedo": other.codes["albedo"][:, :3]})
    with pytest.raises(JoinError, match="codes of 'albedo' are not those"):
        Relighter(unfit, seeing_bank)


def test_a_file_with_another_has_directions_and_is_of_a_newer_format(
    seeing_bank: Bank, pair: tuple[Decomposition, Decomposition], tmp_path: Path
) -> None:
    def version(decomposition: Decomposition) -> int:
        save_decomposition(tmp_path / "one.join", decomposition)
        with safe_open(tmp_path / "one.join", "np") as file:
            return int(json.loads(file.metadata()["join"])["version"])

    assert (version(pair[0]), version(with_other(*pair))) == (1, 3)
    loaded = load_decomposition(tmp_path / "one.join")
    np.testing.assert_array_equal(loaded.other["albedo"], pair[1].codes["albedo"])
    relighter = Relighter(loaded, seeing_bank)
    mixed = [one for one in relighter.directions() if one.name.startswith("mix.")]
    assert [(one.component, one.label, one.minimum, one.maximum) for one in mixed] == [
        ("albedo", label, 0.0, 1.0) for label in ("Colour", "Pattern", "Layout")
    ]
    assert not any(one.component == "albedo" for one in Relighter(pair[0], seeing_bank).directions())
    small = relighter.preview([Edit("albedo", "mix.colour", 1.0)], 16)
    assert np.abs(small["albedo"] - relighter.preview([], 16)["albedo"]).max() > 1e-3
    broken = replace(with_other(*pair), other={"gloss": pair[1].codes["albedo"]})
    save_decomposition(tmp_path / "broken.join", broken)
    with pytest.raises(JoinError, match="components that it has not got"):
        load_decomposition(tmp_path / "broken.join")


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
