# SPDX-License-Identifier: GPL-3.0-or-later
"""An estimate: right within reason, and nothing is left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dataset_tools.errors import UserError
from dataset_tools.rendering.job import Job
from dataset_tools.workers import estimate

TOOL = Path(__file__).with_name("invented_tool.py")


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(estimate, "this_command", lambda: [sys.executable, str(TOOL)])
    monkeypatch.setenv("JOIN_SCRATCH", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    return Job("primeshapes", 1, 100, 8000, 8, 1, tmp_path / "set")


@pytest.mark.slow
def test_hours_and_gigabytes_follow_from_the_trials(job: Job, tmp_path: Path) -> None:
    found = estimate.estimate(job, workers=2)
    # The invented samples say that they take a millisecond; two workers halve it.
    assert found.seconds == pytest.approx(4.0) and found.trials == 4
    # Each is 5 kB of pixels and about as much of description.
    assert 6_000 < found.bytes / 8000 < 40_000
    assert "8000 samples: about 0.00 hours and 0." in str(found)
    assert not job.out.exists() and list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.slow
def test_trials_that_all_fail_are_said(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARM", '{"4100": "raise"}')
    with pytest.raises(UserError, match=r"on trial \(sample 4100: ValueError: no such node\)"):
        estimate.estimate(job, workers=1, trials=1)
