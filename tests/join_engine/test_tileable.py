# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that can be repeated: what is cut, what is evened, and what may not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores.tile_scores import COLUMNS, format_table, row_of
from join_engine.inversion.presets import PRESETS, Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers.tileable import encoded, evened, seam, tileable

from .conftest import MakeBank
from .invented_renders import write_renders


def grain(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth noise [H, W, 3] in [0.2, 0.8] that does not repeat."""
    noise = np.random.default_rng(seed).normal(size=(height + 8, width + 8, 3))
    for axis in (0, 1):
        noise = sum(np.roll(noise, shift, axis) for shift in range(9)) / 9.0
    noise = noise[4:-4, 4:-4]
    return np.asarray(0.5 + 0.3 * np.tanh(noise / noise.std()), np.float32)


def lit(height: int = 90, width: int = 120) -> dict[str, np.ndarray]:
    """Paint with grain under light that falls off to the right and below."""
    fall = np.exp(-np.linspace(0, 1.5, width))[None, :, None] * np.linspace(1.5, 0.8, height)[:, None, None]
    shading = (fall * np.ones((1, 1, 3))).astype(np.float32)
    return {"albedo": grain(height, width), "shading": shading, "specular": 0.1 * grain(height, width, 1)}


def test_seams_of_all_layers_go_together() -> None:
    layers = lit()
    tile = tileable(layers, heal=False)
    height, width = tile.rows.shape
    assert (height, width) == (75, 100) and {layer.shape for layer in tile.layers.values()} == {(75, 100, 3)}
    before, after = seam(layers), seam(tile.layers, tile)
    assert before > 20.0 and after < before / 5.0
    # Each texel is one of the evened layers', the same one in all of them: so the tile is what its layers make.
    even = {name: evened(layer) for name, layer in layers.items()}
    photo = even["albedo"] * even["shading"] + even["specular"]
    made = tile.layers["albedo"] * tile.layers["shading"] + tile.layers["specular"]
    assert np.array_equal(made, photo[tile.rows, tile.columns])
    assert all(np.array_equal(tile.layers[name], even[name][tile.rows, tile.columns]) for name in layers)


def test_what_repeats_already_is_cut_without_a_seam() -> None:
    """Stripes, of which the overlap is a whole number: the tile goes on with them where it begins."""
    stripes = 0.5 + 0.3 * np.sin(2.0 * np.pi * np.arange(126) / 7.0)
    layers = {"albedo": np.broadcast_to(stripes[None, :, None], (60, 126, 3)).astype(np.float32)}
    tile = tileable(layers, overlap=21 / 126, even=False)  # three periods, and nothing to heal
    assert tile.rows.shape == (50, 105)
    np.testing.assert_allclose(np.roll(tile.layers["albedo"], 7, axis=1), tile.layers["albedo"], atol=1e-6)


def test_healed_layers_go_on_across_the_cut_and_keep_all_else() -> None:
    layers = lit()
    cut, tile = tileable(layers, heal=False), tileable(layers)
    assert seam(cut.layers, cut) > 3.0 and 0.5 < seam(tile.layers, tile) < 1.2
    assert np.array_equal(tile.rows, cut.rows) and np.array_equal(tile.columns, cut.columns)
    apart = np.diff(tile.columns, axis=1) != 1
    for name, layer in tile.layers.items():
        assert layer.dtype == np.float32 and layer.min() >= 0.0, name
        before, after = (np.diff(encoded(name, found.layers[name]), axis=1) for found in (cut, tile))
        assert np.abs(after - before)[~apart].mean() < 0.004, "the grain stays"
        level = encoded(name, cut.layers[name]).mean()
        assert encoded(name, layer).mean() == pytest.approx(level, abs=0.01), name


def test_evened_layers_keep_their_level_and_their_grain() -> None:
    fall = np.exp(-np.linspace(0.0, 2.0, 128))[None, :, None] * np.ones((96, 1, 3))
    fine = grain(96, 128)
    found = evened((fall * fine).astype(np.float32))
    log = np.log(found)
    assert log.mean() == pytest.approx(np.log(fall * fine).mean(), abs=0.01)
    edges = np.exp(log[:, :8].mean() - log[:, -8:].mean())
    assert 0.7 < edges < 1.4 < fall[0, :8].mean() / fall[0, -8:].mean()
    inner = np.s_[30:60, 40:80]
    change = (found / (fall * fine))[inner]
    assert change.max() / change.min() < 2.5 and np.abs(np.diff(np.log(change), axis=1)).max() < 0.05
    flat = np.full((40, 40, 3), 0.3, np.float32)
    np.testing.assert_allclose(evened(flat), flat, rtol=1e-5)


def test_the_cut_returns_to_where_it_began() -> None:
    """Else the tile would have a step where its first cut wraps around."""
    tile = tileable(lit(), even=False)
    turned = np.diff(np.concatenate([tile.columns, tile.columns[:1]]), axis=0)
    strip = 120 - tile.columns.shape[1]
    jumps = np.abs(turned[:, :strip]).max(axis=1)
    assert (np.abs(turned) > 60).sum(axis=1).max() <= 2, jumps  # the cut moves by a texel from row to row


def test_too_small_layers_are_refused() -> None:
    with pytest.raises(JoinError, match="too small for a tile"):
        tileable({"albedo": np.ones((20, 64, 3), np.float32)})


def test_the_figures_and_their_table() -> None:
    row = row_of(lit())
    assert tuple(row) == COLUMNS and row["both"] < min(row["as they are"], row["evened"], row["cut"])
    assert row["healed"] < row["both"]
    other = {name: 4.0 * value for name, value in row.items()}
    line = format_table({"a": [row, other]}).splitlines()[2]
    assert line.startswith(f"| a | 2 | {2.5 * row['as they are']:.2f}, {2.0 * row['as they are']:.2f} |")


@pytest.mark.slow
def test_the_commands(tmp_path: Path, bank_maker: MakeBank, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setitem(PRESETS, "draft", Preset("draft", (MeanStart(), Joint(steps=1)), Detail()).to_json())
    bank = bank_maker(tmp_path / "bank.safetensors", "lambertian", (("albedo", "srgb"), ("shading", "reinhard")))
    common = ["--bank", str(bank), "--device", "cpu", "--preset", "draft"]
    Image.fromarray((grain(40, 48) * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    assert main(["decompose", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), *common]) == 0
    stored = str(tmp_path / "out" / "photo" / "decomposition.join")
    capsys.readouterr()
    assert main(["tile", stored, "--out", str(tmp_path / "tile")]) == 0
    assert "Seam energy" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "tile").iterdir()}
    assert names == {"albedo.exr", "albedo.png", "shading.exr", "shading.png", "recomposed.png", "made.json"}
    with Image.open(tmp_path / "tile" / "recomposed.png") as image:
        assert image.size == (40, 33)
    pack = write_renders(tmp_path / "val.tar", 2, seed=1, size=32)
    assert main(["tile-scores", "--data", f"two={pack}", "--out", str(tmp_path / "figures.json"), *common]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("| two | 2 | ")
