# SPDX-License-Identifier: GPL-3.0-or-later
"""Shards: fixed bytes, finished or absent, resumed where they ended, refused where they do not fit."""

from __future__ import annotations

import errno
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset_tools.errors import UserError
from dataset_tools.packs.writer import PackWriter
from dataset_tools.storage import shards
from dataset_tools.storage.shards import Sample, Shard
from dataset_tools.workers import quarantine


def _samples(shard: Shard) -> Iterator[Sample]:
    for index in shard.indices:
        yield Sample(index, "train", b"exr %d" % index, {"index": index}, {"seconds": 0.5})


def test_missing_shards_lie_on_a_fixed_grid(tmp_path: Path) -> None:
    first = shards.missing(tmp_path, "d", range(10, 140))
    assert [(s.first, s.count) for s in first] == [(10, 54), (64, 64), (128, 12)]
    for shard in first:
        shards.write_shard(tmp_path, shard, _samples(shard))
    assert shards.missing(tmp_path, "d", range(10, 140)) == []
    longer = shards.missing(tmp_path, "d", range(0, 200))
    assert [(s.first, s.count) for s in longer] == [(0, 10), (140, 52), (192, 8)]


def test_equal_samples_give_equal_bytes_whatever_the_seconds(tmp_path: Path) -> None:
    shard = Shard("d", 0, 3)
    for name in ("a", "b"):
        shards.write_shard(tmp_path / name, shard, _samples(shard))
    paths = [tmp_path / name / "shards" / f"{shard.stem}.tar" for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with tarfile.open(paths[0]) as archive:
        assert archive.getnames()[:2] == ["00000000.exr", "00000000.json"]
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in archive} == {(0, 0, 0, "")}


def test_a_failed_shard_leaves_nothing_behind(tmp_path: Path) -> None:
    def broken() -> Iterator[Sample]:
        yield from _samples(Shard("d", 0, 1))
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        shards.write_shard(tmp_path, Shard("d", 0, 2), broken())
    assert list((tmp_path / "shards").iterdir()) == []
    assert shards.finished(tmp_path) == []


def test_a_tar_without_its_manifest_is_not_finished(tmp_path: Path) -> None:
    shard = Shard("d", 0, 2)
    shards.write_shard(tmp_path, shard, _samples(shard))
    (tmp_path / "shards" / f"{shard.stem}.jsonl").unlink()
    assert shards.missing(tmp_path, "d", range(2)) == [shard]


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path) -> None:
    def full() -> Iterator[Sample]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        yield

    with pytest.raises(UserError, match=r"No space left on device.*make room"):
        shards.write_shard(tmp_path, Shard("d", 0, 2), full())
    assert list((tmp_path / "shards").iterdir()) == []


