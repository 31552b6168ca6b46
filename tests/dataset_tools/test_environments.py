# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of environment pictures: whole ones are taken, for all else there is one sentence."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.errors import UserError
from dataset_tools.sources.environments import find_environments, fingerprint
from dataset_tools.storage import shards
from join_engine import exr_codec

SCRIPT = Path(shards.__file__).parents[1] / "render.py"


def _hdr(width: int = 64, height: int = 32, *, encoded: bool = True) -> bytes:
    """A Radiance picture of grey light, its lines run-length encoded or not."""
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    if not encoded:
        return head + b"\x80\x80\x80\x80" * (width * height)
    channel = bytes((128 + width // 2, 128)) + bytes((width - width // 2,)) + b"\x81" * (width - width // 2)
    return head + (bytes((2, 2, width >> 8, width & 255)) + channel * 4) * height


def _exr(width: int = 16, height: int = 8) -> bytes:
    return exr_codec.write_channels({f"{c}": np.full((height, width), 0.5, np.float16) for c in "RGB"})


def _folder(tmp_path: Path, **files: bytes) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data in files.items():
        ending = ".exr" if data.startswith(b"\x76\x2f\x31\x01") else ".hdr"
        (folder / f"{name}{ending}").write_bytes(data)
    return folder


def test_whole_pictures_are_found(tmp_path: Path) -> None:
    folder = _folder(tmp_path, a=_hdr(), b=_hdr(encoded=False), c=_exr())
    (folder / "._a.hdr").write_bytes(b"what a Mac leaves")
    (folder / ".trash").mkdir()
    (folder / ".trash" / "d.hdr").write_bytes(b"what somebody threw away")
    found = find_environments(folder)
    assert found.files == ("a.hdr", "b.hdr", "c.exr")
    before = fingerprint(folder, found)
    (folder / "a.hdr").write_bytes(_hdr(32, 16))
    assert fingerprint(folder, found) != before


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (_hdr()[:-40], r"broken \("),
        (_hdr(encoded=False)[:-1], "cut short"),
        (_exr()[:-30], r"broken \("),
        (b"GIF89a", "does not begin like a Radiance picture"),
        (b"#?RADIANCE\n\n+X 3 -Y 4\n", "does not tell its size"),
        (_hdr(64, 64), "64×64 pixels"),
        (b"", r"broken \("),
    ],
)
def test_a_broken_picture_is_named(tmp_path: Path, data: bytes, sentence: str) -> None:
    folder = _folder(tmp_path, a=_hdr(), b=_hdr(), bad=data)
    with pytest.raises(UserError, match=sentence) as caught:
        find_environments(folder)
    assert "bad." in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_or_empty_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        find_environments(tmp_path / "none")
    with pytest.raises(UserError, match="holds 0 environment pictures"):
        find_environments(_folder(tmp_path))


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package")
@pytest.mark.parametrize("broken", [True, False])
def test_nothing_is_written_without_whole_pictures(tmp_path: Path, broken: bool) -> None:
    folder = _folder(tmp_path, a=_hdr(), b=_hdr(), bad=_hdr()[:-40]) if broken else tmp_path / "none"
    out = tmp_path / "out"
    command = [sys.executable, str(SCRIPT), "surfaces", "--count", "1", "--resolution", "16", "--samples", "1"]
    result = subprocess.run(
        [*command, "--environments", str(folder), "--out", str(out)], capture_output=True, text=True, timeout=120
    )
    assert result.returncode != 0 and "Traceback" not in result.stderr
    assert ("bad.hdr is broken" if broken else "There is no folder") in result.stderr
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("shares", ["torch=1", "flash=0", "flash=-1", "flash"])
def test_impossible_shares_are_said(tmp_path: Path, shares: str) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "surfaces",
        "--count",
        "1",
        "--lighting",
        shares,
        "--out",
        str(tmp_path / "o"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and "Traceback" not in result.stderr and result.stderr.strip()
