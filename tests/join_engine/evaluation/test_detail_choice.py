# SPDX-License-Identifier: GPL-3.0-or-later
"""The table by which a bank's share and radius of the detail are chosen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.evaluation.choices.detail_choice import compare
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.renders.samples import Sample

SHORT = Preset("short", (MeanStart(), Joint(steps=2)))


def _samples(side: int) -> list[Sample]:
    """Grey paint whose light alone has changed from what the bank makes of it: all the difference is light."""
    rng = np.random.default_rng(0)
    albedo = np.full((side, side, 3), 0.5, np.float32)
    lights = [np.full((side, side, 3), float(level), np.float32) for level in rng.uniform(0.2, 3.0, 3)]
    return [Sample(f"{index}", {"albedo": albedo, "shading": light}) for index, light in enumerate(lights)]


def test_share_and_radius_change_the_figures(tiny_bank: Bank) -> None:
    settings = [Detail(1.0, 0.0), Detail(1.0, 1.0), Detail(0.5, 0.5)]
    found = compare(tiny_bank, _samples(tiny_bank.header.resolution), SHORT, settings)
    assert len(found) == 3 and all(set(psnr) == {"albedo", "shading"} for psnr in found)
    assert found[0] != found[1] and all(np.isfinite(list(psnr.values())).all() for psnr in found)
    again = compare(tiny_bank, _samples(tiny_bank.header.resolution), SHORT, settings[:1])
    assert again == found[:1]


@pytest.mark.slow
def test_no_pack_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detail-choice", "--bank", "materials", "--data", str(tmp_path / "none.tar")]) != 0
    assert "none.tar" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--radii", "0"), ("--radii", "nan"), ("--shares", "1.5")])
def test_an_impossible_detail_is_one_sentence(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detail-choice", "--bank", "materials", "--data", "val.tar", option, value]) == 2
    assert f"of {value} is" in capsys.readouterr().err
