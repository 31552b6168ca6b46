# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's buttons inside Blender, with packages that are tiny."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.join_blender.support import Blender, blender_python, blender_python_version, fake_python
from tests.join_blender.tiny_index import make_lock, make_wheels

pytestmark = pytest.mark.slow  # each test has a Blender of its own


def test_offline_installed_tested_removed(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    wheels = make_wheels(tmp_path / "wheels")
    locks = make_lock(tmp_path / "locks", wheels, python=blender_python_version()).lock.parent
    blender = Blender(tmp_path / "Ein Blender für mich", archive, blender_python())
    report = blender.run("engine", fake_python(tmp_path), locks=locks, wheels=wheels)
    expected = {
        "offline": "Blender's online access is off. Turn on Preferences > System",
        "not agreed": "A script says agreed=True",
        "no folder": "does not exist",
        "empty folder": "lacks tinynumpy-1.0-py3-none-any.whl and 1 more of the 2 packages",
        "installed": "Ready on CPU: torch 9.1, Python 3.",
        "tested": "Testing the engine failed",
        "own untested": "(chosen in the preferences). Not tested in this session.",
        "own": "Tested: the engine 0 answers, on cpu",
    }
    for case, words in expected.items():
        assert words in report[case], f"{case}: {report[case]}"
    assert str(tmp_path / "Ein Blender für mich") in report["python"], "it belongs to the user's files"
    assert report["left"] == [] and report["untouched"]
    assert report["before"] == report["removed"], "as if it had never been there"
