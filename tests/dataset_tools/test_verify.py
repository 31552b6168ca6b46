# SPDX-License-Identifier: GPL-3.0-or-later
"""Verifying: a whole dataset passes, and every kind of damage is named with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.description.seeds import split
from dataset_tools.inspection.verify import Report, verify
from dataset_tools.specs import describe
from dataset_tools.storage import shards
from tests.dataset_tools.invented import RESOLUTION, SEED, invented_passes, stored_exr

Change = Callable[[int, dict[str, np.ndarray], dict[str, Any]], str | None]


def _write(folder: Path, count: int = 3, change: Change | None = None, dataset: str = "primeshapes") -> Path:
    """A dataset of ``count`` samples; ``change`` may alter passes and description, and name another split."""
    shards.open_dataset(folder, {"dataset": dataset, "seed": SEED, "resolution": RESOLUTION})

    def sample(index: int) -> shards.Sample:
        made = invented_passes(index)
        stored: dict[str, Any] = {
            "scene": json.loads(json.dumps(describe(dataset, SEED, index).to_json())),
            "seed": SEED,
            "index": index,
            "identity_error": 1e-6,
        }
        other = change(index, made, stored) if change else None
        return shards.Sample(index, other or split(SEED, index), stored_exr(made), stored, {"seconds": 0.1})

    for shard in shards.missing(folder, dataset, range(count)):
        shards.write_shard(folder, shard, (sample(index) for index in shard.indices))
    shards.write_manifest(folder)
    return folder


def _only(report: Report) -> str:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


@pytest.mark.slow
def test_a_whole_dataset_passes(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dataset)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("All well: 70 samples") and "in 2 shards" in out
    report = verify(dataset)
    assert report.findings == [] and report.notes == [] and sum(report.splits.values()) == 70
    assert report.largest_error is not None and 0.0 < report.largest_error < 4e-3


def test_a_cut_shard_and_a_changed_byte_are_named(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = sorted((dataset / "shards").glob("*.tar"))
    first.write_bytes(first.read_bytes()[: first.stat().st_size // 2 + 700])
    data = bytearray(second.read_bytes())
    data[700] ^= 1
    second.write_bytes(data)
    assert main(["verify", str(dataset)]) == 1
    out = capsys.readouterr().out
    assert f"{first.name} is cut short or damaged" in out
    assert f"delete it and {first.stem}.jsonl, and run the render command again" in out
    assert f"1 sample (64): its bytes in {second.name} do not match their hashes" in out
    assert out.splitlines()[-1].startswith("2 findings in 70 samples")


def test_a_shard_without_its_end_is_named(tmp_path: Path) -> None:
    _write(tmp_path)
    (tar,) = (tmp_path / "shards").glob("*.tar")
    whole = tar.read_bytes()
    for cut in (whole[:-512], whole.rstrip(b"\0")):
        tar.write_bytes(cut)
        assert f"{tar.name} is cut short" in _only(verify(tmp_path, quick=True))


@pytest.mark.parametrize("length", [0, 300, 1500])
def test_a_shard_that_is_hardly_there_is_named(tmp_path: Path, length: int) -> None:
    _write(tmp_path)
    (tar,) = (tmp_path / "shards").glob("*.tar")
    tar.write_bytes(tar.read_bytes()[:length])
    assert f"{tar.name} is cut short or damaged" in _only(verify(tmp_path))


def _not_adding_up(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    made["combined"][3, 4] += 0.1


def _transmissive(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    made["transmission_direct"] += 0.5


def _not_a_number(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    made["diffuse_direct"][0, 0, 0] = np.nan


def _magenta(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    """A corner in what Cycles shows for a missing texture (measured: 0.83, 0.0098, 0.83)."""
    made["diffuse_color"][:4, :4] = (0.83, 0.0098, 0.83)
    made["combined"] = made["diffuse_color"] * (made["diffuse_direct"] + made["diffuse_indirect"])
    made["combined"] += 0.5 * (made["glossy_direct"] + made["glossy_indirect"])


def _inexact(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    stored["identity_error"] = 2e-4


def _wrong_split(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> str | None:
    return "test" if split(SEED, index) != "test" else "train"


def _unreadable(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    del stored["scene"]["camera"]


def _of_another(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
    stored["scene"]["seed"] += 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_not_adding_up, "do not add up to the image"),
        (_transmissive, "the pass 'transmission_direct' is not zero"),
        (_not_a_number, "'diffuse_direct' holds values that are not numbers"),
        (_magenta, "shows the magenta of a texture that Blender could not read"),
        (_inexact, "identity error before storing was above 0.0001"),
        (_wrong_split, "and belongs to"),
        (_unreadable, "cannot be replayed"),
        (_of_another, "its scene is of another sample"),
    ],
)
def test_what_is_wrong_with_samples_is_said_once_for_all(tmp_path: Path, change: Change, words: str) -> None:
    _write(tmp_path, change=change)
    sentence = _only(verify(tmp_path))
    assert words in sentence and sentence.startswith("3 samples (0, 1, 2): ")


def test_quick_reads_no_pixels(tmp_path: Path) -> None:
    _write(tmp_path, change=_not_adding_up)
    assert verify(tmp_path, quick=True).findings == []


def test_one_material_in_two_splits_is_found(tmp_path: Path) -> None:
    held_out = next(index for index in range(100) if split(SEED, index) != "train")

    def copied(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
        if index == held_out:
            stored["scene"]["tile"] = json.loads(json.dumps(describe("materials", SEED, 0).to_json()))["tile"]

    assert split(SEED, 0) == "train"
    _write(tmp_path, held_out + 1, copied, "materials")
    assert f"1 sample ({held_out}): the same scene or material as sample 0" in _only(verify(tmp_path, quick=True))


def test_colour_variants_of_one_scan_in_two_splits_are_found(tmp_path: Path) -> None:
    held_out = next(index for index in range(100) if split(SEED, index) != "train")

    def scanned(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
        names = {0: "Bricks061A_1K-JPG_Color.jpg", held_out: "b/Bricks061B_1K-JPG_Color.jpg"}
        layer = stored["scene"]["tile"]["covering"]["layers"][0]
        layer["textures"] = {"color": names.get(index, f"Other{index}_Color.jpg")}

    _write(tmp_path, held_out + 1, scanned, "materials")
    assert f"1 sample ({held_out}): the same scene or material as sample 0" in _only(verify(tmp_path, quick=True))


def test_descriptions_of_another_version_are_only_noted(tmp_path: Path) -> None:
    def older(index: int, made: dict[str, np.ndarray], stored: dict[str, Any]) -> None:
        stored["scene"]["fill"]["strength"] += 0.5

    _write(tmp_path, change=older)
    report = verify(tmp_path)
    assert report.findings == []
    assert "3 samples (0, 1, 2): described by another version" in report.notes[0]


@pytest.mark.slow
def test_gaps_overlaps_and_lists_that_disagree(dataset: Path) -> None:
    folder = dataset / "shards"
    stem = "primeshapes-00000000-064"
    (folder / f"{stem}.jsonl").rename(folder / "primeshapes-00000000-060.jsonl")
    (folder / f"{stem}.tar").rename(folder / "primeshapes-00000000-060.tar")
    assert any("lists samples that do not belong to it" in sentence for sentence in verify(dataset, True).findings)
    (folder / "primeshapes-00000000-060.jsonl").rename(folder / f"{stem}.jsonl")
    findings = verify(dataset, quick=True).findings
    assert any("primeshapes-00000000-060.tar has no .jsonl of its name: delete it" in sentence for sentence in findings)
    assert any("manifest.jsonl counts 70 samples where the readable shards hold 6" in s for s in findings)
    (folder / "primeshapes-00000000-060.tar").rename(folder / f"{stem}.tar")
    manifest = dataset / "manifest.jsonl"
    manifest.write_text(manifest.read_text("utf-8").replace('"seconds": 0.1', '"seconds": 0.2', 1), "utf-8")
    assert "disagree" in _only(verify(dataset, quick=True))
    manifest.unlink()
    assert "manifest.jsonl is missing" in _only(verify(dataset, quick=True))


def test_missing_samples_are_counted_out_and_quarantined_ones_listed(tmp_path: Path) -> None:
    _write(tmp_path, 2)
    _write_more = shards.Shard("primeshapes", 5, 1)
    entry = next(shards.read_samples(tmp_path, shards.entries(tmp_path)[:1]))
    stored = {**entry[2], "index": 5, "scene": json.loads(json.dumps(describe("primeshapes", SEED, 5).to_json()))}
    sample = shards.Sample(5, split(SEED, 5), entry[1], stored, {})
    shards.write_shard(tmp_path, _write_more, iter([sample]))
    shards.write_manifest(tmp_path)
    assert "Samples 2 to 4 are missing: run the render command again, or with --start 2 --count 3" in _only(
        verify(tmp_path)
    )
    lines = [{"index": index, "reason": "its worker ended three times"} for index in (2, 3, 4)]
    (tmp_path / "quarantine.jsonl").write_bytes(b"".join(shards.json_bytes(line) for line in lines))
    report = verify(tmp_path)
    assert report.findings == []
    assert report.notes[0] == "Sample 2 is in quarantine: its worker ended three times."
    with (tmp_path / "quarantine.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"index": 7, "rea')
    assert verify(tmp_path).notes == report.notes
    (tmp_path / "quarantine.jsonl").write_text("{\n", "utf-8")
    assert any("quarantine.jsonl is damaged" in sentence for sentence in verify(tmp_path).findings)


def test_a_shard_that_lists_less_than_its_name_says_is_found(tmp_path: Path) -> None:
    _write(tmp_path)
    (lines,) = (tmp_path / "shards").glob("*.jsonl")
    lines.write_bytes(b"".join(lines.read_bytes().splitlines(keepends=True)[:2]))
    shards.write_manifest(tmp_path)
    assert any("Samples 2 to 2 are missing" in sentence for sentence in verify(tmp_path).findings)


def test_a_folder_without_dataset_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 1
    assert "name the folder that was rendered to" in capsys.readouterr().err
