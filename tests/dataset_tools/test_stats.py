# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics against values worked out by hand, and the card that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.description.lighting import light_metadata
from dataset_tools.inspection import cards, stats, stats_text
from dataset_tools.specs import describe
from dataset_tools.storage import contents, passes, shards
from tests.dataset_tools.invented import RESOLUTION, SEED, invented_passes, stored_exr

Image = pytest.importorskip("PIL.Image")


def _write(folder: Path, count: int = 4) -> Path:
    """Samples whose specular is a highlight in a quarter of the frame, and of which one has invalid pixels."""
    header = {"dataset": "materials", "seed": SEED, "resolution": RESOLUTION, "samples": 3, "blender": "4.5.1"}
    shards.open_dataset(folder, {**header, "passes": list(passes.PASSES), "splits": "by scene"})

    def sample(index: int) -> shards.Sample:
        made = invented_passes(index)
        made["glossy_indirect"][:] = 0.0
        made["glossy_direct"][:] = 0.2
        made["glossy_direct"][:8, :8] = 0.6
        if index == 0:
            made["diffuse_color"][:4] = 0.0
        stored = {"scene": describe("materials", SEED, index).to_json(), "seed": SEED, "index": index}
        rejected = ["black", "blown out"] if index == 2 else []
        notes = {"seconds": 1.0 + index, "identity_error": 1e-6, "identity_error_half": 2e-3, "rejected": rejected}
        return shards.Sample(index, "test" if index == 3 else "train", stored_exr(made), stored, notes)

    shards.write_shard(folder, shards.Shard("materials", 0, count), map(sample, range(count)))
    shards.write_manifest(folder)
    return folder


def test_numbers_are_those_of_the_samples(tmp_path: Path) -> None:
    numbers = stats.measure(_write(tmp_path))
    assert numbers["samples"] == numbers["measured"] == 4 and numbers["splits"] == {"test": 1, "train": 3}
    assert numbers["highlight_share"]["mean"] == 0.25 and numbers["highlight_share"]["above_luminance"] == 0.2
    assert (numbers["invalid_share"]["max"], numbers["invalid_share"]["median"]) == (0.25, 0.0)
    assert (numbers["seconds"]["mean"], numbers["seconds"]["max"]) == (2.5, 4.0)
    assert numbers["identity_error_half"]["max"] == 2e-3
    assert numbers["redraws"] == {"samples": 1, "reasons": {"black": 1, "blown out": 1}}
    scenes = [describe("materials", SEED, index) for index in range(4)]
    assert sum(numbers["families"].values()) == sum(len(scene.materials) for scene in scenes)
    assert set(numbers["families"]) == {material.family for scene in scenes for material in scene.materials}
    assert numbers["lights"]["per_sample"] == {"1": 4}


def test_percentiles_and_histograms_match_numpy(tmp_path: Path) -> None:
    numbers = stats.measure(_write(tmp_path))
    shading = np.stack([passes.component(invented_passes(index), "shading") for index in range(4)])
    for percentile, value in numbers["components"]["shading"]["linear_percentiles"].items():
        assert value == pytest.approx(np.percentile(shading, int(percentile)), abs=4e-3)
    expected, _ = np.histogram(shading / (1.0 + shading), bins=stats.BARS, range=(0.0, 1.0))
    shares = numbers["components"]["shading"]["tone_mapped_shares"]
    np.testing.assert_allclose(shares, expected / shading.size, atol=2e-3)
    assert sum(shares) == pytest.approx(1.0, abs=1e-4)
    assert numbers["components"]["specular"]["linear_percentiles"]["50"] == pytest.approx(0.1, abs=1e-3)


def test_lights_come_from_metadata_or_else_from_the_scene() -> None:
    scene = describe("primeshapes", SEED, 3)
    metadata: dict[str, Any] = light_metadata(scene)
    told = contents.lights({"metadata": metadata})
    assert contents.lights({"scene": json.loads(json.dumps(scene.to_json()))}) == told and len(told) == len(
        scene.lights
    )
    assert told[0]["azimuth"] == pytest.approx(np.degrees(metadata["lights"][0]["azimuth"]))
    assert told[0]["distance"] == metadata["lights"][0]["distance"]
    assert contents.lights({}) == [] and contents.families({"source": {"id": "x"}}) == []


def test_the_command_prints_a_table_and_writes_what_it_is_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _write(tmp_path / "set")
    outs = [tmp_path / f"out.{ending}" for ending in ("json", "md", "png")]
    assert main(["stats", str(folder), "--out", *map(str, outs)]) == 0
    printed = capsys.readouterr().out
    assert printed == outs[1].read_text("utf-8") and "4 samples (1 test, 3 train)" in printed
    assert json.loads(outs[0].read_text("utf-8")) == stats.measure(folder)
    plot = Image.open(outs[2])
    assert plot.width > 1000 and len(plot.getcolors(1 << 20)) > 20
    assert main(["stats", str(folder), "--out", "x.csv"]) == 1
    assert main(["stats", str(folder), "--count", "1", "--split", "train"]) == 0
    assert "3 samples (3 train), pixels of 1 of them" in capsys.readouterr().out


def test_a_row_of_bars_keeps_small_shares_visible() -> None:
    assert stats_text.sparkline([0.0, 0.001, 0.5, 1.0]) == " ▁▄█"


def test_the_card_tells_what_the_set_is_and_how_it_was_made(tmp_path: Path) -> None:
    folder = _write(tmp_path)
    assert main(["card", str(folder)]) == 0
    text = (folder / cards.README).read_text("utf-8")
    command = f"render.py materials --count 4 --resolution {RESOLUTION} --samples 3 --seed {SEED} --out DIR"
    for part in ("# materials", "1 test, 3 train", command, "Blender 4.5.1", "CC0 1.0", "diffuse_direct", "shards: 1,"):
        assert part in text
    with Image.open(folder / cards.EXAMPLE) as example:
        assert example.width > 300
    before = text
    cards.write(folder)
    assert (folder / cards.README).read_text("utf-8") == before
    # A card beside the shards is no reason to refuse the folder.
    shards.open_dataset(folder, {key: value for key, value in shards.read_header(folder).items() if key != "format"})


def test_a_render_without_pillow_ends_well_and_says_what_is_missing(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataset_tools import packages
    from dataset_tools.errors import UserError

    def missing() -> None:
        raise UserError("This Python has no pillow package: install it.")

    monkeypatch.setattr(packages, "load_pillow", missing)
    sentence = cards.write_if_possible(dataset)
    assert sentence is not None and "no pillow package" in sentence and "render.py card DIR" in sentence
    assert not (dataset / cards.README).exists()
