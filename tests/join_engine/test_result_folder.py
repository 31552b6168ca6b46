# SPDX-License-Identifier: GPL-3.0-or-later
"""A result appears whole or not at all, and replaces nothing but its like."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.images.files import atomically, exr_writer, read_image, write_text
from join_engine.inversion.presets import PRESETS, Detail, Preset
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers import result_folder as folders
from join_engine.layers.result_folder import MARKER, Made, Source, folder_for, is_finished, read_marker, result_folder
from join_engine.leftovers import _machine
from tests.join_engine.conftest import MakeBank

ROOT = Path(__file__).parents[2]
_SOUND = (
    '{"format": "join-result", "version": 1, "files": {"a": 12}, "made": {"command": "decompose", "bank": "", '
    '"source": {"path": "a", "sha256": ""}, "settings": {}, "engine": "1"}}'
)


def write_photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 24, 3), np.uint8)
    Image.fromarray(pixels).save(path, format="PNG")
    return path


def made_of(path: Path, **settings: object) -> Made:
    return Made("decompose", Source.of(path), "0" * 64, settings)


def write(target: Path, made: Made, **files: str) -> None:
    with result_folder(target, made) as new:
        for name, text in files.items():
            (new / name).write_text(text)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != MARKER}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_photo(tmp_path / "photo.png")


def test_a_result_replaces_its_like_as_a_whole(tmp_path: Path, photo: Path) -> None:
    target = tmp_path / "out" / "photo"
    write(target, made_of(photo), albedo="1", specular="1")
    (target / "notes.txt").write_text("mine")
    (target / "retouched").mkdir()
    write(target, made_of(photo, seed=1), albedo="2")
    assert (target / "retouched").is_dir()
    (target / "retouched").rmdir()
    assert contents(target) == {"albedo": "2", "notes.txt": "mine"}  # no specular of the other bank, and the notes
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo"]


def test_nothing_stays_of_a_result_that_fails(tmp_path: Path, photo: Path) -> None:
    target = tmp_path / "out" / "photo"
    write(target, made_of(photo), albedo="1")
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt(), JoinError("x", "y")):
        with pytest.raises((JoinError, KeyboardInterrupt)), result_folder(target, made_of(photo)) as new:
            (new / "albedo").write_text("2")
            raise error
    assert contents(target) == {"albedo": "1"} and [path.name for path in target.parent.iterdir()] == ["photo"]


@pytest.mark.slow
@pytest.mark.parametrize("step", ["in the midst", "whole", "old moved", "swapped", "carried", "removing"])
def test_a_kill_at_each_step_is_put_right_by_the_next(tmp_path: Path, photo: Path, step: str) -> None:
    target = tmp_path / "out" / "photo"
    write(target, made_of(photo), albedo="1", specular="1")
    (target / "notes.txt").write_text("mine")
    program = f"""
import os, shutil
from pathlib import Path
from join_engine.layers import result_folder as folders
step, target, photo = {step!r}, Path({str(target)!r}), Path({str(photo)!r})
rename, done = Path.rename, []
def dying(self, to):
    if step == "whole":
        os._exit(9)
    result = rename(self, to)
    done.append(to)
    if len(done) == ["old moved", "swapped", "carried"].index(step) + 1:
        os._exit(9)
    return result
def dying_removal(path, **_):
    for marker in Path(path).rglob(folders.MARKER):
        marker.unlink()
    os._exit(9)
if step == "removing":
    shutil.rmtree = dying_removal
elif step != "in the midst":
    Path.rename = dying
with folders.result_folder(target, folders.Made("decompose", folders.Source.of(photo), "1" * 64, {{}})) as new:
    (new / "albedo").write_text("2")
    if step == "in the midst":
        os._exit(9)
os._exit(1)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 9
    folders.put_right(target.parent)
    new = step in ("old moved", "swapped", "carried", "removing")
    expected = {"albedo": "2"} if new else {"albedo": "1", "specular": "1"}
    assert contents(target) == {**expected, "notes.txt": "mine"}
    assert [path.name for path in target.parent.iterdir()] == ["photo"]


