# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that every system takes, and which files of a folder are images."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from join_engine import leftovers
from join_engine.commands.main import main
from join_engine.names import LONGEST, is_file, is_folder, is_hidden, list_folder, safe_name, same_name

from .fake_packs import write_pack

WANTED = {
    # The two that wrote outside their folder, and their neighbours.
    **{"..": "image", ".": "image", "...": "image", "": "image", "  ": "image", ". .": "image", "..x": "x"},
    # Hidden, or dropped at the end by Windows.
    **{".photo": "photo", "photo.": "photo", "photo ": "photo", "photo. .": "photo", " photo": "photo"},
    # Reserved by Windows, with any ending.
    **{"con": "con_", "CON": "CON_", "nul.tar": "nul_.tar", "COM1": "COM1_", "lpt9.x.y": "lpt9_.x.y", "aux ": "aux_"},
    **{"com¹": "com¹_", "CONIN$": "CONIN$_", "prn .x": "prn_ .x"},
    # Nearly reserved, and good as they are.
    **{"console": "console", "com10": "com10", "lpt": "lpt", "null": "null", "a.con": "a.con"},
    # What some system takes for something else.
    **{"a/b": "a_b", "a\\b": "a_b", "C:x": "C_x", "a\0b": "a_b", "a\nb": "a_b", 'q"?*<>|': "q______"},
    **{"\ud800": "_", "ein Foto – grün": "ein Foto – grün", "写真": "写真"},
    unicodedata.normalize("NFD", "grün"): "grün",
}


@pytest.mark.parametrize(("text", "name"), WANTED.items(), ids=ascii)
def test_names_are_made_safe(text: str, name: str, tmp_path: Path) -> None:
    assert safe_name(text) == name and safe_name(name) == name
    (tmp_path / name).mkdir()
    assert (tmp_path / name).resolve().parent == tmp_path.resolve()


@pytest.mark.parametrize("letter", ["x", "ü", "写", "😀", ".x"])
def test_names_have_a_length(letter: str, tmp_path: Path) -> None:
    name = safe_name(letter * 300)
    assert LONGEST - 4 < len(name.encode()) <= LONGEST
    (tmp_path / f"{name}-100 shading.png").touch()


@pytest.mark.parametrize(
    ("one", "other"), [("Photo", "photo"), ("GRÜN", "grün"), (unicodedata.normalize("NFD", "É"), "é"), ("ǅ", "ǆ")]
)
def test_names_that_some_system_takes_for_the_same(one: str, other: str) -> None:
    assert same_name(one) == same_name(other)
    assert same_name(one) != same_name(f"{other}-2")


@pytest.mark.parametrize("name", ["x" * 300, "x/" * 3000, "a\0b", "ü" * 200 + ".safetensors"])
def test_a_name_that_is_none_is_no_file(name: str, tmp_path: Path) -> None:
    assert not is_file(tmp_path / name) and not is_folder(tmp_path / name)


