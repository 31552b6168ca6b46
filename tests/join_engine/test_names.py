# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that every system takes, and which files of a folder are images."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from join_engine import leftovers
from join_engine.names import LONGEST, is_file, is_folder, is_hidden, list_folder, safe_name, same_name

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
