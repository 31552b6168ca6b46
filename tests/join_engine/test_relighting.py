# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits by name and number, small previews, files for other programs, and the command that relights a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch

from join_engine.bank import Bank, DirectionsHeader, fingerprint, load_bank
from join_engine.color import LUMINANCE_WEIGHTS
from join_engine.errors import JoinError
from join_engine.images.files import display_encode, read_image
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers import strips
from join_engine.layers.decomposition import Decomposition, load_decomposition, save_decomposition
from join_engine.layers.layer_files import export_layers
from join_engine.layers.strips import Strips
from join_engine.pipeline import decompose
from join_engine.relighting.directions import Directions, principal_directions
from join_engine.relighting.relighter import Edit, Relighter

SHORT = Preset("short", (MeanStart(), Joint(steps=5)), Detail())


@pytest.fixture(scope="module")
def decomposition(tiny_bank: Bank) -> Decomposition:
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    return decompose(image, tiny_bank, SHORT).decomposition


def test_numbers_and_names_of_sefa_mean_the_same(tiny_bank: Bank, decomposition: Decomposition) -> None:
    relighter = Relighter(decomposition, tiny_bank)
    by_number = relighter.relight([Edit("shading", 1, 1.5)])
    by_name = relighter.relight([Edit("shading", "sefa.1", 1.5)])
    assert np.array_equal(by_number.layers["shading"], by_name.layers["shading"])
    assert not np.array_equal(by_name.layers["shading"], decomposition.layers["shading"])
    assert by_name.layers["albedo"] is decomposition.layers["albedo"]


def test_what_the_bank_has_a_name_for_comes_first(
    tiny_bank: Bank, decomposition: Decomposition, monkeypatch: pytest.MonkeyPatch
) -> None:
    shading = tiny_bank.components["shading"]
    step = torch.linspace(-1, 1, shading.generator.config.w_dim)
    named = {"mood": step, "up_down": step, "left_right": step.expand(shading.generator.num_ws, -1)}
    monkeypatch.setattr(shading, "directions", named)
    relighter = Relighter(decomposition, tiny_bank)
    found = relighter.directions(sefa=2)
    assert [direction.name for direction in found] == ["left_right", "up_down", "mood", "sefa.0", "sefa.1"]
    assert found[0].label == "Left / Right" and found[2].label == "Mood" and all(item.description for item in found)
    lit = relighter.relight([Edit("shading", "up_down", 2.0)])
    moved = lit.codes["shading"] - decomposition.codes["shading"]
    np.testing.assert_allclose(moved, 2.0 * np.broadcast_to(step, moved.shape), atol=1e-5)
    per_layer = relighter.relight([Edit("shading", "left_right", 1.0)])
    assert per_layer.codes["shading"].shape[0] == shading.generator.num_ws


