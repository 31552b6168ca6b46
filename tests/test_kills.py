# SPDX-License-Identifier: GPL-3.0-or-later
"""A few kills of each kind; ``make kills`` does the whole number."""

from __future__ import annotations

import json
import random
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import pytest

from join_engine.layers.result_folder import Made, Source
from tests import kills


@pytest.mark.slow
@pytest.mark.parametrize("campaign", kills.CAMPAIGNS)
def test_two_kills_lose_nothing_and_leave_nothing(
    tmp_path: Path, campaign: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kills, "busy_machine", nullcontext)  # other tests make it busy, and would wait for it
    run, _ = kills.CAMPAIGNS[campaign]
    print(run(tmp_path, 2, random.Random(1)))


def test_half_results_are_seen(tmp_path: Path) -> None:
    """The campaigns' own eyes: an empty folder, one without a file, one with a foreign one."""
    (tmp_path / ".join-x.partial").mkdir()
    assert kills.check_results(tmp_path) == {} and kills.hidden(tmp_path) == [".join-x.partial"]
    (tmp_path / "photo").mkdir()
    with pytest.raises(AssertionError, match="half a result"):
        kills.check_results(tmp_path)
    made = Made("decompose", Source("a.png", "0"), "0", {})
    marker = {"format": "join-result", "version": 1, "files": {"albedo.exr": 3}, "made": asdict(made)}
    (tmp_path / "photo" / "made.json").write_text(json.dumps(marker))
    with pytest.raises(AssertionError, match="mixes results"):
        kills.check_results(tmp_path)