def test_manifest_joins_the_shards_in_order_and_samples_come_back(tmp_path: Path) -> None:
    for shard in (Shard("d", 64, 2), Shard("d", 0, 2)):
        shards.write_shard(tmp_path, shard, _samples(shard))
    assert shards.write_manifest(tmp_path) == 4
    lines = [json.loads(line) for line in (tmp_path / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 64, 65]
    assert lines == shards.entries(tmp_path)
    found = list(shards.read_samples(tmp_path, lines[1:3]))
    assert found == [(1, b"exr 1", {"index": 1}), (64, b"exr 64", {"index": 64})]


def test_a_damaged_sample_is_noticed(tmp_path: Path) -> None:
    shard = Shard("d", 0, 1)
    shards.write_shard(tmp_path, shard, _samples(shard))
    path = tmp_path / "shards" / f"{shard.stem}.tar"
    path.write_bytes(path.read_bytes().replace(b"exr 0", b"exr X"))
    with pytest.raises(UserError, match="does not match its hash: delete that shard"):
        list(shards.read_samples(tmp_path, shards.entries(tmp_path)))


@pytest.mark.parametrize("kept", [0, 60, "a line", -1])
def test_a_cut_list_is_damage_of_its_shard(tmp_path: Path, kept: int | str) -> None:
    shard, whole = Shard("d", 0, 3), Shard("d", 64, 2)
    for each in (shard, whole):
        shards.write_shard(tmp_path, each, _samples(each))
    path = tmp_path / "shards" / f"{shard.stem}.jsonl"
    lines = path.read_bytes()
    path.write_bytes(lines[: lines.index(b"\n") + 1 if kept == "a line" else int(kept)])
    if kept == -1:  # nothing but the last line's end: no sample is lost
        assert shards.damaged(tmp_path) == []
        return
    assert shards.damaged(tmp_path) == [shard]
    assert shards.missing(tmp_path, "d", range(3)) == [shard]
    assert [entry["index"] for entry in shards.entries(tmp_path, without=[shard])] == [64, 65]
    if kept == 60:
        for read in (shards.entries, shards.write_manifest):
            with pytest.raises(UserError, match=r"is cut short or damaged: run the command .* for samples 0 to 2\."):
                read(tmp_path)


@pytest.mark.parametrize(
    "line",
    [b"[]", b"{}", b'{"index": "0"}', b'{"index": 0, "sha256": []}', b"[" * 99_999, b'{"index": 1e999}', b"\xff"],
)
def test_a_list_of_something_else_is_rendered_again(tmp_path: Path, line: bytes) -> None:
    shard = Shard("d", 0, 2)
    shards.write_shard(tmp_path, shard, _samples(shard))
    path = tmp_path / "shards" / f"{shard.stem}.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert shards.missing(tmp_path, "d", range(2)) == [shard]
    with pytest.raises(UserError, match=r"is cut short or damaged: run the command"):
        shards.entries(tmp_path)
    (tmp_path / "quarantine.jsonl").write_bytes(b'{"index": 7, "reason": "it hung"}\n' + line + b"\n")
    assert quarantine.read(tmp_path) == {7: "it hung"}


def test_flipped_bits_are_found(tmp_path: Path) -> None:
    """Or do no harm, as in what a tar says of owners and times."""
    shard = Shard("d", 0, 2)
    shards.write_shard(tmp_path, shard, _samples(shard))
    path, listed = tmp_path / "shards" / f"{shard.stem}.tar", shards.entries(tmp_path)
    whole = path.read_bytes()
    places, found = [place for place, byte in enumerate(whole) if byte][::7], 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 4
        path.write_bytes(damaged)
        try:
            read = list(shards.read_samples(tmp_path, listed))
            assert read == [(0, b"exr 0", {"index": 0}), (1, b"exr 1", {"index": 1})]
        except UserError as error:
            assert "delete" in str(error)
            found += 1
    assert found > len(places) / 2 > 10


def test_a_folder_that_an_older_version_began_is_refused(tmp_path: Path) -> None:
    header = {"dataset": "d", "seed": 1, "materials": "scans", "materials_sha256": "0", "scanned_share": 0.5}
    shards.open_dataset(tmp_path, header)
    with pytest.raises(UserError, match=r"begun by an older version, which put colour variants .* choose another"):
        shards.open_dataset(tmp_path, {**header, "scan_splits": "by scan"})


def test_another_dataset_in_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    shards.open_dataset(folder, {"dataset": "d", "seed": 1})
    shards.open_dataset(folder, {"dataset": "d", "seed": 1})
    with pytest.raises(UserError, match="seed 1, not 2: choose another --out"):
        shards.open_dataset(folder, {"dataset": "d", "seed": 2})
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"holds no dataset\.json: choose another --out"):
        shards.open_dataset(tmp_path, {"dataset": "d", "seed": 1})


def test_a_broken_header_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name the folder that was rendered to"):
        shards.read_header(tmp_path)
    (tmp_path / "dataset.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        shards.read_header(tmp_path)
    (tmp_path / "dataset.json").write_text('{"format": 99}', "utf-8")
    with pytest.raises(UserError, match="format 2"):
        shards.read_header(tmp_path)


def test_only_old_leftovers_are_removed(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    old, new = (tmp_path / "shards" / f".d-{n}.tar.1.partial" for n in (1, 2))
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (0, 0))
    shards.remove_stale(tmp_path)
    assert not old.exists() and new.exists()


def test_what_is_no_file_is_not_replaced_by_one(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for place in (pipe, folder, Path("/dev/null")):
        with pytest.raises(UserError, match=r"Could not write .*it is there and no file"), shards.atomic(place) as part:
            part.write_text("after", "utf-8")
        with (
            pytest.raises(UserError, match=r"Could not write .*it is there and no file"),
            PackWriter(place, {}) as pack,
        ):
            pack.add([("0.json", b"{}")])
    assert pipe.is_fifo() and folder.is_dir() and Path("/dev/null").is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