def test_warmth_is_the_colour_of_the_light_and_nothing_else(
    tiny_bank: Bank, decomposition: Decomposition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, before = tiny_bank.components["shading"], decomposition.layers
    header = DirectionsHeader({"warmth": {"unit": 0.2}}, {"shading": fingerprint(part.generator)}, {"shading": 1})
    named = {"warmth": torch.linspace(-1, 1, part.generator.config.w_dim)}
    components = {**tiny_bank.components, "shading": replace(part, directions=named)}
    bank = replace(tiny_bank, header=replace(tiny_bank.header, directions=header), components=components)
    relighter = Relighter(decomposition, bank)
    edits = [Edit("light", "warmth", 2.0), Edit("shading", "warmth", -0.5)]
    lit = relighter.relight(edits)
    assert np.array_equal(lit.codes["shading"], decomposition.codes["shading"])
    assert np.array_equal(lit.layers["albedo"], before["albedo"])
    factor = lit.layers["shading"] / before["shading"]
    assert np.log(factor[..., 0] / factor[..., 2]) == pytest.approx(0.2 * 1.5, abs=1e-4)
    assert factor[0, 0] @ np.array(LUMINANCE_WEIGHTS) == pytest.approx(1.0, abs=1e-5)
    small = relighter.preview(edits, 8)["shading"] / relighter.preview([], 8)["shading"]
    assert small == pytest.approx(np.broadcast_to(factor[0, 0], small.shape), abs=1e-4)
    monkeypatch.setattr(strips, "KEPT", 1)
    path = tmp_path / "big.join"
    save_decomposition(path, decomposition)
    by_rows = Relighter(load_decomposition(path), bank).relight(edits).layers
    assert isinstance(by_rows, Strips)
    assert by_rows.whole()["shading"] == pytest.approx(lit.layers["shading"], abs=1e-6)
    with pytest.raises(JoinError, match="leave nothing"):
        relighter.relight([Edit("light", "warmth", 1e30)])


def test_the_light_moves_shading_and_specular_together_and_leaves_the_albedo(
    tmp_path: Path, bank_maker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
    bank = load_bank(bank_maker(tmp_path / "three.safetensors", "lambertian_specular", parts))
    image = np.random.default_rng(0).random((20, 16, 3), dtype=np.float32)
    decomposition = decompose(image, bank, SHORT).decomposition
    step = torch.linspace(-1, 1, 16)
    monkeypatch.setattr(bank.components["shading"], "directions", {"left_right": step})
    monkeypatch.setattr(bank.components["specular"], "directions", {"left_right": -step})
    relighter = Relighter(decomposition, bank)
    lit = relighter.relight([Edit("light", "left_right", 0.5)])
    assert np.array_equal(lit.layers["albedo"], decomposition.layers["albedo"])
    assert np.array_equal(lit.codes["albedo"], decomposition.codes["albedo"])
    for name, sign in (("shading", 0.5), ("specular", -0.5)):
        moved = lit.codes[name] - decomposition.codes[name]
        np.testing.assert_allclose(moved, sign * np.broadcast_to(step, moved.shape), atol=1e-5)
        assert not np.array_equal(lit.layers[name], decomposition.layers[name])
    one_by_one = relighter.relight([Edit(name, "left_right", 0.5) for name in ("shading", "specular")])
    for name in ("shading", "specular"):
        assert np.array_equal(one_by_one.layers[name], lit.layers[name])
    small = relighter.preview([Edit("light", "left_right", 0.5)])
    assert np.array_equal(small["albedo"], relighter.preview([])["albedo"])
    with pytest.raises(JoinError, match=r"has learned no direction 'sefa\.0'"):
        relighter.relight([Edit("light", 0, 1.0)])


def test_directions_of_ganspace_are_the_codes_principal_components(
    tiny_bank: Bank, decomposition: Decomposition
) -> None:
    codes = tiny_bank.components["shading"].sample_codes()
    directions = principal_directions(codes)
    assert torch.allclose(directions @ directions.T, torch.eye(16), atol=1e-5)
    along = (codes - codes.mean(dim=0)) @ directions.T
    widths = along.std(dim=0)
    assert (widths[:-1] >= widths[1:] - 1e-5).all() and (directions.abs().amax(dim=1) == directions.amax(dim=1)).all()
    assert torch.cov(along.T).fill_diagonal_(0.0).abs().max() < 1e-3 * float(widths[0]) ** 2
    moved = Relighter(decomposition, tiny_bank).relight([Edit("shading", "ganspace.0", 2.0)]).codes["shading"]
    expected = decomposition.codes["shading"] + 2.0 * (directions[0] * widths[0]).numpy()
    np.testing.assert_allclose(moved, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["sefa.", "sefa.-1", "sefa.16", "sefa.x", "ganspace.16", "ganspace.x", "nowhere"])
def test_directions_that_are_not_there(tiny_bank: Bank, name: str) -> None:
    shading = tiny_bank.components["shading"]
    with pytest.raises(JoinError, match="has no direction"):
        Directions(shading, shading.generator).vector(name)


def test_a_preview_is_the_relit_layer_made_small(tiny_bank: Bank, decomposition: Decomposition) -> None:
    relighter = Relighter(decomposition, tiny_bank)
    same = relighter.preview([Edit("shading", 0, 0.0)])
    assert same["shading"].shape == (11, 16, 3)  # 40 × 56, its longer side as long as the bank's
    for name in ("albedo", "shading"):
        assert abs(same[name].mean() / decomposition.layers[name].mean() - 1) < 0.02
    np.testing.assert_allclose(same["shading"], relighter.preview([])["shading"], rtol=1e-4)
    lit = relighter.preview([Edit("shading", 0, 2.0)])
    assert np.array_equal(lit["albedo"], same["albedo"])
    full = relighter.relight([Edit("shading", 0, 2.0)]).layers["shading"]
    whole = relighter.preview([Edit("shading", 0, 2.0)], 10_000)
    assert np.array_equal(whole["shading"], full)
    half = relighter.preview([Edit("shading", 0, 2.0)], max(full.shape) // 2)["shading"]
    assert max(half.shape) == max(full.shape) // 2
    assert np.array_equal(relighter.preview([Edit("shading", 0, 2.0)])["shading"], lit["shading"])
    brighter = full.mean() / decomposition.layers["shading"].mean()
    assert lit["shading"].mean() / same["shading"].mean() == pytest.approx(brighter, rel=0.05)


def test_the_next_move_starts_from_the_decomposition(tiny_bank: Bank, decomposition: Decomposition) -> None:
    relighter = Relighter(decomposition, tiny_bank)
    first = relighter.relight([Edit("shading", 0, 1.0)]).layers["shading"]
    relighter.relight([Edit("shading", 1, -2.0)])
    assert np.array_equal(first, relighter.relight([Edit("shading", 0, 1.0)]).layers["shading"])


# --- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def layers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    names = ("albedo", "shading", "specular")
    return {name: rng.random((16, 24, 3), dtype=np.float32) * (i + 1) for i, name in enumerate(names)}


@pytest.mark.parametrize(("depth", "tolerance"), [(16, 2e-3), (32, 0.0)])
def test_one_exr_holds_all_layers(tmp_path: Path, layers: dict[str, np.ndarray], depth: int, tolerance: float) -> None:
    alpha = np.linspace(0, 1, 384, dtype=np.float32).reshape(16, 24)
    path = tmp_path / "mit Ümläut.exr"
    assert export_layers(path, layers, "exr", depth, alpha) == [path]
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.channels().items()}
    assert set(channels) == {*"RGBA"} | {f"{name}.{letter}" for name in layers for letter in "RGB"}
    for name, pixels in layers.items():
        for i, letter in enumerate("RGB"):
            stored = channels[f"{name}.{letter}"]
            assert stored.dtype == (np.float16 if depth == 16 else np.float32)
            np.testing.assert_allclose(stored, pixels[..., i], atol=tolerance)
    whole = layers["albedo"] * layers["shading"] + layers["specular"]
    np.testing.assert_allclose(channels["G"], whole[..., 1] * alpha, atol=max(4 * tolerance, 1e-6))
    assert read_image(path).shape == (16, 24, 4)


def test_the_whole_image_is_made_as_the_formula_says(tmp_path: Path, layers: dict[str, np.ndarray]) -> None:
    more = {**layers, "emission": layers["albedo"] * 3.0}
    formula = (("albedo", "shading"), ("specular",), ("emission",))
    export_layers(tmp_path / "a.exr", more, "exr", 32, formula=formula)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels for name, channel in file.channels().items()}
    whole = more["albedo"] * more["shading"] + more["specular"] + more["emission"]
    np.testing.assert_allclose(channels["G"], whole[..., 1], rtol=1e-6)
    np.testing.assert_allclose(channels["emission.R"], more["emission"][..., 0])


def test_half_floats_never_overflow(tmp_path: Path, layers: dict[str, np.ndarray]) -> None:
    export_layers(tmp_path / "a.exr", {**layers, "specular": layers["specular"] * 1e6}, "exr", 16)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert all(np.isfinite(channel.pixels).all() for channel in file.channels().values())


@pytest.mark.parametrize("depth", [8, 16])
def test_pngs(tmp_path: Path, layers: dict[str, np.ndarray], depth: int) -> None:
    files = export_layers(tmp_path / "photo.png", layers, "png", depth)
    assert [file.name for file in files] == ["photo albedo.png", "photo shading.png", "photo specular.png"]
    for file, (name, pixels) in zip(files, layers.items(), strict=True):
        seen = display_encode("image", read_image(file))  # what was stored: reading took it for sRGB
        assert np.abs(seen - display_encode(name, pixels)).max() < 0.6 / (2**depth - 1) + 1e-5


def test_layers_that_do_not_fit_each_other(tmp_path: Path, layers: dict[str, np.ndarray]) -> None:
    with pytest.raises(JoinError, match="not images of one size"):
        export_layers(tmp_path / "a.exr", {**layers, "shading": layers["shading"][1:]}, "exr", 16)
    with pytest.raises(JoinError, match="not images of one size"):
        export_layers(tmp_path / "a.exr", layers, "exr", 16, np.ones((2, 2), np.float32))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command_relights_a_file(
    tmp_path: Path, tiny_bank_path: Path, decomposition: Decomposition, capsys: pytest.CaptureFixture[str]
) -> None:
    from join_engine.commands.main import main

    stored, out = tmp_path / "ein Bild.join", tmp_path / "aus gabe"
    save_decomposition(stored, decomposition)
    bank = ["--bank", str(tiny_bank_path)]
    assert main(["relight", str(stored), "--list", *bank]) == 0
    assert capsys.readouterr().out.startswith("shading.sefa.0\t")
    sets = ["--set", "shading.sefa.0=1.5", "--set", "shading.sefa.3=-1"]
    assert main(["relight", str(stored), *sets, "--out", str(out), "--exr", "16", *bank]) == 0
    lit = load_decomposition(out / "decomposition.join")
    assert np.array_equal(lit.layers["albedo"], decomposition.layers["albedo"])
    assert [edit["amount"] for edit in lit.settings["edits"]] == [1.5, -1.0]
    assert {"albedo.exr", "shading.png", "layers.exr", "decomposition.join"} <= {path.name for path in out.iterdir()}
    capsys.readouterr()
    for bad in ("shading", "shading.sefa.0", "shading.sefa.0=much", "shading.sefa.99=1", "mood.up=1"):
        assert main(["relight", str(stored), "--set", bad, "--out", str(out), *bank]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1, said
    save_decomposition(stored, replace(decomposition, bank_sha256="0" * 64))
    assert main(["relight", str(stored), "--out", str(out), *bank]) == 2
