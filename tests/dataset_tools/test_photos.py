# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures of pictures against values worked out by hand, and the comparison of a dataset with photos."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.errors import UserError
from dataset_tools.inspection import photos, stats
from dataset_tools.packs.exports import choose
from dataset_tools.storage import layers
from dataset_tools.storage.shards import entries
from tests.dataset_tools.invented import RESOLUTION

Image = pytest.importorskip("PIL.Image")


def _grey(value: int, size: int = 32) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def test_measures_are_those_one_works_out_by_hand() -> None:
    even = photos.measures(_grey(102))
    assert even == {"brightness": pytest.approx(0.4), "clipping": 0.0, "highlights": 0.0, "contrast": pytest.approx(0)}
    clipped = _grey(102)
    clipped[:8, :, 0] = 255
    found = photos.measures(clipped)
    # Red alone is at its end: clipped, but no highlight.
    assert found["clipping"] == 0.25 and found["highlights"] == 0.0
    clipped[:4] = 255
    assert photos.measures(clipped)["highlights"] == 0.125
    # Blocks of two pixels: a chequerboard has its whole contrast inside each, broad stripes have none.
    board = np.where(np.indices((32, 32)).sum(axis=0)[..., None] % 2, _grey(51), _grey(102))
    assert photos.measures(board)["contrast"] == pytest.approx(0.1)
    stripes = np.where(np.indices((32, 32))[0][..., None] // 2 % 2, _grey(51), _grey(102))
    assert photos.measures(stripes)["contrast"] == pytest.approx(0.0)


def test_photos_are_cut_to_the_square_and_averaged_in_linear_light(tmp_path: Path) -> None:
    wide = np.zeros((64, 96, 3), np.uint8)
    wide[:, ::2] = 255
    wide[:, :16] = wide[:, 80:] = 77
    Image.fromarray(wide).save(tmp_path / "wide.png")
    (tmp_path / "._wide.png").write_bytes(b"a Mac's")
    (tmp_path / "README.md").write_text("no photo", "utf-8")
    ((name, found),) = photos.load([tmp_path], 32).items()
    # Half of the light is 188 of 255 in sRGB, not 128.
    assert name == "wide.png" and found.shape == (32, 32, 3) and set(np.unique(found)) == {188}


def test_bad_photos_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        photos.load([tmp_path / "none"], 16)
    with pytest.raises(UserError, match="holds no photos"):
        photos.load([tmp_path], 16)
    Image.fromarray(_grey(9)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match=r"small\.png has 32 × 32 pixels, and the dataset's images 64"):
        photos.load([tmp_path], 64)
    (tmp_path / "page.jpg").write_text("<html>", "utf-8")
    with pytest.raises(UserError, match=r"page\.jpg cannot be read"):
        photos.load([tmp_path], 16)


def test_who_lies_outside_is_named_and_counted() -> None:
    images = [dict.fromkeys(photos.MEASURES, value) for value in np.linspace(0.0, 1.0, 101)]
    shown = {name: dict.fromkeys(photos.MEASURES, value) for name, value in (("a", 0.01), ("b", 0.5), ("c", 2.0))}
    found = photos.compare(images, shown, np.linspace(0.0, 1.0, 101) ** 2)
    for item in found.values():
        assert (item["low"], item["median"], item["high"]) == (0.025, 0.5, 0.975)
        assert item["below"] == ["a"] and item["above"] == ["c"] and item["within"] == pytest.approx(1 / 3, abs=1e-4)
        assert item["top"] == 2.0 and sum(item["shares"]) == pytest.approx(1.0, abs=1e-3)
    assert found["highlights"]["rank_correlation"] == 1.0
    assert photos.compare(images, shown, np.zeros(101))["highlights"]["rank_correlation"] is None


@pytest.mark.slow
def test_the_command_sets_a_dataset_beside_photos(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "one", tmp_path / "two ü"]
    own = {}
    for index, found, _ in layers.load(dataset, choose(entries(dataset), "all")[:3], [layers.IMAGE]):
        own[f"{index}.png"] = layers.as_bytes(layers.IMAGE, found[layers.IMAGE])
    for folder in folders:
        folder.mkdir()
    for name, picture in own.items():
        Image.fromarray(picture).save(folders[0] / name)
    Image.fromarray(_grey(255, RESOLUTION)).save(folders[1] / "white.png")
    outs = [tmp_path / f"out.{ending}" for ending in ("json", "png")]
    assert main(["stats", str(dataset), "--photos", *map(str, folders), "--out", *map(str, outs)]) == 0
    printed = capsys.readouterr().out
    assert "- brightness, above the middle: white.png 1" in printed and "photos within" in printed
    written = json.loads(outs[0].read_text("utf-8"))
    assert written == stats.measure(dataset, photo_folders=folders)
    compared = written["photos"]
    # The dataset's own images, as photos, measure the same.
    for name, picture in own.items():
        for measure, value in photos.measures(picture).items():
            assert compared[measure]["photos"][name] == pytest.approx(value, abs=1e-4)
    assert compared["clipping"]["photos"]["white.png"] == 1.0
    with Image.open(outs[1]) as plot:
        assert plot.height > 900
    assert main(["stats", str(dataset), "--photos", str(tmp_path / "none")]) == 1
    assert "There is no folder" in capsys.readouterr().err
