# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: which samples, where their tiles lie, and what a mask looks like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.errors import UserError
from dataset_tools.inspection import preview
from dataset_tools.inspection.preview import Sheet
from dataset_tools.storage import layers, shards
from tests.dataset_tools.invented import RESOLUTION, SEED, invented_passes, stored_exr

Image = pytest.importorskip("PIL.Image")


def _tile_at(picture: np.ndarray, tile: np.ndarray) -> tuple[int, int] | None:
    """Row and column where ``tile`` lies in the picture."""
    side = tile.shape[0]
    rows, columns = np.nonzero((picture[: 1 - side or None, : 1 - side or None] == tile[0, 0]).all(axis=-1))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if np.array_equal(picture[row : row + side, column : column + side], tile):
            return row, column
    return None


def test_each_sample_lies_there_with_its_four_layers_in_a_square(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    arguments = ["preview", str(dataset), "--count", "6", "--columns", "3", "--resolution", str(RESOLUTION)]
    assert main([*arguments, "--out", str(out)]) == 0
    picture = np.asarray(Image.open(out))
    chosen = preview.draw_entries(shards.entries(dataset), 6, 0)
    corners = []
    for _, found, _ in layers.load(dataset, chosen, preview._SHOWN):
        places = {name: _tile_at(picture, layers.as_bytes(name, found[name])) for name in preview._SHOWN[:4]}
        row, column = places["image"] or (-1, -1)
        step = RESOLUTION + 2
        assert places == {
            "image": (row, column),
            "albedo": (row, column + step),
            "shading": (row + step, column),
            "specular": (row + step, column + step),
        }
        corners.append((row, column))
    assert len({row for row, _ in corners}) == 2 and len({column for _, column in corners}) == 3
    assert corners == sorted(corners)


@pytest.mark.slow
def test_the_draw_follows_the_seed_and_the_split(dataset: Path, tmp_path: Path) -> None:
    entries = shards.entries(dataset)
    assert preview.draw_entries(entries, 9, 1) == preview.draw_entries(entries, 9, 1)
    assert preview.draw_entries(entries, 9, 1) != preview.draw_entries(entries, 9, 2)
    held_out = sum(entry["split"] == "test" for entry in entries)
    assert preview.write(dataset, Sheet(count=64, tile=16, split="test"), tmp_path / "s.jpg") == held_out
    assert preview.write(dataset, Sheet(count=64, tile=16), tmp_path / "s.webp") == 64
    with pytest.raises(UserError, match="no known ending"):
        preview.write(dataset, Sheet(), tmp_path / "sheet.pdf")


@pytest.mark.slow
def test_sixty_four_samples_make_a_sheet_of_readable_size(dataset: Path) -> None:
    sheet, count = preview.draw(dataset, Sheet())
    assert count == 64 and 1500 < sheet.width < 2600 and 1500 < sheet.height < 2800


def test_labels_stay_in_their_cell_and_masks_are_shown_where_pixels_are_invalid(tmp_path: Path) -> None:
    shards.open_dataset(tmp_path, {"dataset": "d", "seed": SEED, "resolution": RESOLUTION})

    def sample(index: int) -> shards.Sample:
        made = invented_passes(index)
        if index == 1:
            made["diffuse_color"][:8] = 0.0
        families = [{"family": "a family with a very long name indeed"}] * 3
        return shards.Sample(index, "train", stored_exr(made), {"scene": {"materials": families}}, {})

    shards.write_shard(tmp_path, shards.Shard("d", 0, 2), map(sample, range(2)))
    sheet, _ = preview.draw(tmp_path, Sheet(tile=96))
    picture = np.asarray(sheet).astype(int)
    background = np.array(preview._BACKGROUND)
    gap = picture[60:-20, 20 + 2 * 96 + 3 : 20 + 2 * 96 + 13]
    assert np.all(gap == background)
    (albedo, masked) = (picture[:, left : left + 96] for left in (20 + 98, 20 + 2 * 96 + 2 + preview._GAP + 98))

    def pure(part: np.ndarray) -> tuple[bool, bool]:
        """Whether it has whole runs of black and of white, as only the mask has."""
        return bool((part == 0).all(axis=-1).sum() > 400), bool((part == 255).all(axis=-1).sum() > 200)

    assert pure(masked) == (True, True)
    assert not pure(albedo)[1]


def test_an_empty_split_is_said(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (dataset / "shards").glob("*.jsonl"):
        path.unlink()
    assert main(["preview", str(dataset), "--out", str(tmp_path / "a.png")]) == 1
    assert "no finished 'all' samples yet" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
