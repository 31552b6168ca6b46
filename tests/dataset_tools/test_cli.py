# SPDX-License-Identifier: GPL-3.0-or-later
"""What the command says when it is called wrongly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dataset_tools import packages
from dataset_tools.commands.main import main
from dataset_tools.errors import UserError


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["primeshapes", "--count", "0", "--out", "x"], "must be 1 or more"),
        (["primeshapes", "--count", "two", "--out", "x"], "not a whole number"),
        (["primeshapes", "--count", "2"], "required: --out"),
        (["faces"], "invalid choice"),
        (["export", "x", "--resolution", "8", "--components", "depth", "--out", "y"], "invalid choice"),
    ],
)
def test_bad_flags_are_named(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


def test_errors_are_one_sentence_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--resolution", "8", "--out", str(tmp_path / "p.tar")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1


def test_a_missing_package_is_looked_for_in_the_named_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "OpenEXR", raising=False)
    monkeypatch.delenv(packages.VARIABLE, raising=False)
    with pytest.raises(UserError, match=r"pip install --target FOLDER.*--packages FOLDER or set JOIN_PACKAGES"):
        packages.load_openexr()
    (tmp_path / "OpenEXR.py").write_text("found = True\n", "utf-8")
    monkeypatch.setenv(packages.VARIABLE, "")
    packages.use_folder(str(tmp_path))
    assert packages.load_openexr().found
    # Not by monkeypatch, which would put the invented one back for all later tests.
    del sys.modules["OpenEXR"]


@pytest.mark.slow
def test_the_script_runs_from_any_folder(tmp_path: Path) -> None:
    script = Path(packages.__file__).with_name("render.py")
    result = subprocess.run(
        [sys.executable, str(script), "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0 and "primeshapes" in result.stdout