def test_what_another_process_is_writing_stays(tmp_path: Path, photo: Path) -> None:
    target = tmp_path / "photo"
    with result_folder(target, made_of(photo)) as new:
        folders.put_right(tmp_path)
        (new / "albedo").write_text("1")
    assert contents(target) == {"albedo": "1"}


def test_another_thing_of_the_name_gets_no_layers(tmp_path: Path, photo: Path) -> None:
    out, made = tmp_path / "out", made_of(photo)
    assert folder_for(out, "photo", made) == out / "photo"
    (out / "Photo").mkdir(parents=True)
    assert folder_for(out, "photo", made) == out / "Photo"  # empty
    (out / "Photo" / "holiday.txt").touch()
    (out / "photo-2").touch()
    assert folder_for(out, "photo", made) == out / "photo-3"
    write(out / "photo-3", made_of(write_photo(tmp_path / "other" / "photo.png", 1)), albedo="1")
    assert folder_for(out, "photo", made) == out / "photo-4"
    write(out / "photo-4", Made("relight", made.source, "0", {}), albedo="1")
    write(out / "photo-5", made_of(photo), albedo="1")
    assert folder_for(out, "photo", made) == out / "photo-5"
    assert folder_for(out, "photo", made, [out / "photo-5"]) == out / "photo-6"
    write_photo(photo, 7)  # the same file, changed, and then moved
    assert folder_for(out, "photo", made_of(photo)) == out / "photo-5"
    write(out / "photo-5", made_of(photo), albedo="2")
    moved = Path(shutil.move(photo, tmp_path / "other" / "photo.png"))
    assert folder_for(out, "photo", made_of(moved)) in (out / "photo-3", out / "photo-5")


def test_a_file_of_the_name_of_a_new_one_is_not_lost(tmp_path: Path, photo: Path) -> None:
    write(tmp_path / "photo", made_of(photo), albedo="1")
    (tmp_path / "photo" / "specular").write_text("painted")
    with pytest.raises(JoinError, match="specular' is not of the result that is to be replaced"):
        write(tmp_path / "photo", made_of(photo), albedo="2", specular="2")
    assert contents(tmp_path / "photo") == {"albedo": "1", "specular": "painted"}


def test_finished_is_what_has_all_its_files_of_the_same_making(tmp_path: Path, photo: Path) -> None:
    target, made = tmp_path / "photo", made_of(photo, seed=1, stages=(1, 2))
    assert not is_finished(target, made)
    write(target, made, albedo="1", report="2")
    assert is_finished(target, made)
    others = [
        replace(made, bank="1" * 64),
        replace(made, settings={"seed": 2}),
        replace(made, engine="9"),
        replace(made, source=replace(made.source, sha256="1")),
        replace(made, command="relight"),
    ]
    assert not any(is_finished(target, other) for other in others)
    (target / "albedo").write_text("cut")
    assert not is_finished(target, made)
    (target / "albedo").unlink()
    assert not is_finished(target, made)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "null", '{"format": "join-result"}', '{"format": "join-result", "version": 2}', "[" * 10_000),
        *(_SOUND.replace("12", size) for size in ("Infinity", "1e999", "[]", "9" * 5000, "null")),
    ],
)
def test_a_broken_marker_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MARKER).write_text(_SOUND)
    assert read_marker(tmp_path) is not None
    (tmp_path / MARKER).write_text(text)
    assert read_marker(tmp_path) is None


@pytest.mark.parametrize("what", ["a pipe", "a device", "a folder", "a loop of links", "a file of 3 GiB"])
def test_a_marker_that_is_no_short_file_is_none(tmp_path: Path, what: str) -> None:
    """And keeps nobody waiting."""
    path = tmp_path / MARKER
    if what == "a pipe":
        os.mkfifo(path)
    elif what == "a folder":
        path.mkdir()
    elif what == "a file of 3 GiB":
        path.touch()
        os.truncate(path, 3 << 30)
    else:
        path.symlink_to("/dev/zero" if what == "a device" else path)
    begun = time.monotonic()
    assert read_marker(tmp_path) is None and time.monotonic() - begun < 5