def test_a_folder_tells_what_is_no_image(tmp_path: Path) -> None:
    images = ["a.png", "B.JPG", "c.webp", "d.bmp", "e.avif", "f.tiff", "g.exr", "h.npy"]
    hidden = ["._a.png", ".DS_Store", "._g.exr", ".thumb.jpg"]
    for name in [*images, *hidden, "notes.txt", "clip.mov"]:
        (tmp_path / name).touch()
    for name in ("layers", "old", "folder.png"):
        (tmp_path / name).mkdir()
    found = list_folder(tmp_path, tmp_path / "layers")
    assert sorted(path.name for path in found.images) == sorted(images)
    assert found.others == ["clip.mov", "folder.png/", "notes.txt", "old/"]
    assert found.passed_over == "clip.mov, folder.png/, notes.txt, old/ and 4 hidden files"
    for number in range(5):
        (tmp_path / f"z{number}.txt").touch()
    assert list_folder(tmp_path).passed_over.endswith("old/, 5 more and 4 hidden files")


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("._x.png", True),
        ("a/.cache/x.png", True),
        (".x/y", True),
        ("../a/x.png", False),
        ("./x", False),
        ("x.y", False),
    ],
)
def test_hidden_paths(path: str, hidden: bool) -> None:
    assert is_hidden(Path(path)) is hidden


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["shot.0001.exr", "shot.0002.exr", "shot.0003.exr"], "shot.0001.exr to shot.0003.exr (3 images) are a series"),
        (["f8.png", "f9.png", "f10.png", "f11.png"], "f8.png to f11.png (4 images) are a series"),  # by their numbers
        (["098.jpg", "099.jpg", "100.jpg"], "098.jpg to 100.jpg (3 images) are a series"),
        (["a1_l.png", "a2_l.png", "a4_l.png", "a1_r.png"], "a1_l.png to a4_l.png (3 images) are a series"),  # a gap
        (["a1.png", "a2.png", "a3.png", "b1.png", "b2.png", "b3.png"], "a1.png to a3.png (3 images), b1.png to b3.png"),
        (["IMG_20180104_210434.png", "IMG_20180105_091814.png", "IMG_20180105_114506.png"], ""),
        (["a1.png", "a2.png"], ""),
        (["a1.png", "a2.jpg", "a3.png"], ""),
        (["a.png", "b.png", "c.png"], ""),
        (["9" * 60 + ".png", "1" * 60 + ".png", "3.png"], ""),
    ],
)
def test_a_series_is_told(tmp_path: Path, names: list[str], told: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    found = list_folder(tmp_path).series
    assert found.startswith(told) and bool(found) == bool(told)
    assert not found or found.endswith(": each image is decomposed by itself.")


def dead_process() -> str:
    """The owner's part of a name by a process that has ended."""
    command = [sys.executable, "-c", "from join_engine.leftovers import owner; print(owner())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_the_dead_left_is_known_from_what_the_living_use(tmp_path: Path) -> None:
    dead, own = dead_process(), leftovers.owner()
    machine, number, start = own.split("-")
    own_number_before = f"{machine}-{number}-{int(start) - 1}"
    parent = f"{machine}-{os.getppid()}-{leftovers._start_of(os.getppid())}"
    elsewhere = f"{'0' * 8}-{number}-{start}"
    states = {dead: True, own: False, own_number_before: True, parent: False, elsewhere: False}
    for owner, gone in states.items():
        path = tmp_path / f".join-{owner}-abcd.tmp"
        path.touch()
        assert leftovers.is_left_behind(path) is gone, owner
    foreign = [tmp_path / ".photo.tmp", tmp_path / ".join-x.tmp", tmp_path / "join-12-34-56.tmp"]
    for path in foreign:
        path.touch()
    leftovers.sweep(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f".join-{owner}-abcd.tmp" for owner, gone in states.items() if not gone} | {p.name for p in foreign}
    old = tmp_path / f".join-{elsewhere}-abcd.tmp"
    os.utime(old, (0, 0))
    assert leftovers.is_left_behind(old) and not leftovers.is_left_behind(old, stale=None)


def test_a_process_that_nobody_has_waited_for_is_dead(tmp_path: Path) -> None:
    program = "from join_engine.leftovers import owner; print(owner(), flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        owner = process.stdout.read().strip()
        while Path(f"/proc/{process.pid}/stat").exists() and " Z " not in Path(f"/proc/{process.pid}/stat").read_text():
            pass
        assert leftovers.is_left_behind(tmp_path / f".join-{owner}-abcd.tmp")


def holding(folder: Path, *name: str) -> subprocess.Popen[str]:
    """A process that works alone in a folder, or with something of that name in it, until its stdin is closed."""
    program = (
        "import sys, pathlib, join_engine.leftovers as l\n"
        "with l.alone_in(pathlib.Path(sys.argv[1]), *sys.argv[2:]):\n  print(1, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder), *name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_two_do_not_work_in_one_folder(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        with pytest.raises(leftovers.InUse, match=f"process {other.pid}"), leftovers.alone_in(tmp_path):
            pass
        with leftovers.alone_in(tmp_path / "beside"):
            pass
    with leftovers.alone_in(tmp_path):  # it has ended
        assert len(list(tmp_path.glob(".*.lock"))) == 1
    assert not list(tmp_path.iterdir())


def test_what_is_taken_by_its_name_leaves_the_folder_free(tmp_path: Path) -> None:
    with leftovers.alone_in(tmp_path, "a"), leftovers.alone_in(tmp_path, "b"), holding(tmp_path) as other:
        with pytest.raises(leftovers.InUse), leftovers.alone_in(tmp_path):
            pass
        other.kill()
    with holding(tmp_path, "a") as other:
        with pytest.raises(leftovers.InUse, match=f"process {other.pid}"), leftovers.alone_in(tmp_path, "a"):
            pass
        with leftovers.alone_in(tmp_path, "b"), leftovers.alone_in(tmp_path):
            pass
        other.kill()
    with leftovers.alone_in(tmp_path, "b"):  # which removes what the dead have left of all kinds
        assert len(list(tmp_path.iterdir())) == 1


def test_a_killed_one_leaves_no_folder_taken(tmp_path: Path) -> None:
    with holding(tmp_path) as other:
        other.kill()
    assert list(tmp_path.glob(".*.lock"))
    with leftovers.alone_in(tmp_path):
        assert len(list(tmp_path.glob(".*.lock"))) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_another_machine_works_in_stays_taken(tmp_path: Path) -> None:
    lock = tmp_path / f".join-{'0' * 8}-17-4-abcd.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    with (
        pytest.raises(leftovers.InUse, match=f"another machine .*remove '.*{lock.name}'"),
        leftovers.alone_in(tmp_path),
    ):
        pass
    (tmp_path / "of somebody else.lock").touch()
    (tmp_path / ".of somebody else.lock").touch()
    lock.unlink()
    with leftovers.alone_in(tmp_path):
        pass


def test_every_command_that_fills_a_folder_wants_it_alone(
    tmp_path: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (32, 32), (90, 120, 30)).save(photo)
    out = tmp_path / "out"
    packs = write_pack(tmp_path / "pack.tar")
    data = ["--data", str(packs), "--out", str(out), "--kimg", "0.001"]
    commands = [
        ["decompose", str(photo), "--bank", str(tiny_bank_path), "--preset", "draft", "--out", str(out)],
        ["train-gan", *data, "--component", "albedo", "--channel-base", "64", "--channel-max", "8"],
        ["train-trunk", *data],
    ]
    with holding(out) as other:
        for command in commands:
            assert main(command) == 2, command
            told = capsys.readouterr().err
            assert f"In '{out}' process {other.pid} is at work already." in told and "Wait for its end" in told
        assert [path.suffix for path in out.iterdir()] == [".lock"]
    together = ["decompose-together", str(photo), str(photo), "--bank", str(tiny_bank_path), "--out", str(out)]
    with holding(tmp_path, "out") as other:
        assert main(together) == 2
        assert f"In '{out}' process {other.pid} is at work already." in capsys.readouterr().err
