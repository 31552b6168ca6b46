# SPDX-License-Identifier: GPL-3.0-or-later
"""Textures that cannot be used are named before anything is rendered; whatever Blender can read is taken."""

from __future__ import annotations

import importlib.util
import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.errors import UserError
from dataset_tools.sources import environments, scanned, textures
from dataset_tools.storage import shards
from join_engine import exr_codec

Image = pytest.importorskip("PIL.Image")

SCRIPT = Path(shards.__file__).parents[1] / "render.py"


def _encoded(kind: str, size: int = 64, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def test_only_files_are_pictures(tmp_path: Path) -> None:
    """No pipe or device, which would keep one waiting for ever; a broken link is told of."""
    places = [tmp_path, tmp_path / "below"]
    for folder in places:
        folder.mkdir(exist_ok=True)
        (folder / "a_Color.PNG").write_bytes(b"x")
        (folder / "._a_Color.png").write_bytes(b"x")
        (folder / "notes.txt").write_bytes(b"x")
        (folder / "folder_Color.png").mkdir()
        os.mkfifo(folder / "pipe_Color.png")
        (folder / "device_Color.png").symlink_to("/dev/zero")
        (folder / "gone_Color.png").symlink_to("nowhere")
    wanted = sorted(folder / name for folder in places for name in ("a_Color.PNG", "gone_Color.png"))
    assert textures.picture_files(tmp_path.rglob("*"), tmp_path, (".png",)) == wanted
    for number in range(3):
        (tmp_path / f"b{number}_Color.png").write_bytes(_encoded("PNG"))
    scans = scanned.find_scans(tmp_path, 1.0)
    assert {scan.name for scan in scans.materials} == {"a", "below/a", "gone", "below/gone", "b0", "b1", "b2"}
    assert "cannot be opened" in str(textures.fault(tmp_path / "gone_Color.png"))
    with pytest.raises(UserError, match="holds 0 environment pictures"):
        environments.find_environments(tmp_path)


def _fault(folder: Path, data: bytes) -> str | None:
    path = folder / "texture"
    path.write_bytes(data)
    return textures.fault(path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"restart_marker_rows": 1}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_a_file_without_its_end_is_cut(tmp_path: Path, kind: str, options: dict[str, Any]) -> None:
    whole = _encoded(kind, **options)
    assert _fault(tmp_path, whole) is None
    for share in (0.02, 0.3, 0.9):
        assert _fault(tmp_path, whole[: int(share * len(whole))]) == "is cut short"


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_picture(tmp_path: Path) -> None:
    whole, thumbnail = _encoded("JPEG"), _encoded("JPEG", 16)
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    with_thumbnail = whole[:2] + segment + whole[2:]
    assert _fault(tmp_path, with_thumbnail + b"what a phone appends") is None
    assert _fault(tmp_path, with_thumbnail[:-400]) == "is cut short"


def _large_png(side: int) -> bytes:
    """Its header is true, and it holds no pixels: a file is refused by its size before anything decodes it."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _large_jpeg(side: int) -> bytes:
    small = _encoded("JPEG")
    at = small.index(b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", side, side) + small[at + 4 :]


def _large_exr(side: int) -> bytes:
    data = bytearray(exr_codec.write_channels({"R": np.zeros((2, 2), np.float16)}))
    start = next(start for name, start, _ in exr_codec.attributes(data) if name == "dataWindow")
    data[start : start + 16] = struct.pack("<4i", 0, 0, side - 1, side - 1)
    return bytes(data)


@pytest.mark.parametrize("made", [_large_png, _large_jpeg, _large_exr])
def test_a_texture_of_16k_is_too_large(tmp_path: Path, made: Any) -> None:
    words = "has 16384 × 16384 pixels, and 8192 a side are the most: scale it down"
    assert _fault(tmp_path, made(16384)) == words
    assert _fault(tmp_path, made(8192)) is None


def _good(folder: Path) -> Path:
    """Three materials; one in a folder of its own with what a Mac leaves, one whose suffix is another format's."""
    (folder / "A").mkdir(parents=True)
    (folder / "A" / "A_Color.png").write_bytes(_encoded("PNG"))
    (folder / "A" / "._A_Color.png").write_bytes(b"\0")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "D_Color.png").write_bytes(b"")
    (folder / "B_Color.png").write_bytes(_encoded("JPEG"))
    (folder / "C_Color.tif").write_bytes(_encoded("TIFF"))
    return folder


def _render(folder: Path, out: Path) -> subprocess.CompletedProcess[str]:
    quality = ["--resolution", "8", "--samples", "1", "--count", "3", "--scanned-share", "1"]
    command = [sys.executable, str(SCRIPT), "materials", *quality, "--materials", str(folder), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package")
def test_unreadable_textures_are_named_before_anything_is_rendered(tmp_path: Path) -> None:
    folder, out = _good(tmp_path / "textures"), tmp_path / "set"
    png = _encoded("PNG")
    bad = {
        "cut_Color.jpg": (_encoded("JPEG")[:700], "is cut short"),
        "empty_Roughness.png": (b"", "is empty"),
        "flipped_Color.png": (bytes(byte ^ (at == len(png) // 2) for at, byte in enumerate(png)), "cannot be read by"),
        "half_Color.png": (png[: len(png) // 2], "cannot be read by Blender"),
        "page_Color.jpg": (b"<html>404</html>", "cannot be read by Blender"),
        "large_Color.png": (_large_png(16384), "has 16384 × 16384 pixels"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    (folder / "empty_Color.png").write_bytes(png)
    result = _render(folder, out)
    assert result.returncode == 1 and not out.exists()
    (sentence,) = result.stderr.splitlines()
    assert sentence.startswith(f"error: 6 textures in {folder} cannot be used (")
    assert sentence.endswith("put them right or take them out; nothing was rendered.")
    for name, (_, reason) in bad.items():
        assert f"{name} {reason}" in sentence
        (folder / name).unlink()
    assert "A_Color" not in sentence and "B_Color" not in sentence
    again = _render(folder, out)
    assert again.returncode == 0, again.stderr
    verified = subprocess.run(
        [sys.executable, str(SCRIPT), "verify", str(out)], capture_output=True, text=True, timeout=60
    )
    assert verified.returncode == 0, verified.stdout