@pytest.mark.parametrize("name", ["", ".", "..", "../evil", "/evil", "a\0b", None])
def test_a_damaged_note_of_the_name_stops_nobody(tmp_path: Path, photo: Path, name: str | None) -> None:
    """After a power failure it may be empty; or it is a trap."""
    out = tmp_path / "out"
    dead = out / f".join-{_machine()}-999999-5-abcd.partial"
    (dead / "old").mkdir(parents=True)
    (dead / "old" / "mine.txt").write_text("mine")
    os.mkfifo(dead / "name") if name is None else (dead / "name").write_text(name)
    before = tree(tmp_path)
    write(out / "photo", made_of(photo), albedo="1")
    assert tree(tmp_path) == before | {f"out/photo{more}" for more in ("", "/albedo", f"/{MARKER}")}


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    """Of the photo, of the folder, of both: the same result is found again."""
    photo = write_photo(tmp_path / os.fsdecode(b"f\xffoto.png"))
    target = tmp_path / os.fsdecode(b"\xfe") / "photo"
    write(target, made_of(photo), albedo="1")
    write(target, made_of(photo, seed=1), albedo="2")
    marker = read_marker(target)
    assert marker is not None and marker.made.source.path == str(photo) and is_finished(target, made_of(photo, seed=1))
    assert not [path for path in target.parent.iterdir() if path != target]


def test_a_full_disk_is_told_by_the_names_that_people_know(tmp_path: Path, photo: Path) -> None:
    def fail(target: Path) -> None:
        with result_folder(target, made_of(photo)) as new, exr_writer(new / "albedo.exr", (8, 8), "RGB"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(JoinError) as caught:
        fail(tmp_path / "out" / "photo")
    assert str(caught.value) == (
        f"'{tmp_path / 'out' / 'photo' / 'albedo.exr'}' cannot be written (No space left on device). Make room there."
    )


def test_a_writer_that_does_not_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenEXR's errors have no number: the disk is asked."""
    for free, words in ((0, "(No space left on device). Make room"), (1 << 40, "(it failed). Choose another folder")):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(JoinError, match=re.escape(words)), atomically(tmp_path / "a.exr"):
            raise OSError("it failed")


# --- the commands -------------------------------------------------------------------------------------------------


@pytest.fixture
def options(tmp_path: Path, tiny_bank_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setitem(PRESETS, "draft", Preset("draft", (MeanStart(),), Detail()).to_json())
    return ["--out", str(tmp_path / "out"), "--bank", str(tiny_bank_path), "--preset", "draft"]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "name", ["...png", "..png", ".png", "aux.png", "CON.PNG", " .png", "x" * 240 + ".png", "a\\b.png"]
)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, options: list[str], name: str) -> None:
    before = tree(tmp_path)
    image = write_photo(tmp_path / "in" / name)
    assert main(["decompose", str(image), *options]) == 0
    new = tree(tmp_path) - before - {"in", f"in/{name}", "out"}
    assert new and all(path.startswith("out/") for path in new)
    (folder,) = (tmp_path / "out").iterdir()
    assert (folder / "report.json").is_file() and len(list(folder.iterdir())) == 8


@pytest.mark.slow
def test_images_of_like_names_all_get_their_layers(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.png", "a.jpg", "a.jpg.png", "A.png", "grün.png", "GRÜN.png", "a-2.png"]
    for seed, name in enumerate(names):
        write_photo(tmp_path / "in" / name, seed)
    for _ in range(2):  # and find them again
        assert main(["decompose", str(tmp_path / "in"), *options]) == 0
        results = list((tmp_path / "out").iterdir())
        assert len(results) == len({path.name.casefold() for path in results}) == len(names)
        made = [json.loads((path / "report.json").read_text())["image"] for path in results]
        assert sorted(Path(image).name for image in made) == sorted(names)
        printed = set(capsys.readouterr().out.splitlines())
        assert printed == {str(path) for path in results}


@pytest.mark.parametrize("kind", ["WEBP", "BMP", "AVIF", "TIFF", "JPEG"])
def test_kinds_of_images_are_taken_alike_singly_and_in_folders(tmp_path: Path, options: list[str], kind: str) -> None:
    image = tmp_path / "in" / f"photo.{kind.lower()}"
    image.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)).save(image, format=kind)
    (image.parent / f"._{image.name}").write_bytes(b"\0\5\26\7Mac OS X")
    for number, given in enumerate((image, image.parent)):
        assert main(["decompose", str(given), *options[2:], "--out", str(tmp_path / str(number))]) == 0
    one, two = (sorted((tmp_path / name / "photo").glob("*.exr")) for name in "01")
    assert one and [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


@pytest.mark.slow
def test_skip_existing_looks_at_what_made_it(
    tmp_path: Path, photo: Path, options: list[str], tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["decompose", str(photo), *options, "--skip-existing"]

    def skipped(*more: str) -> bool:
        assert main([*command, *more]) == 0
        said = capsys.readouterr()
        assert said.out.strip() == str(tmp_path / "out" / "photo")
        return "finished already" in said.err

    assert not skipped() and skipped()
    assert not skipped("--seed", "1") and skipped("--seed", "1")
    assert not skipped("--no-detail") and not skipped()
    (tmp_path / "out" / "photo" / "shading.exr").unlink()
    assert not skipped() and skipped()
    write_photo(photo, 1)
    assert not skipped() and skipped()
    (tmp_path / "out" / "photo" / MARKER).unlink()
    assert main(command) == 0  # not ours any more: left alone
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "photo-2")


def test_another_bank_leaves_no_old_specular(
    tmp_path: Path, photo: Path, options: list[str], bank_maker: MakeBank, capsys: pytest.CaptureFixture[str]
) -> None:
    three = bank_maker(
        tmp_path / "three.safetensors",
        "lambertian_specular",
        (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard")),
    )
    assert main(["decompose", str(photo), *options, "--bank", str(three)]) == 0
    assert (tmp_path / "out" / "photo" / "specular.exr").is_file()
    assert main(["decompose", str(photo), *options]) == 0
    assert "the earlier result" in capsys.readouterr().err
    assert not list((tmp_path / "out" / "photo").glob("specular*"))


def test_relight_replaces_only_what_it_has_made(
    tmp_path: Path, photo: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decompose", str(photo), *options]) == 0
    result = tmp_path / "out" / "photo"
    before = {path.name: path.read_bytes() for path in result.iterdir()}
    relight = ["relight", str(result / "decomposition.join"), *options[2:4], "--set"]
    (tmp_path / "file").touch()
    for taken in (result, tmp_path, tmp_path / "file"):
        assert main([*relight, "shading.sefa.0=1", "--out", str(taken)]) == 2
    assert {path.name: path.read_bytes() for path in result.iterdir()} == before
    lit = tmp_path / "lit"
    assert main([*relight, "shading.sefa.0=1", "--exr", "16", "--out", str(lit)]) == 0
    assert (lit / "layers.exr").is_file()
    capsys.readouterr()
    assert main([*relight, "shading.sefa.0=2", "--out", str(lit)]) == 0
    assert "replaced" in capsys.readouterr().err and not (lit / "layers.exr").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "command",
    [
        ["decompose", "{long}.png", "--out", "{out}"],
        ["decompose", "photo.png", "--out", "{out}", "--bank", "{long}"],
        ["decompose", "photo.png", "--out", "{long}"],
        ["relight", "{long}.join", "--out", "{out}"],
        ["banks", "show", "{long}.safetensors"],
        ["report", "--decomposition", "{long}.join", "--image", "photo.png", "--out", "{out}"],
        ["evaluate", "--data", "{long}.tar", "--out", "{out}"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_names_beyond_the_systems_limit_get_a_sentence(
    tmp_path: Path,
    photo: Path,
    options: list[str],
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word.format(long="ü" * 200, out=tmp_path / "out") for word in command]
    extra = options[2:4] if command[0] == "decompose" and "--bank" not in command else []
    assert main([*words, *extra]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1 and "Traceback" not in error


@pytest.mark.parametrize(
    "name", [b"a\nb", b"a\x1b[31mb", b"sur\xffrogate", "a\u2028b".encode(), "a\u202eb".encode(), b"\x07", b"a\rb"]
)
@pytest.mark.parametrize("sound", [True, False])
def test_names_that_would_break_a_line_or_the_terminal(
    tmp_path: Path, options: list[str], name: bytes, sound: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    """And such as are no UTF-8: layers, or one line."""
    image = tmp_path / os.fsdecode(name + b".png")
    if sound:
        write_photo(image)
    else:
        image.write_bytes(b"no image")
    options[1] = str(tmp_path / os.fsdecode(b"out\xfe"))
    assert main(["decompose", str(image), *options]) == (0 if sound else 2)
    told = capfd.readouterr()
    lines = (told.out + told.err).splitlines()
    assert len(lines) == 1 and not set(told.err) & set(map(chr, range(32))) - {"\n"}
    if sound:
        (folder,) = Path(options[1]).iterdir()
        report = json.loads((folder / "report.json").read_text())
        assert report["image"] == str(image) and (folder / "albedo.exr").stat().st_size > 0
        assert main(["decompose", str(image), *options, "--skip-existing"]) == 0
        assert "finished already" in capfd.readouterr().err


@pytest.mark.parametrize("kind", ["png", "tif", "exr", "hdr", "jpg"])
def test_pictures_whose_name_is_no_utf8_are_read(tmp_path: Path, kind: str) -> None:
    """By every reader."""
    plain, odd = tmp_path / f"a.{kind}", tmp_path / os.fsdecode(b"\xff." + kind.encode())
    with exr_writer(tmp_path / "a.exr", (24, 24), "RGB") as write_rows:
        write_rows(np.random.default_rng(0).random((24, 24, 3), np.float32))
    if kind == "hdr":
        plain.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 24 +X 24\n" + bytes([99, 80, 60, 129]) * 24 * 24)
    elif kind != "exr":
        Image.open(write_photo(tmp_path / "b.png")).save(plain)
    shutil.copy(plain, odd)
    assert np.array_equal(read_image(odd), read_image(plain))


@pytest.mark.parametrize("where", ["{out}/loop", "{out}/loop/x", "photo.png", "photo.png/x", "nowhere/x", "/dev/full"])
def test_a_place_that_cannot_be_gets_a_sentence(
    tmp_path: Path, photo: Path, options: list[str], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "further")
    place = where.format(out=tmp_path) if where.startswith(("{", "/")) else str(tmp_path / where)
    assert main(["decompose", str(photo), *options, "--out", place]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and len(error.splitlines()) == 1 and "cannot be written" in error


@pytest.mark.parametrize("place", [0, 2], ids=["image", "out"])
def test_an_empty_argument_is_not_this_folder(
    tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [str(photo), "--out", "out"]
    words[place] = ""
    with pytest.raises(SystemExit):
        main(["decompose", *words])
    assert "an argument is empty" in capsys.readouterr().err and tree(tmp_path) == {"photo.png"}


@pytest.mark.slow
@pytest.mark.parametrize("words", ["2>&-", ">&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full", "| head -c 0"])
def test_whoever_listens_the_result_is_whole(tmp_path: Path, photo: Path, tiny_bank_path: Path, words: str) -> None:
    """Streams that are closed, on a full disk, or that nobody reads any more."""
    command = (
        f'"{sys.executable}" -m join_engine decompose "{photo}" --bank "{tiny_bank_path}" --preset standard --out '
        f'"{tmp_path / "out"}" --threads 1 {words}; echo "${{PIPESTATUS[0]}}" >"{tmp_path / "status"}"'
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr, done.stderr
    status = int((tmp_path / "status").read_text())
    assert status == {">/dev/full": 2, "| head -c 0": 141}.get(words, 0) or (status == 0 and "head" in words)
    marker = read_marker(tmp_path / "out" / "photo")
    assert marker is not None and is_finished(tmp_path / "out" / "photo", marker.made)


def test_what_is_no_file_is_neither_replaced_nor_waited_for(tmp_path: Path) -> None:
    pipe, folder, whole = tmp_path / "pipe", tmp_path / "folder", tmp_path / "whole.txt"
    os.mkfifo(pipe)
    folder.mkdir()
    whole.write_text("before", encoding="utf-8")
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for place in (pipe, folder, link):
        with pytest.raises(JoinError, match=r"cannot be written \(it is there and no file\)") as caught:
            write_text(place, "after")
        assert caught.value.code == "output_unwritable" and caught.value.hint
    assert pipe.is_fifo() and folder.is_dir() and link.is_symlink() and Path("/dev/null").is_char_device()
    write_text(whole, "after")
    assert whole.read_text(encoding="utf-8") == "after"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "link", "pipe", "whole.txt"]
